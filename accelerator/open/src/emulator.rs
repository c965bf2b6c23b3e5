//! `emu:GEOMETRY[?threads=N&kernel=NAME&seed=N&memory=SIZE]`.

use fqbert_contract::timing::Policy;
use fqbert_emulator::{EmulatorOptions, Identity, Kernel};

use crate::uri::{Description, UriError};

/// The bound of every pool, as the URI's numbers are.
const MOST: u64 = fqbert_threads::MOST as u64;

/// Reads the part of the URI behind `emu:`.
pub(crate) fn options(text: &str) -> Result<EmulatorOptions, UriError> {
    let description = Description::of(text);
    let mut options = EmulatorOptions::new(description.geometry()?);
    for option in description.options() {
        match option.name {
            "threads" => {
                let threads = option.number(1..=MOST, "a number of threads, 1..=256")?;
                options.threads = Some(threads as usize);
            }
            "kernel" => options.kernel = Some(option.value.parse()?),
            "seed" => {
                let seed = option.number(0..=u64::MAX, "a 64-bit number")?;
                options.schedule = Policy::Seeded(seed);
            }
            "memory" => options.memory_bytes = option.size()?,
            _ => {
                return Err(option.unknown(
                    "the emulator",
                    "threads=N, kernel=NAME, seed=N and memory=SIZE",
                ));
            }
        }
    }
    Ok(options)
}

/// The kernels of `emu:` that this CPU runs, and the one that it takes where none is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmulatorKernels {
    /// Names, as `?kernel=` takes them.
    pub names: Vec<&'static str>,
    /// The one taken, unless the variable `FQBERT_KERNEL` names another.
    pub default: &'static str,
    /// What this CPU says that it is; none where nothing can be asked.
    pub cpu: Option<String>,
    /// The CPUs by whose times it was chosen.
    pub measured_on: &'static str,
    /// When and how those were measured, or why the order is assumed.
    pub source: &'static str,
}

/// What there is on this CPU.
pub fn emulator_kernels() -> EmulatorKernels {
    let (default, row) = Kernel::choice();
    EmulatorKernels {
        names: Kernel::supported().map(Kernel::name).collect(),
        default: default.name(),
        cpu: Identity::here().map(|cpu| cpu.to_string()),
        measured_on: row.name,
        source: row.source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::check_errors;
    use fqbert_contract::Geometry;

    #[test]
    fn every_option() {
        let o = options("zcu102?threads=3&kernel=scalar&seed=7&memory=256MiB").unwrap();
        assert_eq!((o.geometry.name, o.memory_bytes), ("zcu102", 256 << 20));
        assert_eq!((o.threads, o.kernel), (Some(3), Some(Kernel::Scalar)));
        assert_eq!(o.schedule, Policy::Seeded(7));
        let plain = EmulatorOptions::new(Geometry::by_name("tiny").unwrap());
        assert_eq!(options("tiny").unwrap(), plain);
        assert_eq!(options("tiny?").unwrap(), plain);
    }

    #[test]
    fn errors_name_the_thing_and_what_there_is() {
        check_errors(
            options,
            &[
                ("", &["\"\"", "tiny"]),
                ("zcu104", &["zcu104", "tiny, paper, zcu102, zcu111"]),
                ("tiny?speed=9", &["the emulator", "speed", "threads=N"]),
                ("tiny?threads=0", &["threads", "\"0\"", "1..=256"]),
                ("tiny?threads=257", &["threads", "\"257\"", "1..=256"]),
                ("tiny?threads", &["threads", "\"\""]),
                ("tiny?kernel=gpu", &["gpu", "portable"]),
                ("tiny?seed=-1", &["seed", "-1", "64-bit"]),
                ("tiny?memory=1TiB", &["memory", "1TiB", "64GiB"]),
                ("tiny?memory=99999999999999999999", &["memory"]),
                ("tiny?memory=18446744073709551615GiB", &["memory"]),
                ("tiny?memory=12", &["4KiB"]),
            ],
        );
    }
}
