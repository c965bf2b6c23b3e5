//! What an evaluation reports; the field names are those of the JSON, which docs/cli.md describes.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// The whole report. What does not apply, or is undefined on these data, is null. `Display` gives
/// it as tables.
#[derive(Debug, Serialize)]
pub struct Evaluation {
    /// What is asked of the model, in words.
    pub task: &'static str,
    /// Name of the task's own figure.
    pub metric: &'static str,
    /// The task's own figure, times 100.
    pub value: Option<f64>,
    /// What was counted: rows, words of a tagger, pairs.
    pub n: usize,
    /// Right answers of them.
    pub correct: Option<u64>,
    /// The same figure of the float model.
    pub float_value: Option<f64>,
    /// Answers that float and quantized model share, in percent.
    pub agreement: Option<f64>,
    /// Wilson's interval of that share.
    pub agreement_interval95: Option<[f64; 2]>,
    /// Spearman's correlation of both models' numbers, times 100.
    pub float_correlation: Option<f64>,
    /// Words that the longest sequence left out.
    pub words_cut: Option<usize>,
    /// Signal to quantization noise of the outputs.
    pub sqnr_db: Option<f64>,
    /// All figures.
    #[serde(serialize_with = "by_name")]
    pub figures: Vec<Figure>,
    /// Names of the classes.
    pub labels: Vec<String>,
    /// A row for each true class, a column for each one that the quantized model says.
    pub confusion: Option<Vec<Vec<u64>>>,
    /// Right and wrong answers of both models, pair by pair.
    pub matched_pairs: Option<Matched>,
    /// The error of each layer; whoever can run the layers measures it ([`crate::layers`]).
    pub layers: Option<Layers>,
    /// Parts of the data.
    pub slices: Option<Vec<Slice>>,
    /// The rows with the largest errors.
    pub worst: Vec<Row>,
    /// Rows whose answer differs from the float model's.
    pub flips: Vec<Row>,
    /// How the quantized model ran.
    #[serde(flatten)]
    pub run: DeviceRun,
}

/// How the quantized model ran.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceRun {
    /// The model's file.
    pub model: String,
    /// The data's file.
    pub data: String,
    /// The device's URI.
    pub device: String,
    /// Whether short sequences shared runs.
    pub packing: bool,
    /// Texts, or pairs of them, that were cut to the longest sequence.
    pub texts_cut: usize,
    /// Tokens of the texts that the model's vocabulary does not have.
    pub unknown_tokens: usize,
    /// Of all tokens of the texts, 0 to 1.
    pub unknown_share: f64,
    /// Runs of the accelerator.
    pub runs: u64,
    /// Cycles of the accelerator.
    pub cycles: u64,
    /// Wall time.
    pub seconds: f64,
    /// Sequences in a second of it.
    pub per_second: f64,
}

/// A figure of merit, times 100.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Its name, the key of the JSON.
    #[serde(skip)]
    pub name: &'static str,
    /// Of the quantized model.
    pub value: Option<f64>,
    /// Its confidence interval of 95 %.
    pub interval95: Option<[f64; 2]>,
    /// Of the float model.
    pub float_value: Option<f64>,
}

/// How the answers of both models fall, pair by pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Matched {
    /// Both are right.
    pub both_right: u64,
    /// The float model alone is right.
    pub float_only: u64,
    /// The quantized model alone is right.
    pub quantized_only: u64,
    /// Both are wrong.
    pub both_wrong: u64,
    /// Answers that differ.
    pub flips: u64,
    /// McNemar's exact test of `float_only` against `quantized_only`.
    pub mcnemar_p: f64,
}

/// Errors after each layer, on a sample of the sequences.
#[derive(Clone, Debug, Serialize)]
pub struct Layers {
    /// Sequences of the sample.
    pub sequences: usize,
    /// Tokens of the sample.
    pub tokens: usize,
    /// The embeddings, then each layer.
    pub layers: Vec<LayerError>,
}

/// Signal to quantization noise after a layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerError {
    /// Which.
    pub name: String,
    /// Of the quantized run against the float run.
    pub sqnr_db: Option<f64>,
    /// Of the layer alone, given the float run's input.
    pub alone_db: Option<f64>,
}

/// A part of the data.
#[derive(Clone, Debug, Serialize)]
pub struct Slice {
    /// What the part is told by.
    pub group: &'static str,
    /// The part.
    pub name: String,
    /// Its rows.
    pub n: usize,
    /// Of the largest difference of a logit, a number or a similarity in each row.
    pub mean_error: Option<f64>,
    /// The same of all other rows.
    pub mean_error_elsewhere: Option<f64>,
    /// Test of Mann and Whitney of the errors here against elsewhere; null for a slice of nothing
    /// or of everything.
    pub error_p: Option<f64>,
    /// The same after Holm's correction for the number of slices.
    pub error_holm_p: Option<f64>,
    /// Null where numbers are compared.
    pub answers: Option<SliceAnswers>,
}

/// Right and changed answers in a part of the data.
#[derive(Clone, Debug, Serialize)]
pub struct SliceAnswers {
    /// Right answers of the quantized model, in percent.
    pub accuracy: Option<f64>,
    /// Right answers of the float model, in percent.
    pub float_accuracy: Option<f64>,
    /// Rows whose answer changes.
    pub flips: u64,
    /// The same in percent.
    pub flip_rate: Option<f64>,
    /// The same of all other rows.
    pub flip_rate_elsewhere: Option<f64>,
    /// Rows that the float model alone has right.
    pub broken: u64,
    /// Rows that the quantized model alone has right.
    pub repaired: u64,
    /// McNemar's test of right answers within the slice.
    pub mcnemar_p: Option<f64>,
    /// Fisher's exact test of flips here against elsewhere.
    pub fisher_p: Option<f64>,
    /// The same after Holm's correction for the number of slices.
    pub holm_p: Option<f64>,
}

/// A row that the models answer differently.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its line in the data, from 1.
    pub line: usize,
    /// Its text, or its two.
    pub text: String,
    /// The right answer.
    pub expected: String,
    /// The float model's answer.
    pub float: String,
    /// The quantized model's answer.
    pub quantized: String,
    /// Whether they differ.
    pub flip: bool,
    /// Largest difference of a logit, a number or a similarity.
    pub error: f64,
    /// Distance of the float model's best logit to the next.
    pub float_margin: Option<f64>,
    /// Null for a tagger, which has logits for each token.
    pub float_logits: Option<Vec<f32>>,
    /// The quantized model's, likewise.
    pub logits: Option<Vec<f32>>,
}

fn by_name<S: Serializer>(figures: &[Figure], s: S) -> Result<S::Ok, S::Error> {
    let map: BTreeMap<&str, &Figure> = figures.iter().map(|f| (f.name, f)).collect();
    s.collect_map(map)
}

/// An interval times 100.
pub(crate) fn hundred([low, high]: [f64; 2]) -> [f64; 2] {
    [100.0 * low, 100.0 * high]
}

/// A share in percent; `None` of nothing.
pub(crate) fn percent(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| 100.0 * part as f64 / of as f64)
}
