//! Parts of a region, one after another.

use fqbert_contract::program::Span;

/// Gives each part its place, at multiples of an alignment.
pub(crate) struct Placer {
    alignment: u64,
    next: u64,
}

impl Placer {
    pub fn new(alignment: u64) -> Self {
        Self { alignment, next: 0 }
    }

    /// The place of the next part.
    pub fn place(&mut self, length: u64) -> Span {
        let offset = self.next;
        self.next = (offset + length).next_multiple_of(self.alignment);
        Span { offset, length }
    }

    /// Where a further part would begin.
    pub fn end(&self) -> u64 {
        self.next
    }
}
