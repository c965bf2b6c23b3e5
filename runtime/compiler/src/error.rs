//! Why a model cannot be compiled for a geometry.

use fqbert_contract::layout::LayoutError;

/// What does not fit or is not allowed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompileError {
    /// An on-chip memory is too small.
    #[error(
        "{memory} of geometry {geometry} has {available} words, {what} needs {needed}; {remedy}"
    )]
    Memory {
        /// Name of the memory.
        memory: &'static str,
        /// Name of the geometry.
        geometry: &'static str,
        /// Words it has.
        available: u64,
        /// Words that are needed.
        needed: u64,
        /// What for.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A sequence length that is no bucket of this geometry.
    #[error("a sequence of {sequence} tokens on geometry {geometry}: must be {rule}")]
    Sequence {
        /// The length asked for.
        sequence: u32,
        /// Name of the geometry.
        geometry: &'static str,
        /// What is allowed.
        rule: String,
    },
    /// A size of the model that the geometry cannot process.
    #[error("the model's {what} is {found}; geometry {geometry} takes {rule}")]
    Model {
        /// Which size.
        what: &'static str,
        /// Its value.
        found: u64,
        /// Name of the geometry.
        geometry: &'static str,
        /// What is allowed.
        rule: String,
    },
    /// A model whose parts disagree; one that was loaded from a file never does.
    #[error("the model contradicts itself: {reason}")]
    Inconsistent {
        /// What disagrees with what.
        reason: String,
    },
    /// More instructions than a program may have.
    #[error(
        "the program has {found} instructions, at most {limit} are allowed; use a shorter \
         sequence or a geometry of more rows"
    )]
    TooLong {
        /// Its length.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A matrix that is not laid out as the contract asks.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}
