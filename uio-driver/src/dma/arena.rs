//! Which bytes of a DMA range are in use. Bookkeeping only: it never touches the memory, so that a
//! device that scribbles over its buffers cannot break the allocator.

use std::collections::BTreeMap;

use crate::{Error, PhysAddr, Result};

/// An allocated piece of an [`Arena`]: freed by giving it back, hence neither `Copy` nor `Clone`.
#[derive(Debug, PartialEq, Eq)]
pub struct Range {
    offset: u64,
    len: u64,
}

impl Range {
    /// First byte, from the start of the memory.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes, as asked for, rounded up to the granule.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Never: a range of no bytes is refused.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// First-fit allocator over a physically contiguous range. Sizes and places are whole granules of
/// 64 bytes (a cache line), so that two buffers never share a line that a sync would drop.
#[derive(Debug)]
pub struct Arena {
    base: PhysAddr,
    size: u64,
    /// Free pieces by offset; never adjacent, never empty.
    free: BTreeMap<u64, u64>,
    /// Allocated pieces by offset, so that a range of another arena is refused.
    used: BTreeMap<u64, u64>,
}

impl Arena {
    /// Bytes of a granule.
    pub const GRANULE: u64 = 64;

    /// An arena over `size` bytes at physical address `base`. A tail below a granule is left out.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when `base` is no granule address or the range overflows.
    pub fn new(base: PhysAddr, size: u64) -> Result<Self> {
        if !base.0.is_multiple_of(Self::GRANULE) || base.checked_add(size).is_none() {
            let reason = format!(
                "{size:#x} bytes at {base} are no arena: the base must be a multiple of {} and the \
                 end below 2^64",
                Self::GRANULE
            );
            return Err(Error::BadRequest { reason });
        }
        let size = size - size % Self::GRANULE;
        let free = (size > 0).then_some((0, size)).into_iter().collect();
        Ok(Self {
            base,
            size,
            free,
            used: BTreeMap::new(),
        })
    }

    /// Bytes in all.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes free in all, perhaps in pieces.
    pub fn free_bytes(&self) -> u64 {
        self.free.values().sum()
    }

    /// Bytes of the largest free piece.
    pub fn largest(&self) -> u64 {
        self.free.values().copied().max().unwrap_or(0)
    }

    /// Takes `len` bytes whose *physical* address is a multiple of `align`.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for no bytes or an alignment that is no power of two;
    /// [`Error::OutOfMemory`].
    pub fn allocate(&mut self, len: u64, align: u64) -> Result<Range> {
        if len == 0 || !align.is_power_of_two() {
            let reason = format!(
                "{len} bytes aligned to {align} can't be allocated: at least one byte, a power of \
                 two"
            );
            return Err(Error::BadRequest { reason });
        }
        let full = Error::OutOfMemory {
            asked: len,
            align,
            free: self.free_bytes(),
            largest: self.largest(),
            size: self.size,
        };
        let align = align.max(Self::GRANULE);
        let Some(len) = len.checked_next_multiple_of(Self::GRANULE) else {
            return Err(full);
        };
        let fit = self.free.iter().find_map(|(&offset, &piece)| {
            let start = self
                .base
                .0
                .checked_add(offset)?
                .checked_next_multiple_of(align)?;
            let start = start.checked_sub(self.base.0)?;
            let rest = offset
                .checked_add(piece)?
                .checked_sub(start.checked_add(len)?)?;
            Some((offset, start, rest))
        });
        let Some((offset, start, rest)) = fit else {
            return Err(full);
        };
        self.free.remove(&offset);
        if start > offset {
            self.free.insert(offset, start - offset);
        }
        if rest > 0 {
            self.free.insert(start + len, rest);
        }
        self.used.insert(start, len);
        Ok(Range { offset: start, len })
    }

    /// Gives a range back.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a range that this arena did not give.
    pub fn release(&mut self, range: Range) -> Result<()> {
        if self.used.get(&range.offset) != Some(&range.len) {
            let Range { offset, len } = range;
            let reason = format!("{len} bytes at offset {offset:#x} are not of this arena");
            return Err(Error::BadRequest { reason });
        }
        self.used.remove(&range.offset);
        let (mut offset, mut len) = (range.offset, range.len);
        if let Some(after) = self.free.remove(&(offset + len)) {
            len += after;
        }
        if let Some((&before, &piece)) = self.free.range(..offset).next_back()
            && before + piece == offset
        {
            self.free.remove(&before);
            offset = before;
            len += piece;
        }
        self.free.insert(offset, len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn alignment_is_of_the_physical_address() {
        let mut arena = Arena::new(PhysAddr(0x1000_0040), 1 << 20).unwrap();
        let range = arena.allocate(10, 4096).unwrap();
        assert_eq!((0x1000_0040 + range.offset()) % 4096, 0);
        assert_eq!(range.len(), 64);
    }

    #[test]
    fn refusals_carry_numbers() {
        let mut arena = Arena::new(PhysAddr(0), 1000).unwrap();
        assert_eq!(arena.size(), 960, "the tail below a granule is left out");
        let a = arena.allocate(320, 1).unwrap();
        let b = arena.allocate(320, 1).unwrap();
        arena.release(a).unwrap();
        let error = arena.allocate(384, 1).unwrap_err();
        assert!(
            matches!(
                error,
                Error::OutOfMemory {
                    asked: 384,
                    free: 640,
                    largest: 320,
                    ..
                }
            ),
            "{error}"
        );
        arena.release(b).unwrap();
        assert_eq!(arena.largest(), 960, "neighbours are joined");
        for (len, align) in [(0, 1), (1, 0), (1, 3)] {
            assert!(matches!(
                arena.allocate(len, align),
                Err(Error::BadRequest { .. })
            ));
        }
        for (len, align) in [(u64::MAX, 1), (1, 1 << 63), (961, 1)] {
            assert!(matches!(
                arena.allocate(len, align),
                Ok(_) | Err(Error::OutOfMemory { .. })
            ));
        }
        let mut other = Arena::new(PhysAddr(0), 4096).unwrap();
        other.allocate(64, 1).unwrap();
        let foreign = other.allocate(128, 1).unwrap();
        assert!(matches!(
            arena.release(foreign),
            Err(Error::BadRequest { .. })
        ));
        assert!(Arena::new(PhysAddr(u64::MAX - 63), 4096).is_err());
    }

    proptest! {
        /// Live ranges never overlap, are aligned and inside; all freed, the arena is whole again.
        #[test]
        fn random_traffic(
            ops in prop::collection::vec((any::<bool>(), 1u64..5000, 0u32..14), 1..200),
        ) {
            let size = 1 << 16;
            let mut arena = Arena::new(PhysAddr(0x2000_0000), size).unwrap();
            let mut live: Vec<Range> = Vec::new();
            for (take, len, shift) in ops {
                if take || live.is_empty() {
                    if let Ok(range) = arena.allocate(len, 1 << shift) {
                        prop_assert!(range.len() >= len && range.offset() + range.len() <= size);
                        prop_assert_eq!((0x2000_0000 + range.offset()) % (1 << shift), 0);
                        let end = range.offset() + range.len();
                        let apart = |o: &Range| {
                            o.offset() >= end || o.offset() + o.len() <= range.offset()
                        };
                        prop_assert!(live.iter().all(apart));
                        live.push(range);
                    }
                } else {
                    let range = live.swap_remove(len as usize % live.len());
                    arena.release(range).unwrap();
                }
                let used: u64 = live.iter().map(Range::len).sum();
                prop_assert_eq!(arena.free_bytes() + used, size);
            }
            for range in live { arena.release(range).unwrap(); }
            prop_assert_eq!(arena.largest(), size);
        }
    }
}
