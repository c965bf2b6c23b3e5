//! How good a quantized model is, and what its quantization changes.
//!
//! Everything here works on plain data: texts with their right answers, and the numbers that models
//! give for them. What runs a model is the caller's. So this crate depends on none that has one,
//! and both those that run models (the command line) and those that make them (the quantizer) take
//! their metrics from it without a circle; where a measurement needs a model run on the way, as the
//! error of each layer does, it asks for that through a trait ([`layers::LayerRuns`]).
//!
//! - [`metrics`]: figures of merit, confidence intervals, tests of significance.
//! - [`data`] and [`Examples`]: labelled data from TSV files.
//! - [`evaluate`]: answers to an [`Evaluation`], which is serializable and displays as tables: the
//!   task's figures, matched pairs, slices of the data, the rows that change most.
//! - [`layers`]: the error after each layer and of each layer alone.
//! - `picture` (feature `pictures`): those errors as SVG.

pub mod data;
mod evaluate;
mod examples;
mod kind;
pub mod layers;
mod measure;
pub mod metrics;
#[cfg(feature = "pictures")]
pub mod picture;
mod report;
mod slices;
mod text;
mod worst;

pub use evaluate::{Details, Subject, evaluate};
pub use examples::{Columns, Examples, Expected};
pub use kind::Kind;
pub use measure::{AnswerError, Answers};
pub use report::{
    DeviceRun, Evaluation, Figure, LayerError, Layers, Matched, Row, Slice, SliceAnswers,
};

/// What a tokenizer made of a text, as far as an evaluation looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokenized {
    /// The bytes of the text that each token stands for; empty for special tokens.
    pub offsets: Vec<std::ops::Range<usize>>,
    /// Words that were put together from several tokens.
    pub split_words: usize,
    /// Largest id of a token that is not special. Vocabularies list the frequent tokens first.
    pub rarest: u32,
}
