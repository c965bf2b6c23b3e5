//! Why an image cannot be made.

/// A matrix does not fit the layout.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayoutError {
    /// The slice is not `tokens * channels` long.
    #[error("{what}: {found} values, expected {expected}")]
    Length {
        /// Which argument.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it must have.
        expected: usize,
    },
    /// A count that must be a multiple is not.
    #[error("{what} is {value}, not a multiple of {of}")]
    Multiple {
        /// Which count.
        what: &'static str,
        /// Its value.
        value: usize,
        /// What it must divide by.
        of: usize,
    },
    /// A weight code outside 4 bits.
    #[error("weight code {code} of channel {channel}, term {term} does not fit 4 bits")]
    Code {
        /// The code.
        code: i8,
        /// Output channel in the tile.
        channel: usize,
        /// Index along K.
        term: usize,
    },
}
