//! What a device must be to sit behind the register page.

use crate::GuestDdr;

/// A device seen through 32-bit registers, an interrupt line and DMA.
///
/// Calls are serialised: the board holds a lock around each. `offset` is a multiple of 4 inside the
/// register block; an offset without a register reads 0 and ignores writes.
pub trait RegisterModel: Send {
    /// Bytes of the register block. What the device tree maps beyond it reads 0.
    fn block_bytes(&self) -> u32 {
        4096
    }

    /// A register's present value. Called often and for every offset, with no access by the guest
    /// behind it: it must have no side effect.
    fn read32(&mut self, offset: u32) -> u32;

    /// A store by the guest. The guest's CPU stands still meanwhile, so this only does what the bus
    /// write itself does; what takes longer is left to [`Self::step`].
    fn write32(&mut self, offset: u32, value: u32, ddr: &mut GuestDdr);

    /// The level of the interrupt line.
    fn irq_level(&self) -> bool;

    /// Whether a write left work behind.
    fn busy(&self) -> bool {
        false
    }

    /// Does the next piece of that work (a few milliseconds at most, so that stores in between are
    /// served soon). Called by the worker while [`Self::busy`].
    fn step(&mut self, ddr: &mut GuestDdr) {
        let _ = ddr;
    }
}
