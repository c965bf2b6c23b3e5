//! Fixed work for the benchmarks of this crate.

use anyhow::Result;
use fqbert_model::QuantizedModel;
use fqbert_model::testing::{Shape, random_model};
use fqbert_runtime::{Session, SessionOptions, Tokens, open_device};

pub mod programs;
pub mod startup;

/// BERT-tiny's encoder with a small vocabulary: an inference that takes a second under an
/// instrumenting simulator.
pub const TINY: Shape = Shape {
    layers: 2,
    hidden: 128,
    heads: 2,
    intermediate: 512,
    vocab: 64,
    max_positions: 64,
    wide: 0,
};

/// BERT-base as it is used: with the vocabulary of the English models.
pub const BASE: Shape = Shape {
    vocab: 30522,
    ..Shape::BERT_BASE
};

/// A session on the emulated zcu102 with one thread.
///
/// # Errors
/// A kernel that this CPU lacks, or a model that does not fit.
pub fn session(model: QuantizedModel, kernel: Option<&str>, threads: usize) -> Result<Session> {
    let mut uri = format!("emu:zcu102?threads={threads}");
    if let Some(kernel) = kernel {
        uri = format!("{uri}&kernel={kernel}");
    }
    Ok(Session::new(
        model.into(),
        open_device(&uri)?,
        SessionOptions::default(),
    )?)
}

/// `count` token ids of a vocabulary.
pub fn tokens(count: usize, vocabulary: usize) -> Tokens {
    Tokens::from_ids(
        (0..count)
            .map(|i| ((i * 7919 + 13) % vocabulary.max(1)) as u32)
            .collect(),
    )
}

/// The model of [`TINY`].
pub fn tiny() -> QuantizedModel {
    random_model(TINY, 0)
}
