//! Why the host's part of a model cannot be built or run.

use std::fmt;

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

/// A part of the host's computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Embeddings with their layer norm: what the accelerator takes.
    Embeddings,
    /// What the last encoder layer gives.
    Encoder,
    /// The dense layer before the classifier.
    HeadLayer,
    /// The classifier.
    Classifier,
    /// The vectors of all tokens to one.
    Pooling,
    /// The vector scaled to length 1.
    Normalization,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Embeddings => "embeddings",
            Stage::Encoder => "hidden states after the last layer",
            Stage::HeadLayer => "head's layer before the classifier",
            Stage::Classifier => "head's classifier",
            Stage::Pooling => "pooling",
            Stage::Normalization => "normalization of the vector",
        })
    }
}

impl Stage {
    /// Checks that all values are numbers.
    ///
    /// # Errors
    /// [`HostError::NotFinite`] with the first that is none.
    pub fn check(self, values: &[f32]) -> Result<(), HostError> {
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(()),
            Some(index) => Err(HostError::NotFinite { stage: self, index }),
        }
    }
}

/// The host's part (embeddings, head) cannot be built or run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// NaN or an infinity, which is no answer.
    #[error(
        "value {index} of the {stage} is not a finite number; the model's weights are damaged or \
         overflow: make the model again from a sound checkpoint"
    )]
    NotFinite {
        /// Where it was computed.
        stage: Stage,
        /// The first such value.
        index: usize,
    },
}
