//! What to open and how, and the text form of it.

use std::path::PathBuf;
use std::time::Duration;

/// Whether the FPGA manager is asked before the first register access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagerCheck {
    /// It must report `operating`.
    Operating,
    /// It is not asked: the user vouches that the logic is configured. For kernels without a
    /// manager.
    None,
}

/// What to open and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UioOptions {
    /// Name of the UIO device with the registers (`linux,uio-name` in the device tree).
    pub name: String,
    /// Name of the DMA memory: a UIO device or a `u-dma-buf`. The device trees of this project call
    /// it `NAME-dma`.
    pub memory: String,
    /// How long to wait for a process that holds the device; zero refuses at once.
    pub wait: Duration,
    /// How long a reset may take.
    pub deadline: Duration,
    /// Whether the FPGA manager is asked.
    pub manager: ManagerCheck,
    /// Map a `u-dma-buf` through the CPU's cache, with cache maintenance at each sync. A UIO region
    /// is never cached.
    pub cached: bool,
    /// A bitstream manifest whose identity the registers must have.
    pub manifest: Option<PathBuf>,
}

/// Why the text does not describe a device on a board.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No device name.
    #[error(
        "no UIO device is named; the device trees of this project name it fqbert0: uio:fqbert0"
    )]
    NoName,
    /// No option has the name.
    #[error(
        "uio has no option {name:?}; there are memory=NAME, wait=SECONDS, deadline=MS, manager=none, cached=no and manifest=FILE"
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

/// A reset drains outstanding bursts, which is microseconds; this is for a memory controller under
/// full load.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(1);

impl UioOptions {
    /// That device with everything else by default.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            memory: format!("{name}-dma"),
            wait: Duration::ZERO,
            deadline: DEFAULT_DEADLINE,
            manager: ManagerCheck::Operating,
            cached: true,
            manifest: None,
        }
    }

    /// Reads `NAME[?option=value&...]`, the part of a device URI behind `uio:`.
    ///
    /// # Errors
    /// A name or value that is none, with what there is.
    pub fn parse(text: &str) -> Result<Self, OptionError> {
        let (name, options) = text.split_once('?').unwrap_or((text, ""));
        if name.is_empty() {
            return Err(OptionError::NoName);
        }
        let mut parsed = Self::new(name);
        for option in options.split('&').filter(|o| !o.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let wrong = |name, expected| OptionError::Value {
                name,
                value: value.to_owned(),
                expected,
            };
            let number = |name, max, expected| {
                let parsed = value.parse().ok().filter(|n| *n <= max);
                parsed.ok_or_else(|| wrong(name, expected))
            };
            match name {
                "memory" if value.is_empty() => {
                    return Err(wrong(
                        "memory",
                        "the name of a UIO device or u-dma-buf buffer",
                    ));
                }
                "memory" => parsed.memory = value.to_owned(),
                "wait" => {
                    parsed.wait = Duration::from_secs(number("wait", 86_400, "seconds, 0..=86400")?)
                }
                "deadline" => {
                    let ms = number("deadline", 600_000, "milliseconds, 0..=600000")?;
                    parsed.deadline = Duration::from_millis(ms);
                }
                "manager" if value == "none" => parsed.manager = ManagerCheck::None,
                "manager" => return Err(wrong("manager", "none")),
                "cached" => {
                    parsed.cached = match value {
                        "yes" => true,
                        "no" => false,
                        _ => return Err(wrong("cached", "yes or no")),
                    }
                }
                "manifest" if value.is_empty() => {
                    return Err(wrong("manifest", "the path of a bitstream manifest"));
                }
                "manifest" => parsed.manifest = Some(PathBuf::from(value)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option() {
        let all = UioOptions::parse(
            "accel?memory=pool&wait=5&deadline=250&manager=none&cached=no&manifest=/lib/firmware/x.toml",
        );
        let expected = UioOptions {
            name: "accel".into(),
            memory: "pool".into(),
            wait: Duration::from_secs(5),
            deadline: Duration::from_millis(250),
            manager: ManagerCheck::None,
            cached: false,
            manifest: Some("/lib/firmware/x.toml".into()),
        };
        assert_eq!(all, Ok(expected));
        let plain = UioOptions::parse("fqbert0").unwrap();
        assert_eq!(plain, UioOptions::new("fqbert0"));
        assert_eq!(plain.memory, "fqbert0-dma");
        assert_eq!(UioOptions::parse("fqbert0?&"), Ok(plain));
    }

    #[test]
    fn errors_name_the_thing_and_what_there_is() {
        for (text, parts) in [
            ("", &["uio:fqbert0"][..]),
            ("?wait=1", &["uio:fqbert0"]),
            ("fqbert0?speed=9", &["speed", "wait=SECONDS"]),
            ("fqbert0?memory=", &["memory", "u-dma-buf"]),
            ("fqbert0?wait=-1", &["wait", "-1", "86400"]),
            ("fqbert0?wait=99999999999999999999", &["wait"]),
            (
                "fqbert0?deadline=soon",
                &["deadline", "soon", "milliseconds"],
            ),
            ("fqbert0?manager=fpga0", &["manager", "fpga0", "none"]),
            ("fqbert0?cached", &["cached", "yes or no"]),
            ("fqbert0?manifest", &["manifest", "path"]),
        ] {
            let error = UioOptions::parse(text).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{text:?}: {error:?} lacks {part:?}");
            }
        }
    }
}
