//! A device by its URI.

use fqbert_contract::device::Device;

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
    /// The emulator refuses its part of the URI.
    #[error("device \"{uri}\": {source}")]
    Emulator {
        /// The URI.
        uri: String,
        /// Its reason.
        #[source]
        source: fqbert_emulator::OpenError,
    },
    /// The RTL cannot be simulated.
    #[cfg(feature = "cosim")]
    #[error("device \"{uri}\": {source}")]
    Cosim {
        /// The URI.
        uri: String,
        /// The reason, and what to do.
        #[source]
        source: fqbert_cosim::OpenError,
    },
    /// The accelerator on this board cannot be opened.
    #[cfg(target_os = "linux")]
    #[error("device \"{uri}\": {source}")]
    Uio {
        /// The URI.
        uri: String,
        /// The reason, and what to do.
        #[source]
        source: fqbert_uio::OpenError,
    },
}

fn schemes() -> String {
    DEVICES
        .iter()
        .map(|(_, form, what)| format!("{form} ({what})"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Opens the accelerator a URI names. See [`DEVICES`].
pub fn open_device(uri: &str) -> Result<Box<dyn Device>, OpenError> {
    match uri.split_once(':') {
        Some(("emu", rest)) => match fqbert_emulator::open(rest) {
            Ok(device) => Ok(Box::new(device)),
            Err(source) => Err(OpenError::Emulator {
                uri: uri.to_owned(),
                source,
            }),
        },
        #[cfg(feature = "cosim")]
        Some(("cosim", rest)) => match fqbert_cosim::open(rest) {
            Ok(device) => Ok(Box::new(device)),
            Err(source) => Err(OpenError::Cosim {
                uri: uri.to_owned(),
                source,
            }),
        },
        #[cfg(target_os = "linux")]
        Some(("uio", rest)) => match fqbert_uio::open(rest) {
            Ok(device) => Ok(Box::new(device)),
            Err(source) => Err(OpenError::Uio {
                uri: uri.to_owned(),
                source,
            }),
        },
        _ => Err(OpenError::UnknownScheme {
            uri: uri.to_owned(),
        }),
    }
}
