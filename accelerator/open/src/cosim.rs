//! `cosim:GEOMETRY[?seed=N&latency=N&write_latency=N&bandwidth=N&memory=SIZE&trace=FILE]`.

use fqbert_cosim::CosimOptions;

use crate::uri::{Description, UriError};

/// Latencies above this are no memory's.
const MAX_LATENCY: u64 = 100_000;

/// Reads the part of the URI behind `cosim:`.
pub(crate) fn options(text: &str) -> Result<CosimOptions, UriError> {
    let description = Description::of(text);
    let mut options = CosimOptions::new(description.geometry()?);
    let memory = &mut options.memory;
    for option in description.options() {
        match option.name {
            "seed" => memory.seed = Some(option.number(0..=u64::MAX, "a 64-bit number")?),
            "latency" => {
                memory.read_latency = option.number(2..=MAX_LATENCY, "cycles, 2..=100000")?;
            }
            "write_latency" => {
                memory.write_latency = option.number(4..=MAX_LATENCY, "cycles, 4..=100000")?;
            }
            "bandwidth" => {
                let beats = option.number(1..=10_000, "beats in 100 cycles, 1..=10000")?;
                memory.bandwidth = Some(beats);
            }
            "memory" => options.memory_bytes = option.size()?,
            "trace" => options.trace = Some(option.path("a file")?),
            _ => {
                return Err(option.unknown(
                    "the simulated accelerator",
                    "seed=N, latency=CYCLES, write_latency=CYCLES, \
                     bandwidth=BEATS_IN_100_CYCLES, memory=SIZE and trace=FILE",
                ));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::check_errors;
    use fqbert_contract::Geometry;
    use fqbert_cosim::Memory;
    use std::path::PathBuf;

    #[test]
    fn every_option() {
        let o = options(
            "zcu102?seed=7&latency=90&write_latency=50&bandwidth=80&memory=64MiB&trace=a.fst",
        )
        .unwrap();
        assert_eq!((o.geometry.name, o.memory_bytes), ("zcu102", 64 << 20));
        let memory = Memory {
            read_latency: 90,
            write_latency: 50,
            bandwidth: Some(80),
            seed: Some(7),
        };
        assert_eq!((o.memory, o.trace), (memory, Some(PathBuf::from("a.fst"))));
        let tiny = Geometry::by_name("tiny").unwrap();
        assert_eq!(options("tiny"), Ok(CosimOptions::new(tiny)));
    }

    #[test]
    fn errors_name_the_thing_and_what_there_is() {
        check_errors(
            options,
            &[
                ("", &["\"\"", "tiny"]),
                ("zcu104?seed=1", &["zcu104", "tiny, paper, zcu102, zcu111"]),
                ("tiny?speed=9", &["simulated", "speed", "latency=CYCLES"]),
                ("tiny?latency=1", &["latency", "\"1\"", "2..="]),
                ("tiny?write_latency=x", &["write_latency", "\"x\""]),
                ("tiny?bandwidth=0", &["bandwidth", "beats"]),
                ("tiny?seed=-1", &["seed", "64-bit"]),
                ("tiny?memory=18446744073709551615GiB", &["memory"]),
                ("tiny?trace", &["trace", "a file"]),
            ],
        );
    }
}
