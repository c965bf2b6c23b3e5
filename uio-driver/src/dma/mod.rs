//! Memory that both sides see, behind one trait.
//!
//! Two providers: [`ReservedMemory`], a `no-map` reserved range that the device tree exposes as a
//! UIO map (stock kernel, uncached), and [`UDmaBuf`], a buffer of the `u-dma-buf` module (cached
//! or not, with explicit synchronisation). The user sees offsets, physical addresses and copies;
//! never a slice of the memory itself.

mod arena;
mod reserved;
mod udmabuf;

pub use crate::cma::CmaInfo;
pub use arena::{Arena, Range};
pub use reserved::ReservedMemory;
pub use udmabuf::UDmaBuf;

use std::fmt;

use crate::{Error, PhysAddr, Result};

/// How the CPU reaches the memory; decides what synchronisation costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMode {
    /// Device memory: uncached, aligned access only, in order. What UIO maps on arm64.
    Device,
    /// Uncached normal memory, writes perhaps combined on the way.
    WriteCombining,
    /// Cached, and the device does not see the cache: dirty lines must be written back before it
    /// reads, stale lines dropped after it wrote.
    Cached,
    /// Cached, and the device snoops the cache (`dma-coherent`).
    Coherent,
}

impl fmt::Display for CacheMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "device memory",
            Self::WriteCombining => "write-combining",
            Self::Cached => "cached",
            Self::Coherent => "coherent",
        })
    }
}

/// Who reads and who writes between two synchronisations (the kernel's `enum dma_data_direction`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    Bidirectional = 0,
    /// The CPU wrote, the device reads.
    ToDevice = 1,
    /// The device wrote, the CPU reads.
    FromDevice = 2,
}

/// A physically contiguous range of memory that the device may read and write.
///
/// Offsets and lengths are bytes from its start; every call checks them
/// ([`Error::OutOfRange`]). Copies may begin and end anywhere: they are made of aligned accesses.
/// What one side wrote is the other side's only after the sync of that direction, whatever the
/// cache mode: a caller that leaves it out works on one board and fails on the next.
pub trait DmaMemory: Send + std::fmt::Debug {
    /// Its name, for messages.
    fn name(&self) -> &str;
    /// Physical address of offset 0.
    fn base(&self) -> PhysAddr;
    /// Bytes.
    fn size(&self) -> u64;
    /// How the CPU reaches it.
    fn cache_mode(&self) -> CacheMode;
    /// Copies `src` to `offset`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    fn write(&mut self, offset: u64, src: &[u8]) -> Result<()>;
    /// Fills `dst` from `offset`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    fn read(&self, offset: u64, dst: &mut [u8]) -> Result<()>;
    /// Sets `len` bytes from `offset` to `byte`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    fn fill(&mut self, offset: u64, byte: u8, len: u64) -> Result<()>;
    /// Gives the range to the device: what the CPU wrote is visible to it on return.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; those of the provider's interface.
    fn sync_for_device(&mut self, offset: u64, len: u64, direction: Direction) -> Result<()>;
    /// Gives the range to the CPU: what the device wrote is what `read` returns from now on.
    ///
    /// # Errors
    /// As [`DmaMemory::sync_for_device`].
    fn sync_for_cpu(&mut self, offset: u64, len: u64, direction: Direction) -> Result<()>;

    /// Physical address of `len` bytes at `offset`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    fn phys(&self, offset: u64, len: u64) -> Result<PhysAddr> {
        check_range(self.size(), offset, len)?;
        let overflow = || Error::BadRequest {
            reason: format!("address {} + {offset:#x} overflows", self.base()),
        };
        self.base().checked_add(offset).ok_or_else(overflow)
    }
}

/// `OutOfRange` unless `offset..offset + len` lies in `size` bytes.
pub(crate) fn check_range(size: u64, offset: u64, len: u64) -> Result<()> {
    match offset.checked_add(len) {
        Some(end) if end <= size => Ok(()),
        _ => Err(Error::OutOfRange {
            what: "the DMA memory",
            offset,
            len,
            size,
        }),
    }
}

/// A `u64` length of a checked range as `usize`.
fn to_usize(size: u64, offset: u64, len: u64) -> Result<usize> {
    check_range(size, offset, len)?;
    usize::try_from(len).map_err(|_| Error::OutOfRange {
        what: "the DMA memory",
        offset,
        len,
        size,
    })
}
