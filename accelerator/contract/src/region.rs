//! First-fit allocation of device memory: what stands behind
//! [`allocate`](crate::device::Device::allocate) and [`free`](crate::device::Device::free) of every
//! device. Bookkeeping only, it touches no memory.

use std::collections::BTreeMap;

use crate::address::{Bytes, DeviceAddress};
use crate::device::{Allocation, BufferId, DeviceError, MemoryInfo};

/// Alignment and granularity of an allocation: a page.
pub const ALIGNMENT: u64 = 4096;

/// Where a buffer lies, in bytes from the start of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First byte.
    pub start: u64,
    /// Bytes as asked for.
    pub size: u64,
}

impl Block {
    /// Bytes it occupies.
    pub fn occupied(&self) -> u64 {
        // `allocate` has checked that it does not overflow.
        self.size.max(1).next_multiple_of(ALIGNMENT)
    }
}

/// Free and allocated parts of a memory. Handles are never used twice, so a stale one is an error
/// and not another buffer.
#[derive(Debug)]
pub struct Allocator {
    base: DeviceAddress,
    total: u64,
    /// Free blocks: length by start; never adjacent.
    free: BTreeMap<u64, u64>,
    buffers: BTreeMap<u32, Block>,
    next: u32,
}

impl Allocator {
    /// An empty memory of `total` bytes from `base` on, rounded down to whole pages.
    pub fn new(base: DeviceAddress, total: u64) -> Self {
        let total = total / ALIGNMENT * ALIGNMENT;
        let free = if total > 0 {
            BTreeMap::from([(0, total)])
        } else {
            BTreeMap::new()
        };
        Self {
            base,
            total,
            free,
            buffers: BTreeMap::new(),
            next: 1,
        }
    }

    /// Total and free bytes.
    pub fn info(&self) -> MemoryInfo {
        MemoryInfo {
            base: self.base,
            total: Bytes(self.total),
            free: Bytes(self.free.values().sum()),
            largest_free: Bytes(self.largest_free()),
        }
    }

    /// The largest allocation that can succeed.
    fn largest_free(&self) -> u64 {
        self.free.values().copied().max().unwrap_or(0)
    }

    /// Reserves a buffer. `remedy` says what to do where the memory is too small.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`].
    pub fn allocate(
        &mut self,
        size: Bytes,
        remedy: &'static str,
    ) -> Result<Allocation, DeviceError> {
        let Some((id, block)) = self.take(size.0) else {
            return Err(DeviceError::OutOfMemory {
                wanted: size,
                largest_free: Bytes(self.largest_free()),
                total: Bytes(self.total),
                remedy,
            });
        };
        Ok(Allocation {
            id,
            address: DeviceAddress(self.base.0 + block.start),
            size,
        })
    }

    /// The first free block of at least `size` bytes; `None` if there is none or all handles are
    /// used up.
    fn take(&mut self, size: u64) -> Option<(BufferId, Block)> {
        let occupied = size.max(1).checked_next_multiple_of(ALIGNMENT)?;
        let next = self.next.checked_add(1)?;
        let (start, length) = self
            .free
            .iter()
            .map(|(s, l)| (*s, *l))
            .find(|(_, length)| *length >= occupied)?;
        self.free.remove(&start);
        if length > occupied {
            self.free.insert(start + occupied, length - occupied);
        }
        let (id, block) = (self.next, Block { start, size });
        self.next = next;
        self.buffers.insert(id, block);
        Some((BufferId(id), block))
    }

    /// Gives a buffer's block back and joins it with its free neighbours.
    ///
    /// # Errors
    /// [`DeviceError::UnknownBuffer`].
    pub fn free(&mut self, id: BufferId) -> Result<Block, DeviceError> {
        let block = self
            .buffers
            .remove(&id.0)
            .ok_or(DeviceError::UnknownBuffer(id))?;
        let (mut start, mut length) = (block.start, block.occupied());
        let before = self.free.range(..start).next_back().map(|(s, l)| (*s, *l));
        if let Some((before, bytes)) = before.filter(|(s, l)| s + l == start) {
            self.free.remove(&before);
            (start, length) = (before, length + bytes);
        }
        if let Some(bytes) = self.free.remove(&(start + length)) {
            length += bytes;
        }
        self.free.insert(start, length);
        Ok(block)
    }

    /// The block of a buffer, if bytes `offset..offset + length` lie inside it.
    ///
    /// # Errors
    /// [`DeviceError::UnknownBuffer`], [`DeviceError::OutOfBounds`].
    pub fn covering(&self, id: BufferId, offset: Bytes, length: u64) -> Result<Block, DeviceError> {
        let block = self.buffers.get(&id.0).copied();
        let block = block.ok_or(DeviceError::UnknownBuffer(id))?;
        match offset.0.checked_add(length) {
            Some(end) if end <= block.size => Ok(block),
            _ => Err(DeviceError::OutOfBounds {
                buffer: id,
                size: Bytes(block.size),
                offset,
                length: Bytes(length),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BASE: DeviceAddress = DeviceAddress(0x7000_0000);

    #[test]
    fn freed_neighbours_join() {
        let mut a = Allocator::new(BASE, 3 * ALIGNMENT + 17);
        assert_eq!(a.total, 3 * ALIGNMENT);
        let ids: Vec<_> = (0..3).map(|_| a.take(1).unwrap().0).collect();
        assert_eq!(a.take(1), None);
        for id in [ids[0], ids[2], ids[1]] {
            a.free(id).unwrap();
        }
        assert_eq!(a.largest_free(), a.total);
        assert!(a.free(ids[1]).is_err(), "freed twice");
        assert_eq!(a.take(u64::MAX), None);
        let buffer = a.allocate(Bytes(5), "").unwrap();
        assert_eq!((buffer.address, buffer.size), (BASE, Bytes(5)));
        let error = a.allocate(Bytes(u64::MAX), "enlarge it").unwrap_err();
        assert!(error.to_string().ends_with("enlarge it"), "{error}");
    }

    #[test]
    fn ranges_are_checked_against_the_size_asked_for() {
        let mut a = Allocator::new(BASE, 4 * ALIGNMENT);
        let (id, block) = a.take(100).unwrap();
        assert_eq!(a.covering(id, Bytes(100), 0).unwrap(), block);
        assert_eq!(a.covering(id, Bytes(1), 99).unwrap(), block);
        for (offset, length) in [(1, 100), (101, 0), (u64::MAX, 1), (0, u64::MAX)] {
            let error = a.covering(id, Bytes(offset), length).unwrap_err();
            assert!(matches!(error, DeviceError::OutOfBounds { .. }), "{error}");
        }
        a.free(id).unwrap();
        let error = a.covering(id, Bytes(0), 0).unwrap_err();
        assert!(matches!(error, DeviceError::UnknownBuffer(_)), "{error}");
    }

    proptest! {
        #[test]
        fn buffers_never_overlap_and_nothing_is_lost(
            steps in proptest::collection::vec((any::<bool>(), 0u64..20_000), 1..60),
        ) {
            let mut a = Allocator::new(BASE, 1 << 17);
            let mut live: Vec<(BufferId, Block)> = Vec::new();
            for (free, n) in steps {
                if free && !live.is_empty() {
                    let (id, block) = live.swap_remove(n as usize % live.len());
                    prop_assert_eq!(a.free(id).ok(), Some(block));
                } else if let Some((id, block)) = a.take(n) {
                    prop_assert_eq!(block.start % ALIGNMENT, 0);
                    prop_assert!(block.start + block.occupied() <= a.total);
                    for (_, other) in &live {
                        let disjoint = block.start + block.occupied() <= other.start
                            || other.start + other.occupied() <= block.start;
                        prop_assert!(disjoint, "{:?} {:?}", block, other);
                    }
                    live.push((id, block));
                } else {
                    prop_assert!(a.largest_free() < n.max(1));
                }
                let used: u64 = live.iter().map(|(_, s)| s.occupied()).sum();
                prop_assert_eq!(used + a.info().free.0, a.total);
            }
        }
    }
}
