//! Memory that changes, and devices that keep failing: what is promised of answers then.

mod flipping;
mod memory;
mod taken_out;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fqbert_host::{HeadOutput, Tokens};
use fqbert_model::QuantizedModel;
use fqbert_model::testing::{Shape, random_model};
use fqbert_session::{Scrub, Session, SessionOptions};

fn model() -> Arc<QuantizedModel> {
    let shape = Shape {
        layers: 1,
        hidden: 48,
        heads: 3,
        intermediate: 96,
        vocab: 100,
        max_positions: 64,
        wide: 0,
    };
    Arc::new(random_model(shape, 11))
}

fn options() -> SessionOptions {
    SessionOptions {
        deadline: Duration::from_millis(250),
        pack: None,
        breaker: None,
        ..SessionOptions::default()
    }
}

/// As [`options`], scrubbed after every so many runs.
fn every(runs: u32) -> SessionOptions {
    SessionOptions {
        scrub: NonZeroU32::new(runs).map_or(Scrub::Never, Scrub::Every),
        ..options()
    }
}

fn tokens() -> Tokens {
    Tokens::from_ids((0..12).map(|i| i * 7 + 1).collect())
}

fn bits(output: &HeadOutput) -> Vec<u32> {
    output.values().iter().map(|v| v.to_bits()).collect()
}

/// The right answer.
fn right(model: &Arc<QuantizedModel>) -> Vec<u32> {
    let device = fqbert_open::open_device("emu:tiny?threads=1").unwrap();
    let mut session = Session::new(model.clone(), device, options()).unwrap();
    bits(&session.run(&tokens()).unwrap())
}
