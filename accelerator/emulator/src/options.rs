//! How an emulated accelerator is built, and the text form of it.

use fqbert_contract::Geometry;
use fqbert_contract::timing::Policy;

use crate::kernels::{Kernel, KernelError};

/// Size of the device memory where nothing else is said: what the board's device tree reserves.
pub const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;
/// Largest device memory: the page table of an emulated accelerator stays below 64 MiB.
pub const MAX_MEMORY_BYTES: u64 = 1 << 36;

/// How an emulated accelerator is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmulatorOptions {
    /// Its geometry.
    pub geometry: Geometry,
    /// Size of its device memory; pages are allocated when they are written.
    pub memory_bytes: u64,
    /// Threads of its kernels; `None` for one per CPU.
    pub threads: Option<usize>,
    /// Path through the arithmetic; `None` for the variable `FQBERT_KERNEL`, else the fastest of
    /// this CPU.
    pub kernel: Option<Kernel>,
    /// In which order ready queues are served: no order changes a result of a legal program.
    pub schedule: Policy,
}

/// Why the text does not describe an emulated accelerator.
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
        "the emulator has no option {name:?}; \
         there are threads=N, kernel=NAME, seed=N and memory=SIZE"
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
    /// The kernel cannot be had.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

fn geometries() -> String {
    let names: Vec<&str> = Geometry::presets().iter().map(|g| g.name).collect();
    names.join(", ")
}

const THREADS: &str = "a number of threads, 1..=1024";
const SIZE: &str = "a size from 4KiB to 64GiB, such as 256MiB";

impl EmulatorOptions {
    /// A device of that geometry with everything else by default.
    pub fn new(geometry: &Geometry) -> Self {
        Self {
            geometry: geometry.clone(),
            memory_bytes: DEFAULT_MEMORY_BYTES,
            threads: None,
            kernel: None,
            schedule: Policy::Earliest,
        }
    }

    /// Reads `GEOMETRY[?threads=N&kernel=NAME&seed=N&memory=SIZE]`, the part of a device URI behind
    /// `emu:`.
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
            match name {
                "threads" => {
                    let threads = value.parse().ok().filter(|n| (1..=1024).contains(n));
                    parsed.threads = Some(threads.ok_or_else(|| wrong("threads", THREADS))?);
                }
                "kernel" => parsed.kernel = Some(value.parse()?),
                "seed" => {
                    let seed = value
                        .parse()
                        .map_err(|_| wrong("seed", "a 64-bit number"))?;
                    parsed.schedule = Policy::Seeded(seed);
                }
                "memory" => {
                    parsed.memory_bytes = size(value).ok_or_else(|| wrong("memory", SIZE))?;
                }
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
        let o = EmulatorOptions::parse("zcu102?threads=3&kernel=scalar&seed=7&memory=256MiB");
        let o = o.unwrap();
        assert_eq!(o.geometry.name, "zcu102");
        assert_eq!((o.threads, o.kernel), (Some(3), Some(Kernel::Scalar)));
        assert_eq!((o.schedule, o.memory_bytes), (Policy::Seeded(7), 256 << 20));
        let plain = EmulatorOptions::parse("tiny").unwrap();
        assert_eq!(
            plain,
            EmulatorOptions::new(Geometry::by_name("tiny").unwrap())
        );
        assert_eq!(EmulatorOptions::parse("tiny?").unwrap(), plain);
    }

    #[test]
    fn errors_name_the_thing_and_what_there_is() {
        for (text, parts) in [
            ("", &["\"\"", "tiny"][..]),
            ("zcu104", &["zcu104", "tiny, paper, zcu102, zcu111"]),
            ("tiny?speed=9", &["speed", "threads=N"]),
            ("tiny?threads=0", &["threads", "\"0\"", "1..=1024"]),
            ("tiny?threads", &["threads", "\"\""]),
            ("tiny?kernel=gpu", &["gpu", "portable"]),
            ("tiny?seed=-1", &["seed", "-1", "64-bit"]),
            ("tiny?memory=1TiB", &["memory", "1TiB", "64GiB"]),
            ("tiny?memory=99999999999999999999", &["memory"]),
            ("tiny?memory=18446744073709551615GiB", &["memory"]),
            ("tiny?memory=12", &["4KiB"]),
        ] {
            let error = EmulatorOptions::parse(text).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{text:?}: {error:?} lacks {part:?}");
            }
        }
    }
}
