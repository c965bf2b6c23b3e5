//! The input and output regions of a program.

use fqbert_contract::program::Span;

use crate::place::Placer;

/// Parts of the input and output regions begin at multiples of this: a page, so that each can be
/// synced alone.
pub(crate) const IO_ALIGNMENT: u64 = 4096;

/// Where the parts of the input and output regions lie.
pub(crate) struct Io {
    pub x8: Span,
    pub x16: Span,
    pub ranges: Span,
    pub y16: Span,
    /// Size of the input region.
    pub input_bytes: u64,
}

impl Io {
    pub fn new(sequence: u32, hidden: u32) -> Self {
        let values = u64::from(sequence) * u64::from(hidden);
        let mut parts = Placer::new(IO_ALIGNMENT);
        let x8 = parts.place(values);
        let x16 = parts.place(2 * values);
        let ranges = parts.place(4 * u64::from(sequence));
        let y16 = Span {
            offset: 0,
            length: 2 * values,
        };
        Self {
            x8,
            x16,
            ranges,
            y16,
            input_bytes: parts.end(),
        }
    }
}
