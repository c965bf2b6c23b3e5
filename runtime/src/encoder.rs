//! Texts to tokens, apart from the session that answers them.

use std::sync::Arc;

use fqbert_host::{Encoding, Tokenizer, Unknown};

use crate::error::TaskError;

/// A model's tokenizer with the longest sequence of its session. It can be sent to another thread,
/// to encode the next texts while the device answers some.
#[derive(Clone)]
pub struct Encoder {
    pub(crate) tokenizer: Option<Arc<Tokenizer>>,
    pub(crate) longest: usize,
}

impl Encoder {
    /// Tokens that a text becomes, cut to the longest sequence.
    ///
    /// # Errors
    /// A model without a tokenizer, and a text that it has no tokens for.
    pub fn encode(&self, text: &str) -> Result<Encoding, TaskError> {
        let tokenizer = self.tokenizer.as_ref().ok_or(TaskError::NoTokenizer)?;
        Ok(tokenizer.encode(text, self.longest)?)
    }

    /// Tokens that a pair of texts becomes; the longer text is cut first.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<Encoding, TaskError> {
        let tokenizer = self.tokenizer.as_ref().ok_or(TaskError::NoTokenizer)?;
        Ok(tokenizer.encode_pair(first, second, self.longest)?)
    }

    /// Tokens that a text is cut to: the longest sequence, or less if the model says so.
    pub fn longest(&self) -> usize {
        let tokenizer = self.tokenizer.as_ref();
        tokenizer.map_or(self.longest, |t| t.longest(self.longest))
    }

    /// How much of a text is not in the vocabulary.
    pub fn unknown(&self, encoding: &Encoding) -> Unknown {
        let tokenizer = self.tokenizer.as_ref();
        tokenizer.map_or_else(Unknown::default, |t| t.unknown([encoding]))
    }
}
