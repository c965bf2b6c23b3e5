//! The words of a destination memory that hold one octet of channels of one row tile.

use std::ops::Range;

use super::octet::{MOST_ROWS, OCTET};

/// Bytes of the largest slab: all rows of 16 bits.
pub const LARGEST: usize = MOST_ROWS * OCTET * 2;

/// Layout of a destination.
#[derive(Clone, Copy)]
pub enum Format<'a> {
    /// ACT: `[row][8 channels]` i8. Also the scratch words of keys and values.
    Act,
    /// ACT through a GELU table.
    Gelu(&'a [u8; 256]),
    /// RESB: 4 words `[row][2 channels]` i16.
    Res,
    /// SCR: 4 words `[row][2 channels]` i8.
    Scores,
}

impl Format<'_> {
    /// Bytes of a slab.
    pub fn bytes(self, rows: usize) -> usize {
        match self {
            Self::Res => rows * OCTET * 2,
            _ => rows * OCTET,
        }
    }

    /// Words of a slab.
    pub fn words(self) -> usize {
        match self {
            Self::Act | Self::Gelu(_) => 1,
            Self::Res | Self::Scores => 4,
        }
    }
}

/// A slab being written.
pub struct Slab<'a> {
    pub format: Format<'a>,
    pub rows: usize,
    /// Places of the octet whose channels are written; even bounds.
    pub valid: Range<usize>,
}

impl Slab<'_> {
    /// Fills `target` by `put`, which gets a whole slab to fill. `target` may end early after the
    /// last valid word.
    #[inline]
    pub fn fill(&self, target: &mut [u8], put: impl FnOnce(&mut [u8])) {
        let bytes = self.format.bytes(self.rows);
        if self.is_whole(target) {
            put(&mut target[..bytes]);
            return;
        }
        let mut whole = [0; LARGEST];
        let whole = &mut whole[..bytes];
        put(whole);
        self.merge(target, whole);
    }

    /// Whether all of the slab is written, and is in `target`.
    pub fn is_whole(&self, target: &[u8]) -> bool {
        self.valid == (0..OCTET) && target.len() >= self.format.bytes(self.rows)
    }

    /// The valid channels of `whole` into `target`.
    pub fn merge(&self, target: &mut [u8], whole: &[u8]) {
        match self.format {
            Format::Act | Format::Gelu(_) => {
                let rows = target.as_chunks_mut::<OCTET>().0.iter_mut();
                for (old, new) in rows.zip(whole.as_chunks::<OCTET>().0) {
                    old[self.valid.clone()].copy_from_slice(&new[self.valid.clone()]);
                }
            }
            Format::Res | Format::Scores => {
                let word = whole.len() / self.format.words();
                let range = self.valid.start / 2 * word..self.valid.end / 2 * word;
                target[range.clone()].copy_from_slice(&whole[range]);
            }
        }
    }
}
