//! 32-bit registers.

use std::ptr;

use crate::{PhysAddr, Result, barrier, window::Window};

/// A mapped register file. Reads and writes are single, aligned 32-bit accesses, in program order
/// among themselves (Device memory, and volatile), and may have side effects in the device.
///
/// `&self` suffices for writes: a register file is a shared thing whose order of access is the
/// caller's protocol. A single 32-bit access is indivisible, so two threads can't tear one.
#[derive(Debug)]
pub struct Registers {
    window: Window,
    addr: PhysAddr,
}

impl Registers {
    pub(crate) fn new(window: Window, addr: PhysAddr) -> Self {
        Self { window, addr }
    }

    /// Physical address of offset 0.
    pub fn addr(&self) -> PhysAddr {
        self.addr
    }

    /// Bytes of the register file.
    pub fn size(&self) -> usize {
        self.window.len()
    }

    /// Reads the register at byte `offset`.
    ///
    /// # Errors
    /// [`crate::Error::OutOfRange`], [`crate::Error::Misaligned`] unless a multiple of 4.
    #[allow(unsafe_code)]
    pub fn read32(&self, offset: u32) -> Result<u32> {
        let at = self.window.at(offset.into(), 4, 4)?;
        // SAFETY: `at` checked range and alignment of the offset; maps begin on pages and the
        // device's range on a multiple of 4 (checked when mapped). All accesses of `Registers` are
        // volatile and of this one width. Registers may change by themselves: volatile.
        Ok(unsafe { ptr::read_volatile(at.cast::<u32>()) })
    }

    /// Writes the register at byte `offset`.
    ///
    /// # Errors
    /// As [`Registers::read32`].
    #[allow(unsafe_code)]
    pub fn write32(&self, offset: u32, value: u32) -> Result<()> {
        let at = self.window.at(offset.into(), 4, 4)?;
        // SAFETY: as in `read32`.
        unsafe { ptr::write_volatile(at.cast::<u32>(), value) };
        Ok(())
    }

    /// As [`Registers::write32`], after everything written to any memory before: for doorbells.
    ///
    /// # Errors
    /// As [`Registers::read32`].
    pub fn write32_ordered(&self, offset: u32, value: u32) -> Result<()> {
        barrier::full();
        self.write32(offset, value)
    }
}
