//! A fabric by its URI.

use fqbert_contract::seam::Fabric;

/// The fabrics of this build: scheme, form and meaning.
pub const FABRICS: &[(&str, &str, &str)] = &[
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

/// Why a URI opens no fabric.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No scheme, or one that this build does not have.
    #[error("\"{uri}\" names no fabric; there are: {}", schemes())]
    UnknownScheme {
        /// The URI.
        uri: String,
    },
    /// The emulator refuses its part of the URI.
    #[error("fabric \"{uri}\": {source}")]
    Emulator {
        /// The URI.
        uri: String,
        /// Its reason.
        #[source]
        source: fqbert_emulator::OpenError,
    },
    /// The RTL cannot be simulated.
    #[cfg(feature = "cosim")]
    #[error("fabric \"{uri}\": {source}")]
    Cosim {
        /// The URI.
        uri: String,
        /// The reason, and what to do.
        #[source]
        source: fqbert_cosim::OpenError,
    },
    /// The accelerator on this board cannot be opened.
    #[cfg(target_os = "linux")]
    #[error("fabric \"{uri}\": {source}")]
    Uio {
        /// The URI.
        uri: String,
        /// The reason, and what to do.
        #[source]
        source: fqbert_uio::OpenError,
    },
}

fn schemes() -> String {
    FABRICS
        .iter()
        .map(|(_, form, what)| format!("{form} ({what})"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Opens the fabric a URI names. See [`FABRICS`].
pub fn open_fabric(uri: &str) -> Result<Box<dyn Fabric>, OpenError> {
    match uri.split_once(':') {
        Some(("emu", rest)) => match fqbert_emulator::open(rest) {
            Ok(fabric) => Ok(Box::new(fabric)),
            Err(source) => Err(OpenError::Emulator {
                uri: uri.to_owned(),
                source,
            }),
        },
        #[cfg(feature = "cosim")]
        Some(("cosim", rest)) => match fqbert_cosim::open(rest) {
            Ok(fabric) => Ok(Box::new(fabric)),
            Err(source) => Err(OpenError::Cosim {
                uri: uri.to_owned(),
                source,
            }),
        },
        #[cfg(target_os = "linux")]
        Some(("uio", rest)) => match fqbert_uio::open(rest) {
            Ok(fabric) => Ok(Box::new(fabric)),
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
