//! What follows the scheme of a device URI: `NAME[?option=value&...]`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use fqbert_contract::Geometry;
use fqbert_emulator::KernelError;
use fqbert_faults::PlanError;

/// Why the text behind a scheme describes no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// No geometry has the name.
    #[error("no geometry is called {name:?}; there are {}", geometries())]
    Geometry {
        /// What was asked for.
        name: String,
    },
    /// No UIO device's name.
    #[error(
        "no UIO device is named; the device trees of this project name it fqbert0: uio:fqbert0"
    )]
    NoName,
    /// No URI of a device to record.
    #[error(
        "no device is named to be recorded: record:FILE,URI, such as record:run.fqrec,emu:zcu102"
    )]
    NoDevice,
    /// No file.
    #[error("no file is named: such as {example}")]
    NoFile {
        /// A URI that names one.
        example: &'static str,
    },
    /// The kind of device has no such option.
    #[error("{device} has no option {name:?}; there are {options}")]
    Unknown {
        /// The kind of device.
        device: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        options: &'static str,
    },
    /// An option's value is not one.
    #[error("option {name}={value:?}: expected {expected}")]
    Value {
        /// The option.
        name: String,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// Not the parts of a device with faults.
    #[error("{what}; expected fault:SEED,URI or fault:SEED,PLAN,URI, such as fault:7,emu:tiny")]
    Faults {
        /// What is wrong.
        what: String,
    },
    /// No plan of faults.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// No kernel of the emulator has the name.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

fn geometries() -> String {
    let names: Vec<&str> = Geometry::presets().iter().map(|g| g.name).collect();
    names.join(", ")
}

/// The text, in its parts.
pub(crate) struct Description<'a> {
    pub(crate) name: &'a str,
    options: &'a str,
}

impl<'a> Description<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let (name, options) = text.split_once('?').unwrap_or((text, ""));
        Self { name, options }
    }

    /// The geometry of that name.
    pub(crate) fn geometry(&self) -> Result<&'static Geometry, UriError> {
        Geometry::by_name(self.name).ok_or_else(|| UriError::Geometry {
            name: self.name.to_owned(),
        })
    }

    /// The options in their order, later ones to replace earlier ones.
    pub(crate) fn options(&self) -> impl Iterator<Item = Setting<'a>> {
        let options = self.options.split('&').filter(|o| !o.is_empty());
        options.map(|option| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            Setting { name, value }
        })
    }
}

/// An option and its value; the value is empty where none is given.
pub(crate) struct Setting<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a str,
}

impl Setting<'_> {
    /// No device of the kind takes this option.
    pub(crate) fn unknown(&self, device: &'static str, options: &'static str) -> UriError {
        UriError::Unknown {
            device,
            name: self.name.to_owned(),
            options,
        }
    }

    /// The value is not what the option takes.
    pub(crate) fn wrong(&self, expected: &'static str) -> UriError {
        UriError::Value {
            name: self.name.to_owned(),
            value: self.value.to_owned(),
            expected,
        }
    }

    /// A whole number within bounds.
    pub(crate) fn number(
        &self,
        bounds: RangeInclusive<u64>,
        expected: &'static str,
    ) -> Result<u64, UriError> {
        let number = self.value.parse().ok().filter(|n| bounds.contains(n));
        number.ok_or_else(|| self.wrong(expected))
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, expected: &'static str) -> Result<String, UriError> {
        if self.value.is_empty() {
            Err(self.wrong(expected))
        } else {
            Ok(self.value.to_owned())
        }
    }

    /// A path.
    pub(crate) fn path(&self, expected: &'static str) -> Result<PathBuf, UriError> {
        self.text(expected).map(PathBuf::from)
    }

    /// Bytes of a device memory: `256MiB`, `1GiB`, `64KiB` or a plain number.
    pub(crate) fn size(&self) -> Result<u64, UriError> {
        let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
        let (digits, shift) = units
            .iter()
            .find_map(|(suffix, shift)| Some((self.value.strip_suffix(suffix)?, *shift)))
            .unwrap_or((self.value, 0));
        let bytes = digits.parse::<u64>().ok();
        bytes
            .and_then(|bytes| bytes.checked_mul(1 << shift))
            .filter(|bytes| (4096..=fqbert_simulated::MAX_MEMORY_BYTES).contains(bytes))
            .ok_or_else(|| self.wrong("a size from 4KiB to 64GiB, such as 256MiB"))
    }
}

/// Checks that what `options` says of each text contains all of its parts.
#[cfg(test)]
pub(crate) fn check_errors<T: std::fmt::Debug>(
    options: impl Fn(&str) -> Result<T, UriError>,
    cases: &[(&str, &[&str])],
) {
    for (text, parts) in cases {
        let error = options(text).unwrap_err().to_string();
        for part in *parts {
            assert!(error.contains(part), "{text:?}: {error:?} lacks {part:?}");
        }
    }
}
