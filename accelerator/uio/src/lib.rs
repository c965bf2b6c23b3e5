//! The accelerator on a board, behind the `Device` trait [`fqbert_contract::device::Device`].
//!
//! [`uio_driver`] knows how to find, lock and map a device; this crate knows that the device is
//! ours: what must hold before its first register is read, what it says it is, how it is reset, and
//! which interrupt belongs to which run.
//!
//! ```no_run
//! use fqbert_contract::device::Device;
//!
//! let device = fqbert_uio::open(&fqbert_uio::UioOptions::new("fqbert0"))?;
//! println!("{} of {}", device.memory().free, device.capabilities().geometry.name);
//! # Ok::<(), fqbert_uio::OpenError>(())
//! ```
//!
//! Opening, in this order, each step with an error of its own:
//! 1. the FPGA manager reports a loaded design: a register access to unconfigured logic can hang
//!    the system;
//! 2. the register device is found by its name and locked: a second process is refused, or waits if
//!    told to;
//! 3. the DMA memory is found by its name, as a UIO region or as a `u-dma-buf`, and locked too;
//! 4. the capability registers are those of an fqbert accelerator of this contract, and of the
//!    bitstream's manifest if one is given;
//! 5. a reset ends whatever a killed predecessor left running, and drains its interrupts.
//!
//! Not measured on silicon: the virtual board of `cargo xtask vm` runs it on a real kernel.

mod device;
mod error;
mod memory;
mod options;

pub use device::{BoardDevice, Statistics, identity};
pub use error::OpenError;
pub use options::{ManagerCheck, UioOptions};

use uio_driver::Roots;

/// Opens an accelerator of this machine.
///
/// # Errors
/// What is wrong with the board, and what to do about it.
pub fn open(options: &UioOptions) -> Result<BoardDevice, OpenError> {
    BoardDevice::open(&Roots::system(), options)
}
