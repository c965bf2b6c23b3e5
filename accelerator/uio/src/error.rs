//! Why the accelerator on a board cannot be opened; each with its remedy.

use std::path::PathBuf;

use fqbert_contract::capability::{Difference, IdentityError};
use fqbert_contract::device::DeviceError;
use uio_driver::PhysAddr;
use uio_driver::fpga::{FpgaError, ManifestError};

/// Why the accelerator on a board cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The logic is not known to be configured.
    #[error(
        "{0}. If this kernel has no FPGA manager and the boot loader has loaded the bitstream, say so with manager=none"
    )]
    Manager(#[source] FpgaError),
    /// Registers, interrupt or memory cannot be had.
    #[error(transparent)]
    Device(uio_driver::Error),
    /// Another process has the device or its memory.
    #[error(
        "{} is in use by {}; stop it, or wait for it with uio:NAME?wait=SECONDS",
        path.display(), holder.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Busy {
        /// The locked node.
        path: PathBuf,
        /// Who holds it, where `/proc/locks` tells.
        holder: Option<u32>,
    },
    /// Nothing is named as the DMA memory.
    #[error(
        "no DMA memory: as a UIO region, {uio}; as a u-dma-buf, {udmabuf}. Another name is given with memory=NAME"
    )]
    NoMemory {
        /// Why it is no UIO region.
        uio: uio_driver::Error,
        /// Why it is no `u-dma-buf`.
        udmabuf: uio_driver::Error,
    },
    /// The DMA memory does not start on a page.
    #[error(
        "DMA memory `{name}` starts at {base}, buffers need multiples of 4096; correct its `reg` in the device tree"
    )]
    MemoryBase {
        /// Its name.
        name: String,
        /// Where it starts.
        base: PhysAddr,
    },
    /// The registers are not those of an fqbert accelerator.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An fqbert accelerator of another contract.
    #[error(
        "the loaded bitstream and this program differ: {}; load a bitstream of contract {}.x or use the program it was released with",
        list(.0), fqbert_contract::isa::CONTRACT_MAJOR
    )]
    Contract(Vec<Difference>),
    /// Not the bitstream the manifest describes, or no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The accelerator does not reset, or its interrupt cannot be armed.
    #[error(transparent)]
    Reset(DeviceError),
}

fn list(differences: &[Difference]) -> String {
    let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl From<uio_driver::Error> for OpenError {
    fn from(error: uio_driver::Error) -> Self {
        match error {
            uio_driver::Error::Busy { path, holder } => Self::Busy { path, holder },
            other => Self::Device(other),
        }
    }
}
