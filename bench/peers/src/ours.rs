//! fqbert: a session on the emulated accelerator.

use anyhow::{Context, Result};
use fqbert_model::testing::{Shape, random_model};
use fqbert_runtime::{Session, SessionOptions, Tokens, open_device};

use crate::peer::{self, Job, Peer, Sample};
use crate::shape::{POSITIONS, VOCABULARY};

/// What the report calls it.
pub const NAME: &str = "fqbert";

/// A session with a random model, its program compiled.
pub struct Ours {
    session: Session,
    tokens: Tokens,
    uri: String,
}

impl Ours {
    pub fn new(job: &Job, kernel: Option<&str>) -> Result<Self> {
        let shape = Shape {
            layers: job.shape.layers,
            hidden: job.shape.hidden,
            heads: job.shape.heads,
            intermediate: job.shape.intermediate,
            vocab: VOCABULARY,
            max_positions: POSITIONS,
            wide: 0,
        };
        let model = random_model(shape, 0);
        model
            .validate()
            .with_context(|| format!("shape {}", job.shape))?;
        let mut uri = format!("emu:zcu102?threads={}", job.threads);
        if let Some(kernel) = kernel {
            uri = format!("{uri}&kernel={kernel}");
        }
        let mut session =
            Session::new(model.into(), open_device(&uri)?, SessionOptions::default())?;
        session.prepare(job.ids.len())?;
        Ok(Self {
            session,
            tokens: Tokens::from_ids(job.ids.clone()),
            uri,
        })
    }
}

impl Peer for Ours {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        format!("{} w4a8, {}", env!("CARGO_PKG_VERSION"), self.uri)
    }

    fn infer(&mut self) -> Result<Sample> {
        peer::time(|| Ok(self.session.hidden_states(&self.tokens)?))
    }
}
