//! Choices of the caller.

/// Choices of a program beside its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileOptions {
    /// Run layer norms, softmax and the transfer of the input beside the matrix engine. Without it
    /// stages follow each other, which is easier to read in a trace.
    pub overlap: bool,
    /// Tokens of a block of attention: queries see the keys of their own block only, and the ranges
    /// that come with the input count from the block's first token. Short sequences that lie packed
    /// in blocks save the scores of all others. `None`: one block, the whole sequence.
    pub block: Option<u32>,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self {
            overlap: true,
            block: None,
        }
    }
}
