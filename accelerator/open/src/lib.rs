//! A device by its URI, such as `emu:zcu102?threads=2` or `uio:fqbert0`.
//!
//! The one place that knows every backend and the text that describes each: backends take options
//! as values, and what runs on a device takes it as a [`Device`], so neither a compiler nor a
//! session can reach a backend.
//!
//! ```
//! let device = fqbert_open::open_device("emu:tiny?threads=1")?;
//! assert_eq!(device.capabilities().geometry.name, "tiny");
//! # Ok::<(), fqbert_open::OpenError>(())
//! ```

#[cfg(feature = "cosim")]
mod cosim;
mod emulator;
mod faults;
mod recording;
#[cfg(target_os = "linux")]
mod uio;
mod uri;

pub use emulator::{EmulatorKernels, emulator_kernels};
use fqbert_contract::device::Device;
use fqbert_faults::FaultyDevice;
pub use uri::UriError;

/// The backend behind `cosim:`, for those who look into its errors.
#[cfg(feature = "cosim")]
pub use fqbert_cosim;

/// The devices of this build: scheme, form and meaning.
pub const DEVICES: &[(&str, &str, &str)] = &[
    (
        "emu",
        "emu:GEOMETRY[?threads=N&kernel=NAME&seed=N&memory=SIZE]",
        "bit-exact emulation on this CPU; geometries tiny, paper, zcu102, zcu111",
    ),
    #[cfg(feature = "cosim")]
    (
        "cosim",
        "cosim:GEOMETRY[?seed=N&latency=N&write_latency=N&bandwidth=N&memory=SIZE&trace=FILE]",
        "the accelerator's RTL in simulation; geometry tiny, others where the build has them",
    ),
    #[cfg(target_os = "linux")]
    (
        "uio",
        "uio:NAME[?memory=NAME&wait=SECONDS&deadline=MS&manager=none&cached=no&manifest=FILE]",
        "the accelerator on this board, by the name of its UIO device, such as uio:fqbert0",
    ),
    (
        "fault",
        "fault:SEED[,NAME=CHANCE+NAME@NUMBER+...],URI",
        "another device with faults drawn from the seed, to test what is built on it; names in \
         docs/simulation.md",
    ),
    (
        "record",
        "record:FILE[?limit=SIZE&steps=yes],URI",
        "the device of that URI, all that is done with it recorded to a new file",
    ),
    (
        "replay",
        "replay:FILE",
        "what was recorded, without the device",
    ),
];

/// Why a URI opens no device.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No scheme, or one that this build does not have.
    #[error("\"{uri}\" names no device; there are: {}", schemes())]
    UnknownScheme {
        /// The URI.
        uri: String,
    },
    /// What follows the scheme describes none of its devices.
    #[error("device \"{uri}\": {source}")]
    Uri {
        /// The URI.
        uri: String,
        /// What is wrong with it, and what there is.
        #[source]
        source: UriError,
    },
    /// The accelerator cannot be emulated.
    #[error("device \"{uri}\": {source}")]
    Emulator {
        /// The URI.
        uri: String,
        /// The reason, and what to do.
        #[source]
        source: fqbert_emulator::EmulatorError,
    },
    /// The RTL cannot be simulated.
    #[cfg(feature = "cosim")]
    #[error("device \"{uri}\": {source}")]
    Cosim {
        /// The URI.
        uri: String,
        /// The reason, and what to do.
        #[source]
        source: fqbert_cosim::CosimError,
    },
    /// The recording cannot be made.
    #[error("device \"{uri}\": {source}")]
    Record {
        /// The URI.
        uri: String,
        /// The reason, and what to do.
        #[source]
        source: fqbert_recording::CreateError,
    },
    /// The recording cannot be replayed.
    #[error("device \"{uri}\": {source}")]
    Replay {
        /// The URI.
        uri: String,
        /// The reason, and what to do.
        #[source]
        source: fqbert_recording::ReadError,
    },
    /// The accelerator on this board cannot be opened.
    #[cfg(target_os = "linux")]
    #[error("device \"{uri}\": {source}")]
    Uio {
        /// The URI.
        uri: String,
        /// The reason, and what to do.
        #[source]
        source: fqbert_uio::BoardError,
    },
}

fn schemes() -> String {
    DEVICES
        .iter()
        .map(|(_, form, what)| format!("{form} ({what})"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Opens the device a URI names. See [`DEVICES`].
///
/// # Errors
/// What is wrong with the URI or the device, and what to do about it.
pub fn open_device(uri: &str) -> Result<Box<dyn Device>, OpenError> {
    let unreadable = |source| OpenError::Uri {
        uri: uri.to_owned(),
        source,
    };
    match uri.split_once(':') {
        Some(("emu", text)) => {
            let options = emulator::options(text).map_err(unreadable)?;
            match fqbert_emulator::EmulatedDevice::new(options) {
                Ok(device) => Ok(Box::new(device)),
                Err(source) => Err(OpenError::Emulator {
                    uri: uri.to_owned(),
                    source,
                }),
            }
        }
        #[cfg(feature = "cosim")]
        Some(("cosim", text)) => {
            let options = cosim::options(text).map_err(unreadable)?;
            match fqbert_cosim::CosimDevice::new(options) {
                Ok(device) => Ok(Box::new(device)),
                Err(source) => Err(OpenError::Cosim {
                    uri: uri.to_owned(),
                    source,
                }),
            }
        }
        #[cfg(target_os = "linux")]
        Some(("uio", text)) => {
            let options = uio::options(text).map_err(unreadable)?;
            match fqbert_uio::open(&options) {
                Ok(device) => Ok(Box::new(device)),
                Err(source) => Err(OpenError::Uio {
                    uri: uri.to_owned(),
                    source,
                }),
            }
        }
        Some(("fault", text)) => {
            let (seed, plan, inner) = faults::parts(text).map_err(unreadable)?;
            let inner = open_device(inner)?;
            Ok(Box::new(FaultyDevice::new(inner, seed, plan)))
        }
        Some(("record", text)) => recording::record(uri, text),
        Some(("replay", file)) => recording::replay(uri, file),
        _ => Err(OpenError::UnknownScheme {
            uri: uri.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_uri_and_what_there_is() {
        for (uri, says) in [
            ("", "\"\" names no device; there are: emu:GEOMETRY["),
            ("zcu102", "\"zcu102\" names no device; there are: "),
            ("usb:1", "\"usb:1\" names no device; there are: "),
            (
                "emu:huge",
                "device \"emu:huge\": no geometry is called \"huge\"; there are tiny, paper",
            ),
            (
                "emu:tiny?speed=9",
                "device \"emu:tiny?speed=9\": the emulator has no option \"speed\"; there are ",
            ),
            ("fault:1,emu:huge", "device \"emu:huge\": no geometry"),
            (
                "fault:1,lost=1,emu:tiny",
                "device \"fault:1,lost=1,emu:tiny\": no fault is called \"lost\"; there are ",
            ),
            #[cfg(target_os = "linux")]
            ("uio:", "device \"uio:\": no UIO device is named"),
        ] {
            let error = open_device(uri).err().expect(uri).to_string();
            assert!(error.starts_with(says), "{error:?} is not {says:?}");
        }
    }
}
