//! Text in, classes out, on any fqbert accelerator.
//!
//! ```no_run
//! use fqbert_runtime::{Classifier, SessionOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut classifier = Classifier::open("models/minilm-l6-sst2/model.safetensors", "emu:zcu102", &SessionOptions::default())?;
//! let answer = classifier.classify("a gorgeous, witty, seductive movie.")?;
//! println!("{} {:.3}", answer.label, answer.scores[answer.index]);
//! # Ok(()) }
//! ```
//!
//! Four nouns, from the outside in:
//! - [`Classifier`], [`Embedder`], [`Tagger`]: text to answers.
//! - [`Session`]: token ids to hidden states and head outputs. It owns a device and a model bound
//!   to it, compiles a program per sequence bucket, packs short sequences into one run, and
//!   recovers from a hang. [`AsyncSession`] is the same, awaited.
//! - [`open_device`]: a device by its URI, such as `emu:zcu102`.
//! - [`Host`]: what runs on the CPU before and after the accelerator: embeddings and the task head,
//!   as in the paper.

#[cfg(feature = "tokio")]
mod asynchronous;
mod batch;
mod error;
mod host;
mod post_mortem;
mod programs;
mod session;
mod task;
mod uri;

#[cfg(feature = "tokio")]
pub use asynchronous::AsyncSession;
pub use batch::{Extent, Packing, Run, Tokens, plan};
pub use error::{HostError, SessionError};
pub use fqbert_checkpoint::tokenizer::WordSpan;
pub use fqbert_checkpoint::{Encoding, HeadOutput, Tokenizer, TokenizerError};
pub use fqbert_model::QuantizedModel;
pub use host::Host;
pub use post_mortem::PostMortem;
pub use session::{RunStatistics, Session, SessionOptions, Unproven, fitting_buckets};
pub use task::{Classification, Classifier, Embedder, TaggedWord, Tagger, TaskError};
pub use uri::{DEVICES, OpenError, open_device};
