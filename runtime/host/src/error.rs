//! Why the host's part of a model cannot be built or run.

use crate::config::Task;

/// Input that the model cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// No token at all.
    #[error("the sequence has no tokens; give at least one")]
    Empty,
    /// More tokens than positions.
    #[error("the sequence has {tokens} tokens, the model has {max} positions; truncate it")]
    TooLong {
        /// Tokens given.
        tokens: usize,
        /// Longest sequence.
        max: usize,
    },
    /// A token id beyond the vocabulary.
    #[error(
        "token {position} has id {id}, the vocabulary has {vocab} entries (0 to {}); \
         the tokenizer does not belong to this model", vocab.saturating_sub(1)
    )]
    TokenId {
        /// Place in the sequence.
        position: usize,
        /// The id.
        id: u32,
        /// Vocabulary size.
        vocab: usize,
    },
    /// A token type (segment) beyond the table.
    #[error("token {position} has type {type_id}, the model has {types} token types")]
    TypeId {
        /// Place in the sequence.
        position: usize,
        /// The type id.
        type_id: u32,
        /// Number of types.
        types: usize,
    },
    /// A slice whose length does not fit its stated shape.
    #[error("{what}: {found} values, expected {expected}")]
    Length {
        /// What the slice is.
        what: &'static str,
        /// Values expected.
        expected: usize,
        /// Values found.
        found: usize,
    },
}

impl InputError {
    /// Checks `found == expected`.
    ///
    /// # Errors
    /// [`InputError::Length`] with `what` and both numbers.
    pub fn check(what: &'static str, expected: usize, found: usize) -> Result<(), InputError> {
        if expected == found {
            Ok(())
        } else {
            Err(InputError::Length {
                what,
                expected,
                found,
            })
        }
    }
}

/// The host's part (embeddings, head) cannot be built or run.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Tensors of the model do not fit together, or an input is not one of the model's.
    #[error("{0}")]
    Input(#[from] InputError),
    /// A layer that the task's head needs is not there.
    #[error("the model is for {}, but has no {missing}", task.purpose())]
    Head {
        /// What the model is for.
        task: Task,
        /// The layer.
        missing: &'static str,
    },
}
