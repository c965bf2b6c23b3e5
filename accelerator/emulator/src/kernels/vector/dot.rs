//! The operands of a dot product.

use super::octet::{Line, MOST_ROWS, QUAD, RowSums, TERMS};

/// What a dot product computes from.
pub struct Dot<'a> {
    /// The activations of a row tile: 8 terms of row `r` at `chunk * stride + 8 * r`.
    pub a: &'a [u8],
    pub stride: usize,
    /// Rows, a multiple of [`QUAD`].
    pub rows: usize,
    pub chunks: usize,
    /// Activations are u8, not i8; 8-bit codes only.
    pub a_unsigned: bool,
    /// Weights as the instruction set has unpacked them.
    pub b: &'a [Line],
    /// Zero-point correction of each row, to be subtracted from its sums.
    pub row_corrections: &'a [i32],
    /// Zero-point correction of each channel, likewise.
    pub channel_corrections: &'a RowSums,
}

impl Dot<'_> {
    /// Panics unless all that a dot product with `lines` lines of weights a word touches lies
    /// inside its buffers.
    pub fn check(&self, lines: usize, sums: &[RowSums]) {
        self.check_operands(lines);
        assert!(sums.len() == self.rows, "sums of {} rows", sums.len());
    }

    /// [`Dot::check`] where the sums are not in memory.
    pub fn check_operands(&self, lines: usize) {
        let rows = self.rows;
        let last = (self.chunks.max(1) - 1) * self.stride + rows * TERMS;
        assert!(
            rows.is_multiple_of(QUAD)
                && rows <= MOST_ROWS
                && self.chunks >= 1
                && last <= self.a.len()
                && self.b.len() == self.chunks * lines
                && self.row_corrections.len() == rows,
            "operands of {rows} rows and {} words",
            self.chunks
        );
    }
}
