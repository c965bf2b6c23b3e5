//! Where a MATMUL's results go.

use super::slab::Format;

/// A strip of words for each row tile.
pub struct Target<'a> {
    pub format: Format<'a>,
    /// Place of the first channel in the first octet; even.
    pub skew: usize,
    /// From the first strip on.
    pub bytes: &'a mut [u8],
    /// Bytes from strip to strip, at least `length`.
    pub stride: usize,
    /// Bytes of a strip.
    pub length: usize,
}
