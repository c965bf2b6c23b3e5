//! The accelerator on a board, behind the seam [`fqbert_contract::seam::Fabric`].
//!
//! [`uio_driver`] knows how to find, lock and map a device; this crate knows that the device is ours: what must hold
//! before its first register is read, what it says it is, how it is reset, and which interrupt belongs to which run.
//!
//! ```no_run
//! use fqbert_contract::seam::Fabric;
//!
//! let fabric = fqbert_uio::open("fqbert0")?;
//! println!("{} of {}", fabric.memory().free, fabric.capabilities().geometry.name);
//! # Ok::<(), fqbert_uio::OpenError>(())
//! ```
//!
//! Opening, in this order, each step with an error of its own:
//! 1. the FPGA manager reports a loaded design: a register access to unconfigured logic can hang the system;
//! 2. the register device is found by its name and locked: a second process is refused, or waits if told to;
//! 3. the DMA memory is found by its name, as a UIO region or as a `u-dma-buf`, and locked too;
//! 4. the capability registers are those of an fqbert fabric of this contract, and of the bitstream's manifest if one is given;
//! 5. a reset ends whatever a killed predecessor left running, and drains its interrupts.
//!
//! Not measured on silicon: the virtual board of `cargo xtask vm` runs it on a real kernel.

mod error;
mod fabric;
mod memory;
mod options;

pub use error::OpenError;
pub use fabric::{Statistics, UioFabric, identity};
pub use options::{ManagerCheck, OptionError, UioOptions};

use uio_driver::Roots;

/// Opens the fabric described as `NAME[?memory=NAME&wait=SECONDS&deadline=MS&manager=none&cached=no&manifest=FILE]`, the
/// part of a fabric URI behind `uio:`.
///
/// # Errors
/// What is wrong with the text or the board, and what to do about it.
pub fn open(uri_rest: &str) -> Result<UioFabric, OpenError> {
    UioFabric::open(&Roots::system(), &UioOptions::parse(uri_rest)?)
}
