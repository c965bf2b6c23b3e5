//! First-fit allocation of device memory: what stands behind
//! [`allocate`](crate::device::Device::allocate) and [`free`](crate::device::Device::free) of every
//! device. Bookkeeping only, it touches no memory.

use std::collections::BTreeMap;

use crate::address::Bytes;
use crate::device::{BufferId, DeviceError};

/// Alignment and granularity of an allocation: a page.
pub const ALIGNMENT: u64 = 4096;

/// Where a buffer lies, in bytes from the start of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// Bytes as asked for.
    pub size: u64,
}

impl Span {
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
    total: u64,
    /// Free spans: length by start; never adjacent.
    free: BTreeMap<u64, u64>,
    buffers: BTreeMap<u32, Span>,
    next: u32,
}

impl Allocator {
    /// An empty memory of `total` bytes, rounded down to whole pages.
    pub fn new(total: u64) -> Self {
        let total = total / ALIGNMENT * ALIGNMENT;
        let free = if total > 0 {
            BTreeMap::from([(0, total)])
        } else {
            BTreeMap::new()
        };
        Self {
            total,
            free,
            buffers: BTreeMap::new(),
            next: 1,
        }
    }

    /// Bytes of the memory.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes not allocated.
    pub fn free_bytes(&self) -> u64 {
        self.free.values().sum()
    }

    /// The largest allocation that can succeed.
    pub fn largest_free(&self) -> u64 {
        self.free.values().copied().max().unwrap_or(0)
    }

    /// The first free span of at least `size` bytes; `None` if there is none or all handles are
    /// used up.
    pub fn allocate(&mut self, size: u64) -> Option<(BufferId, Span)> {
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
        let (id, span) = (self.next, Span { start, size });
        self.next = next;
        self.buffers.insert(id, span);
        Some((BufferId(id), span))
    }

    /// Gives a buffer's span back and joins it with its free neighbours; `None` for a handle that
    /// is not allocated.
    pub fn free(&mut self, id: BufferId) -> Option<Span> {
        let span = self.buffers.remove(&id.0)?;
        let (mut start, mut length) = (span.start, span.occupied());
        let before = self.free.range(..start).next_back().map(|(s, l)| (*s, *l));
        if let Some((before, bytes)) = before.filter(|(s, l)| s + l == start) {
            self.free.remove(&before);
            (start, length) = (before, length + bytes);
        }
        if let Some(bytes) = self.free.remove(&(start + length)) {
            length += bytes;
        }
        self.free.insert(start, length);
        Some(span)
    }

    /// Where a buffer lies.
    pub fn get(&self, id: BufferId) -> Option<Span> {
        self.buffers.get(&id.0).copied()
    }

    /// The span of a buffer, if bytes `offset..offset + length` lie inside it.
    ///
    /// # Errors
    /// [`DeviceError::UnknownBuffer`], [`DeviceError::OutOfBounds`].
    pub fn covering(&self, id: BufferId, offset: Bytes, length: u64) -> Result<Span, DeviceError> {
        let span = self.get(id).ok_or(DeviceError::UnknownBuffer(id))?;
        match offset.0.checked_add(length) {
            Some(end) if end <= span.size => Ok(span),
            _ => Err(DeviceError::OutOfBounds {
                buffer: id,
                size: Bytes(span.size),
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

    #[test]
    fn freed_neighbours_join() {
        let mut a = Allocator::new(3 * ALIGNMENT + 17);
        assert_eq!(a.total(), 3 * ALIGNMENT);
        let ids: Vec<_> = (0..3).map(|_| a.allocate(1).unwrap().0).collect();
        assert_eq!(a.allocate(1), None);
        for id in [ids[0], ids[2], ids[1]] {
            a.free(id).unwrap();
        }
        assert_eq!(a.largest_free(), a.total());
        assert_eq!(a.free(ids[1]), None, "freed twice");
        assert_eq!(a.allocate(u64::MAX), None);
    }

    #[test]
    fn ranges_are_checked_against_the_size_asked_for() {
        let mut a = Allocator::new(4 * ALIGNMENT);
        let (id, span) = a.allocate(100).unwrap();
        assert_eq!(a.covering(id, Bytes(100), 0).unwrap(), span);
        assert_eq!(a.covering(id, Bytes(1), 99).unwrap(), span);
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
            let mut a = Allocator::new(1 << 17);
            let mut live: Vec<(BufferId, Span)> = Vec::new();
            for (free, n) in steps {
                if free && !live.is_empty() {
                    let (id, span) = live.swap_remove(n as usize % live.len());
                    prop_assert_eq!(a.free(id), Some(span));
                } else if let Some((id, span)) = a.allocate(n) {
                    prop_assert_eq!(span.start % ALIGNMENT, 0);
                    prop_assert!(span.start + span.occupied() <= a.total());
                    for (_, other) in &live {
                        let disjoint = span.start + span.occupied() <= other.start
                            || other.start + other.occupied() <= span.start;
                        prop_assert!(disjoint, "{:?} {:?}", span, other);
                    }
                    live.push((id, span));
                } else {
                    prop_assert!(a.largest_free() < n.max(1));
                }
                let used: u64 = live.iter().map(|(_, s)| s.occupied()).sum();
                prop_assert_eq!(used + a.free_bytes(), a.total());
            }
        }
    }
}
