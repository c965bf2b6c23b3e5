//! What can go wrong between a float checkpoint and a quantized model.

use std::path::PathBuf;

use fqbert_files::InputError;
use fqbert_host::{HostError, TokenizerError};
use fqbert_model::ModelError;
use fqbert_names::{self as names, said, shown};
use fqbert_numerics::layernorm::LayerNormError;
use fqbert_numerics::requant::RequantError;

/// Why a checkpoint was not quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// The calibration file cannot be read.
    #[error("cannot read calibration data {}: {source}", names::path(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that cannot be read, or is none that could be an input.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A row of the calibration file is not what was asked for.
    #[error("{} line {line}: {}", names::path(path), said(reason))]
    Row {
        /// The file.
        path: PathBuf,
        /// Line from 1.
        line: usize,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// There is nothing to calibrate on.
    #[error(
        "no calibration data{}: give a file with at least one sentence",
        of.as_ref().map(|p| format!(" in {}", names::path(p))).unwrap_or_default()
    )]
    NoCalibration {
        /// The file, if it came from one.
        of: Option<PathBuf>,
    },
    /// A calibration text cannot be tokenized.
    #[error("calibration text {index} (from 1): {source}")]
    Tokenize {
        /// Number of the text from 1.
        index: usize,
        /// Why.
        source: TokenizerError,
    },
    /// A calibration sequence does not fit the model, or the model has no answer to it.
    #[error("calibration sequence {index} (from 1): {source}")]
    Sequence {
        /// Number of the sequence from 1.
        index: usize,
        /// Why.
        source: HostError,
    },
    /// The tokenizer gives ids that the model does not have.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// An option out of its range.
    #[error("option {option} is {}: {expected}", shown(value))]
    Option {
        /// Name of the field.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: String,
    },
    /// Learned scales that cannot be used.
    #[error("fqbert-scales.json of the checkpoint: {}", said(reason))]
    Learned {
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// Activations that are not finite, from weights too large for f32 arithmetic.
    #[error(
        "layer {layer} {site}: the float model itself computes infinities or NaN on calibration \
         sequence {index} (from 1); the checkpoint has diverged or its weights are damaged"
    )]
    NotFinite {
        /// Encoder layer from 0.
        layer: usize,
        /// Where in it.
        site: &'static str,
        /// Number of the sequence from 1.
        index: usize,
    },
    /// A bias that its channel's scale cannot hold.
    #[error(
        "layer {layer} {linear} channel {channel}: bias {bias} is {steps:e} steps of {step:e}, \
         beyond the 26 bits that requantization keeps; use per-channel scales (scheme w4a8)"
    )]
    Bias {
        /// Encoder layer from 0.
        layer: usize,
        /// Which matrix.
        linear: &'static str,
        /// Output channel.
        channel: usize,
        /// The bias in real units.
        bias: f64,
        /// The same in accumulator steps.
        steps: f64,
        /// One step: input scale times weight scale.
        step: f64,
    },
    /// A requantization factor that no multiplier and shift can hold.
    #[error("layer {layer} {what}: {source}")]
    Factor {
        /// Encoder layer from 0.
        layer: usize,
        /// Matrix and channel, or operation.
        what: String,
        /// The numbers.
        source: RequantError,
    },
    /// A layer norm that cannot be expressed in integers.
    #[error("layer {layer} {norm}: {source}")]
    LayerNorm {
        /// Encoder layer from 0.
        layer: usize,
        /// Which of the two.
        norm: &'static str,
        /// Why.
        source: LayerNormError,
    },
    /// A layer of the checkpoint whose parts disagree in size.
    #[error("layer {layer}: {source}")]
    Shape {
        /// Encoder layer from 0.
        layer: usize,
        /// The numbers.
        source: fqbert_host::InputError,
    },
    /// The shape is outside what the accelerator and its numerics allow, or the result is
    /// inconsistent.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A stage file of an interrupted run that cannot be used.
    #[error(
        "stage file {}: {}; delete it, or its folder to start again",
        names::path(path),
        said(reason)
    )]
    Stage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Not even 8-bit weights are good enough.
    #[error(
        "no mix of bits loses at most {asked} of the held-out texts: all weights in 8 bits lose \
         {eight:.4}, in 4 bits {four:.4}; allow more, or give more calibration texts"
    )]
    MaxDrop {
        /// What was allowed.
        asked: f64,
        /// What 4-bit weights lose.
        four: f64,
        /// What 8-bit weights lose.
        eight: f64,
    },
    /// The progress sink asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

/// The error of calibration sequence `index`.
pub(crate) fn refuse(index: usize, source: impl Into<HostError>) -> QuantizeError {
    QuantizeError::Sequence {
        index: index + 1,
        source: source.into(),
    }
}
