//! A model bound to a device: token ids to hidden states and head outputs.
//!
//! A [`Session`] owns a device and a model bound to it, compiles a program per sequence bucket,
//! packs short sequences into one run, and recovers from a hang. [`AsyncSession`] is the same,
//! awaited. Nothing here knows which backend the device is: it is whatever implements
//! [`fqbert_contract::device::Device`].

#[cfg(feature = "tokio")]
mod asynchronous;
mod batch;
mod breaker;
mod damage;
mod error;
mod failover;
mod integrity;
mod post_mortem;
mod programs;
mod record;
mod session;
mod unproven;

#[cfg(feature = "tokio")]
pub use asynchronous::{Answer, AsyncSession, Server};
pub use batch::{Extent, Packing, Run, plan};
pub use breaker::BreakerOptions;
pub use damage::{Content, Damage};
pub use error::SessionError;
pub use failover::Failover;
pub use post_mortem::PostMortem;
pub use record::RunRecord;
pub use session::{RunStatistics, Scrub, ScrubReport, Session, SessionOptions, fitting_buckets};
pub use unproven::Unproven;
