//! Float checkpoints, checked and typed.
//!
//! This crate turns a Hugging Face folder (`config.json`, `model.safetensors` whole or in
//! shards, `tokenizer.json` or `vocab.txt`) into a [`Checkpoint`]: every tensor present, of the
//! shape that the configuration promises, finite, and named by what it does instead of by how
//! one of three model families spells it. It knows nothing of quantization or of an accelerator.
//!
//! - [`config`]: `config.json` to [`BertConfig`]; what is not supported is refused by name.
//! - [`store`]: safetensors files, read tensor by tensor.
//! - [`weights`]: the [`Checkpoint`], by name mapping for BERT, DistilBERT and RoBERTa.
//! - [`embeddings`], [`head`]: the two ends of the model. They run on the CPU in the product as
//!   well, so they can be built from plain tensors without a checkpoint folder.
//! - [`mod@reference`]: the f32 forward pass with a hook on every activation.
//! - [`tokenizer`]: text to token ids.
//! - `testing` (feature `testing`): seeded random checkpoints as folders on disk.
//!
//! ```no_run
//! use fqbert_checkpoint::{Checkpoint, LoadOptions, Tokenizer};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = std::path::Path::new("minilm-l6-sst2");
//! let checkpoint = Checkpoint::load(folder, &LoadOptions::default())?;
//! let tokenizer = Tokenizer::load(folder)?;
//! let text = tokenizer.encode("a gorgeous, witty, seductive movie.", 128)?;
//! println!("{:?}", checkpoint.forward(&text.ids, &text.type_ids)?);
//! # Ok(()) }
//! ```

pub mod config;
pub mod embeddings;
pub mod error;
mod files;
pub mod head;
pub mod linear;
mod names;
mod pooling;
pub mod reference;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tokenizer;
pub mod weights;

pub use config::{Activation, BertConfig, Family, ProblemType, Task};
pub use embeddings::{Embeddings, WordTable};
pub use error::{CheckpointError, InputError};
pub use head::{Head, HeadActivation, HeadOutput, Pooling};
pub use linear::{LayerNorm, Linear};
pub use reference::{NoObserver, Observer, Sequence, Site};
pub use tokenizer::{Encoding, Tokenizer, TokenizerError};
pub use weights::{Checkpoint, EncoderLayer, LoadOptions};
