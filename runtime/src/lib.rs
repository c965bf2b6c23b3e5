//! Text in, classes out, on any fqbert accelerator.
//!
//! ```no_run
//! use fqbert_runtime::{Classifier, SessionOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = "models/minilm-l6-sst2/model.safetensors";
//! let mut classifier = Classifier::open(model, "emu:zcu102", &SessionOptions::default())?;
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

mod task;
mod uri;

pub use fqbert_host::{
    Encoding, HeadOutput, Host, HostError, Tokenizer, TokenizerError, Tokens, WordSpan,
};
pub use fqbert_model::QuantizedModel;
#[cfg(feature = "tokio")]
pub use fqbert_session::{AsyncSession, Server};
pub use fqbert_session::{
    Extent, Packing, PostMortem, Run, RunStatistics, Session, SessionError, SessionOptions,
    Unproven, fitting_buckets, plan,
};
pub use task::{Classification, Classifier, Embedder, TaggedWord, Tagger, TaskError};
pub use uri::{DEVICES, OpenError, open_device};
