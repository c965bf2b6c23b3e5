//! Userspace drivers for logic in a Zynq UltraScale+ (or any other) programmable logic, on the
//! interfaces the kernel offers: UIO for registers and interrupts, a reserved-memory UIO map or
//! `u-dma-buf` for DMA memory, the FPGA manager for the bitstream. The crate knows nothing of what
//! the logic computes.
//!
//! Four nouns:
//!
//! * [`Roots`]: where sysfs, `/dev`, `/proc` and the firmware directory are. A test hands in a
//!   directory; everything below works on it unchanged.
//! * [`UioDevice`]: a UIO node found by *name* (numbers change from boot to boot), held under an
//!   exclusive lock. It gives [`Registers`] and one [`Interrupt`].
//! * [`dma::DmaMemory`]: memory the device reads and writes, whoever provides it.
//! * [`fpga::FpgaManager`]: is the programmable logic configured at all, and how to load it.
//!
//! ```no_run
//! use std::time::Duration;
//! use uio_driver::{Deadline, Roots, UioDevice, fpga::FpgaManager};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let roots = Roots::system();
//! // A register read of unconfigured programmable logic can hang the whole system: ask first.
//! FpgaManager::find(&roots)?.require_operating()?;
//! let device = UioDevice::open(&roots, "accel0")?;
//! let regs = device.registers(0, 0x1000)?;
//! let mut irq = device.interrupt()?;
//! irq.arm()?;
//! regs.write32(0x10, 1)?; // doorbell
//! let wake = irq.wait(Deadline::after(Duration::from_millis(100)))?;
//! println!("interrupt {} after the doorbell", wake.count);
//! # Ok(()) }
//! ```
//!
//! # Rules the crate keeps
//!
//! * No reference, and no slice, ever points into a mapping. UIO maps memory as Device memory on
//!   arm64, where an unaligned or vector access is a `SIGBUS`; the device changes the bytes under
//!   the compiler's feet besides. All access is volatile, aligned and of natural width
//!   ([`volatile`]).
//! * Every offset is checked before it becomes an address, with checked arithmetic.
//! * No wait without a [`Deadline`].
//! * Whoever holds anything that can touch the hardware holds the lock: it lives in the open file
//!   description, which mappings and duplicated descriptors keep alive.
//! * Every refusal is a value ([`Error`]) that says what was found, what was wanted and what to do.
//!
//! # What it does not do
//!
//! dma-heaps (`/dev/dma_heap/*`) are not offered as DMA memory: a heap hands out a dma-buf without
//! a physical address, and with no IOMMU in front of the logic a physical address is what the logic
//! needs. 64-bit register access is left out on purpose: AXI4-Lite registers are 32 bits wide.

pub mod barrier;
mod cma;
mod deadline;
mod device;
mod discover;
pub mod dma;
mod error;
pub mod fpga;
mod irq;
#[cfg(feature = "tokio")]
mod irq_tokio;
mod mmio;
mod node;
mod roots;
mod sysfs;
pub mod volatile;
mod window;

pub use deadline::Deadline;
pub use device::UioDevice;
pub use discover::{MapInfo, Node, find, list};
pub use error::{Error, Result};
pub use irq::{Completion, Interrupt, IrqStats, Stale, WaitError, Wake};
#[cfg(feature = "tokio")]
pub use irq_tokio::AsyncInterrupt;
pub use mmio::Registers;
pub use node::LockWait;
pub use roots::Roots;

/// A physical (bus) address as the logic sees it. Never a pointer: only a map makes one of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysAddr(pub u64);

impl PhysAddr {
    /// The address `bytes` further on, or `None` past the end of the address space.
    pub fn checked_add(self, bytes: u64) -> Option<Self> {
        self.0.checked_add(bytes).map(Self)
    }
}

impl std::fmt::Display for PhysAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
