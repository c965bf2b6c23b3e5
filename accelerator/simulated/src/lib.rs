//! What accelerators that are not hardware share, emulated or verilated.
//!
//! - [`Ddr`]: the memory behind the accelerator's AXI ports, as every model of it sees it.
//! - [`DeviceMemory`]: buffers of a device behind the `Device` trait, with two views of their
//!   bytes: what the CPU wrote is not what DMA reads until it is synced, so a forgotten sync fails
//!   on a laptop.
//! - [`Simulated`]: what a test may do to such a device beyond the `Device` trait: make the bus
//!   fail, stop the clock in the middle of a program, see open bursts.

mod control;
mod ddr;
mod dram;
mod memory;

pub use control::Simulated;
pub use ddr::{AxiFault, Ddr, Lent, PAGE, Refusal};
pub use dram::Dram;
pub use memory::{DEFAULT_MEMORY_BYTES, DeviceMemory, MAX_MEMORY_BYTES};
