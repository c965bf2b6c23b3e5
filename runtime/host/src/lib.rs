//! What of a BERT runs on the CPU, before the accelerator and after it (paper, section III).
//!
//! - [`Tokenizer`]: text to token ids.
//! - [`Embeddings`]: token ids to the input of the first encoder layer.
//! - [`Head`]: the last layer's output to logits or to one vector.
//! - [`Host`]: both ends around the integers that the accelerator takes and gives.
//! - [`ModelConfig`]: shape and use of a model, and its JSON.
//!
//! There is one implementation of each: the float reference that a checkpoint is judged by and the
//! session on an accelerator run the same code. All of it is plain f32 arithmetic in a fixed order
//! with `libm`'s functions, so that the answer is the same bit for bit on every machine: a laptop's
//! emulation can stand for a board.

mod config;
mod embeddings;
mod error;
mod head;
mod host;
mod table;
mod tokenizer;
mod tokens;

pub use config::{
    Activation, ConfigError, Family, HeadActivation, ModelConfig, Pooling, ProblemType, Reading,
    Task, TaskKind,
};
pub use embeddings::{EmbeddingTables, Embeddings, layer_norm};
pub use error::{HostError, InputError, Stage};
pub use head::{Dense, Head, HeadOutput, argmax};
pub use host::{Host, QuantizedInput};
pub use table::Table;
pub use tokenizer::{
    AppliedSetting, Encode, Encoding, TextPairs, TextSettings, TokenIds, Tokenizer, TokenizerError,
    Unknown, WordSpan,
};
pub use tokens::Tokens;
