//! Float checkpoints, checked and typed.
//!
//! This crate turns a Hugging Face folder (`config.json`, `model.safetensors` whole or in
//! shards, `tokenizer.json` or `vocab.txt`) into a [`Checkpoint`]: every tensor present, of the
//! shape that the configuration promises, finite, and named by what it does instead of by how
//! one of three model families spells it. It knows nothing of quantization or of an accelerator.
//!
//! - [`ConfigFile`]: `config.json` to a [`fqbert_host::ModelConfig`]; what is not supported is
//!   refused by name.
//! - [`store`]: safetensors files, read tensor by tensor.
//! - [`Checkpoint`]: every tensor, by name mapping for BERT, DistilBERT and RoBERTa.
//! - [`Checkpoint::forward`]: the f32 forward pass with a hook on every activation. Its two ends
//!   are [`fqbert_host`]'s, which run on the CPU in the product as well.
//! - [`load_tokenizer`]: text to token ids.
//! - `testing` (feature `testing`): seeded random checkpoints as folders on disk.
//!
//! ```no_run
//! use fqbert_checkpoint::{Checkpoint, LoadOptions, load_tokenizer};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = std::path::Path::new("minilm-l6-sst2");
//! let checkpoint = Checkpoint::load(folder, &LoadOptions::default())?;
//! let tokenizer = load_tokenizer(folder)?;
//! let text = tokenizer.encode("a gorgeous, witty, seductive movie.", 128)?;
//! println!("{:?}", checkpoint.forward(&text.ids, &text.type_ids)?);
//! # Ok(()) }
//! ```

mod config;
mod error;
mod files;
mod foreign;
mod keys;
mod layout;
mod linear;
mod listing;
mod names;
mod pooling;
mod reference;
mod settings;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod tokenizer;
mod vocab;
mod weights;

pub use config::ConfigFile;
pub use error::CheckpointError;
pub use keys::{Does, KEYS, Key};
pub use linear::{FloatLinear, LayerNorm};
pub use listing::files;
pub use pooling::Assumed;
pub use reference::{NoObserver, Observer, Site};
pub use tokenizer::load_tokenizer;
pub use weights::{Checkpoint, EncoderLayer, LoadOptions};
