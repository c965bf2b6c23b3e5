//! Why a text gets no answer.

use fqbert_host::TokenizerError;
use fqbert_model::ModelError;
use fqbert_session::SessionError;

use crate::uri::OpenError;

/// Why a text gets no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The model file cannot be used.
    #[error("model {path}: {source}")]
    Model {
        /// The file.
        path: String,
        /// Its reason.
        #[source]
        source: ModelError,
    },
    /// The accelerator cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The session failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The text cannot be tokenized.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The model has no tokenizer inside.
    #[error("the model has no tokenizer inside: give token ids instead of text")]
    NoTokenizer,
    /// The model is for something else.
    #[error("the model is for {has}, not for {wanted}; {remedy}")]
    WrongTask {
        /// What the model is for.
        has: &'static str,
        /// What was asked of it.
        wanted: &'static str,
        /// What to do.
        remedy: &'static str,
    },
}
