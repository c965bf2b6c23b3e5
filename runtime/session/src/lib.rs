//! A model bound to a device: token ids to hidden states and head outputs.
//!
//! A [`Session`] owns a device and a model bound to it, compiles a program per sequence bucket,
//! packs short sequences into one run, and recovers from a hang. [`AsyncSession`] is the same,
//! awaited. Nothing here knows which backend the device is: it is whatever implements
//! [`fqbert_contract::device::Device`].

#[cfg(feature = "tokio")]
mod asynchronous;
mod batch;
mod error;
mod post_mortem;
mod programs;
mod session;
mod unproven;

#[cfg(feature = "tokio")]
pub use asynchronous::{AsyncSession, Server};
pub use batch::{Extent, Packing, Run, plan};
pub use error::SessionError;
pub use post_mortem::PostMortem;
pub use session::{RunStatistics, Session, SessionOptions, fitting_buckets};
pub use unproven::Unproven;
