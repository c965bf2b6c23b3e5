//! Matrices as the suite thinks of them, beside where they lie on the chip.

use fqbert_contract::Geometry;
use fqbert_contract::isa::MemoryId;

/// A matrix in ACT (`T` = i8), RESX or RESB (`T` = i16): `[tokens][channels]`, row tile `i` from
/// word `base + i * stride` on.
#[derive(Clone, Debug)]
pub struct PlacedMatrix<T> {
    pub memory: MemoryId,
    pub base: usize,
    pub stride: usize,
    pub tokens: usize,
    pub channels: usize,
    pub values: Vec<T>,
}

impl<T: Copy> PlacedMatrix<T> {
    /// Row tiles, `tokens` being a whole number of them.
    pub fn row_tiles(&self, g: &Geometry) -> usize {
        self.tokens / g.rows as usize
    }

    /// Replaces channels `first..` of every token by the rows of `block`.
    pub fn replace(&mut self, first: usize, block: &[T]) {
        let width = block.len() / self.tokens;
        for (row, new) in self
            .values
            .chunks_mut(self.channels)
            .zip(block.chunks(width))
        {
            row[first..first + width].copy_from_slice(new);
        }
    }
}

/// Columns `first..first + count` of a row-major matrix.
pub fn columns<T: Copy>(values: &[T], width: usize, first: usize, count: usize) -> Vec<T> {
    values
        .chunks(width)
        .flat_map(|row| &row[first..first + count])
        .copied()
        .collect()
}
