//! How a simulated accelerator is built, and the text form of it.

use std::path::PathBuf;

use fqbert_contract::Geometry;

use crate::axi::Memory;

/// Size of the device memory where nothing else is said.
const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;
const MAX_MEMORY_BYTES: u64 = 1 << 36;
/// Latencies above this are no memory's.
const MAX_LATENCY: u64 = 100_000;

/// How a simulated accelerator is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosimOptions {
    /// Its geometry.
    pub geometry: Geometry,
    /// Size of its device memory.
    pub memory_bytes: u64,
    /// Latency, bandwidth and back-pressure of that memory.
    pub memory: Memory,
    /// Where to write waveforms, in the format that the crate was built for.
    pub trace: Option<PathBuf>,
}

/// Why the text does not describe a simulated accelerator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No geometry has the name.
    #[error("no geometry is called {name:?}; there are {}", geometries())]
    Geometry {
        /// What was asked for.
        name: String,
    },
    /// No option has the name.
    #[error(
        "the simulated accelerator has no option {name:?}; there are seed=N, latency=CYCLES, write_latency=CYCLES, \
         bandwidth=BEATS_IN_100_CYCLES, memory=SIZE and trace=FILE"
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// An option's value is not one.
    #[error("option {name}={value:?}: expected {expected}")]
    Value {
        /// The option.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

fn geometries() -> String {
    let names: Vec<&str> = Geometry::presets().iter().map(|g| g.name).collect();
    names.join(", ")
}

impl CosimOptions {
    /// A device of that geometry with everything else by default: the memory of a ZCU102.
    pub fn new(geometry: &Geometry) -> Self {
        Self {
            geometry: geometry.clone(),
            memory_bytes: DEFAULT_MEMORY_BYTES,
            memory: Memory::of_zcu102(u64::from(geometry.clock_hz)),
            trace: None,
        }
    }

    /// Reads `GEOMETRY[?seed=N&latency=N&write_latency=N&bandwidth=N&memory=SIZE&trace=FILE]`, the
    /// part of a device URI behind `cosim:`.
    ///
    /// # Errors
    /// A name or value that is none, with what there is.
    pub fn parse(text: &str) -> Result<Self, OptionError> {
        let (name, options) = text.split_once('?').unwrap_or((text, ""));
        let geometry = Geometry::by_name(name).ok_or_else(|| OptionError::Geometry {
            name: name.to_owned(),
        })?;
        let mut parsed = Self::new(geometry);
        for option in options.split('&').filter(|o| !o.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let wrong = |name, expected| OptionError::Value {
                name,
                value: value.to_owned(),
                expected,
            };
            let number = |name, range: std::ops::RangeInclusive<u64>, expected| {
                let n = value.parse().ok().filter(|n| range.contains(n));
                n.ok_or_else(|| wrong(name, expected))
            };
            match name {
                "seed" => {
                    parsed.memory.seed = Some(number("seed", 0..=u64::MAX, "a 64-bit number")?)
                }
                "latency" => {
                    parsed.memory.read_latency =
                        number("latency", 2..=MAX_LATENCY, "cycles, 2..=100000")?;
                }
                "write_latency" => {
                    parsed.memory.write_latency =
                        number("write_latency", 4..=MAX_LATENCY, "cycles, 4..=100000")?;
                }
                "bandwidth" => {
                    let beats = number("bandwidth", 1..=10_000, "beats in 100 cycles, 1..=10000")?;
                    parsed.memory.bandwidth = Some(beats);
                }
                "memory" => {
                    let expected = "a size from 4KiB to 64GiB, such as 256MiB";
                    parsed.memory_bytes = size(value).ok_or_else(|| wrong("memory", expected))?;
                }
                "trace" if !value.is_empty() => parsed.trace = Some(PathBuf::from(value)),
                "trace" => return Err(wrong("trace", "a file")),
                _ => {
                    return Err(OptionError::Unknown {
                        name: name.to_owned(),
                    });
                }
            }
        }
        Ok(parsed)
    }
}

/// Bytes of `256MiB`, `1GiB`, `64KiB` or a plain number, if within the bounds.
fn size(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let (digits, shift) = units
        .iter()
        .find_map(|(suffix, shift)| Some((text.strip_suffix(suffix)?, *shift)))
        .unwrap_or((text, 0));
    let bytes = digits.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    (4096..=MAX_MEMORY_BYTES).contains(&bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option() {
        let o = "zcu102?seed=7&latency=90&write_latency=50&bandwidth=80&memory=64MiB&trace=a.fst";
        let o = CosimOptions::parse(o).unwrap();
        assert_eq!((o.geometry.name, o.memory_bytes), ("zcu102", 64 << 20));
        let memory = Memory {
            read_latency: 90,
            write_latency: 50,
            bandwidth: Some(80),
            seed: Some(7),
        };
        assert_eq!((o.memory, o.trace), (memory, Some(PathBuf::from("a.fst"))));
        let tiny = Geometry::by_name("tiny").unwrap();
        assert_eq!(CosimOptions::parse("tiny"), Ok(CosimOptions::new(tiny)));
        // 15.36 GB/s at 214 MHz.
        assert_eq!(CosimOptions::new(tiny).memory.bandwidth, Some(448));
    }

    #[test]
    fn errors_name_the_thing_and_what_there_is() {
        for (text, parts) in [
            ("", &["\"\"", "tiny"][..]),
            ("zcu104?seed=1", &["zcu104", "tiny, paper, zcu102, zcu111"]),
            ("tiny?speed=9", &["speed", "latency=CYCLES"]),
            ("tiny?latency=1", &["latency", "\"1\"", "2..="]),
            ("tiny?write_latency=x", &["write_latency", "\"x\""]),
            ("tiny?bandwidth=0", &["bandwidth", "beats"]),
            ("tiny?seed=-1", &["seed", "64-bit"]),
            ("tiny?memory=18446744073709551615GiB", &["memory"]),
            ("tiny?trace", &["trace", "a file"]),
        ] {
            let error = CosimOptions::parse(text).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{text:?}: {error:?} lacks {part:?}");
            }
        }
    }
}
