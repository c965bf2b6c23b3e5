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
//! Five nouns, from the outside in:
//! - [`Classifier`], [`Embedder`], [`Tagger`]: text to answers.
//! - [`Session`]: token ids to hidden states and head outputs. It owns a device and a model bound
//!   to it, compiles a program per sequence bucket, packs short sequences into one run, and
//!   recovers from a hang. [`AsyncSession`] is the same, awaited.
//! - [`Failover`]: a session with another in its place where its device fails, by [`open_session`].
//! - [`open_device`]: a device by its URI, such as `emu:zcu102`.
//! - [`Host`]: what runs on the CPU before and after the accelerator: embeddings and the task head,
//!   as in the paper.

mod encoder;
mod error;
mod open;
mod provenance;
mod task;
mod uri;

pub use encoder::Encoder;
pub use error::TaskError;
pub use fqbert_host::{
    Encoding, HeadOutput, Host, HostError, TextSettings, TokenIds, Tokenizer, TokenizerError,
    Tokens, Unknown, WordSpan,
};
pub use fqbert_model::QuantizedModel;
#[cfg(feature = "tokio")]
pub use fqbert_session::{Answer, AsyncSession, Server};
pub use fqbert_session::{
    BreakerOptions, Content, Damage, Extent, Failover, Packing, PostMortem, Run, RunRecord,
    RunStatistics, Scrub, ScrubReport, Session, SessionError, SessionOptions, Unproven,
    fitting_buckets, plan,
};
pub use open::open_session;
pub use provenance::Provenance;
pub use task::{Classification, Classifier, Embedder, TaggedWord, Tagger};
pub use uri::{DEVICES, EmulatorKernels, OpenError, emulator_kernels, open_device};
