//! What eval reports; the field names are the JSON's, which docs/cli.md describes.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// The whole report. What does not apply, or is undefined on these data, is null.
#[derive(Serialize)]
pub struct Report {
    pub task: &'static str,
    pub metric: &'static str,
    pub value: Option<f64>,
    pub n: usize,
    pub correct: Option<u64>,
    pub float_value: Option<f64>,
    pub agreement: Option<f64>,
    pub agreement_interval95: Option<[f64; 2]>,
    pub float_correlation: Option<f64>,
    pub words_cut: Option<usize>,
    pub sqnr_db: Option<f64>,
    #[serde(serialize_with = "by_name")]
    pub figures: Vec<Figure>,
    pub labels: Vec<String>,
    pub confusion: Option<Vec<Vec<u64>>>,
    pub matched_pairs: Option<Matched>,
    pub layers: Option<Layers>,
    pub slices: Option<Vec<Slice>>,
    pub worst: Vec<Row>,
    pub flips: Vec<Row>,
    pub model: String,
    pub data: String,
    pub device: String,
    pub packing: bool,
    pub runs: u64,
    pub cycles: u64,
    pub seconds: f64,
    pub per_second: f64,
}

/// A figure of merit, times 100.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    #[serde(skip)]
    pub name: &'static str,
    pub value: Option<f64>,
    pub interval95: Option<[f64; 2]>,
    pub float_value: Option<f64>,
}

/// How the answers of both models fall, pair by pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Matched {
    pub both_right: u64,
    pub float_only: u64,
    pub quantized_only: u64,
    pub both_wrong: u64,
    pub flips: u64,
    pub mcnemar_p: f64,
}

/// Errors after each layer, on a sample of the sequences.
#[derive(Debug, Serialize)]
pub struct Layers {
    pub sequences: usize,
    pub tokens: usize,
    pub layers: Vec<LayerError>,
}

/// Signal to quantization noise after a layer.
#[derive(Debug, Serialize)]
pub struct LayerError {
    pub name: String,
    /// Of the quantized run against the float run.
    pub sqnr_db: Option<f64>,
    /// Of the layer alone, given the float run's input.
    pub alone_db: Option<f64>,
}

/// A part of the data.
#[derive(Debug, Serialize)]
pub struct Slice {
    pub group: &'static str,
    pub name: String,
    pub n: usize,
    /// Of the largest difference of a logit, a number or a similarity in each row.
    pub mean_error: Option<f64>,
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
#[derive(Debug, Serialize)]
pub struct SliceAnswers {
    pub accuracy: Option<f64>,
    pub float_accuracy: Option<f64>,
    pub flips: u64,
    pub flip_rate: Option<f64>,
    pub flip_rate_elsewhere: Option<f64>,
    pub broken: u64,
    pub repaired: u64,
    /// McNemar's test of right answers within the slice.
    pub mcnemar_p: Option<f64>,
    /// Fisher's exact test of flips here against elsewhere.
    pub fisher_p: Option<f64>,
    pub holm_p: Option<f64>,
}

/// A row that the models answer differently.
#[derive(Debug, Serialize)]
pub struct Row {
    pub line: usize,
    pub text: String,
    pub expected: String,
    pub float: String,
    pub quantized: String,
    pub flip: bool,
    pub error: f64,
    pub float_margin: Option<f64>,
    /// Null for a tagger, which has logits for each token.
    pub float_logits: Option<Vec<f32>>,
    pub logits: Option<Vec<f32>>,
}

fn by_name<S: Serializer>(figures: &[Figure], s: S) -> Result<S::Ok, S::Error> {
    let map: BTreeMap<&str, &Figure> = figures.iter().map(|f| (f.name, f)).collect();
    s.collect_map(map)
}

/// An interval times 100.
pub fn hundred([low, high]: [f64; 2]) -> [f64; 2] {
    [100.0 * low, 100.0 * high]
}

/// A share in percent; `None` of nothing.
pub fn percent(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| 100.0 * part as f64 / of as f64)
}
