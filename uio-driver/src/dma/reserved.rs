//! A reserved range, mapped through UIO.

use super::{CacheMode, Direction, DmaMemory, check_range, to_usize};
use crate::window::Window;
use crate::{PhysAddr, Result, barrier};

/// A `no-map` reserved-memory range that is a map of a UIO device ([`crate::UioDevice::memory`]).
/// Stock kernel, no module; the kernel maps it uncached (`pgprot_noncached`), so that
/// synchronising is a barrier and copying is slow.
#[derive(Debug)]
pub struct ReservedMemory {
    name: String,
    window: Window,
    base: PhysAddr,
}

impl ReservedMemory {
    pub(crate) fn new(name: String, window: Window, base: PhysAddr) -> Self {
        Self { name, window, base }
    }
}

impl DmaMemory for ReservedMemory {
    fn name(&self) -> &str {
        &self.name
    }

    fn base(&self) -> PhysAddr {
        self.base
    }

    fn size(&self) -> u64 {
        self.window.len() as u64
    }

    fn cache_mode(&self) -> CacheMode {
        CacheMode::Device
    }

    fn write(&mut self, offset: u64, src: &[u8]) -> Result<()> {
        self.window.write(offset, src)
    }

    fn read(&self, offset: u64, dst: &mut [u8]) -> Result<()> {
        self.window.read(offset, dst)
    }

    fn fill(&mut self, offset: u64, byte: u8, len: u64) -> Result<()> {
        let len = to_usize(self.size(), offset, len)?;
        self.window.fill(offset, byte, len)
    }

    fn sync_for_device(&mut self, offset: u64, len: u64, _: Direction) -> Result<()> {
        check_range(self.size(), offset, len)?;
        barrier::full();
        Ok(())
    }

    fn sync_for_cpu(&mut self, offset: u64, len: u64, _: Direction) -> Result<()> {
        check_range(self.size(), offset, len)?;
        barrier::full();
        Ok(())
    }
}
