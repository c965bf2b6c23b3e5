//! How a model was quantized and where it came from: JSON metadata of its file, beside
//! [`fqbert_host::ModelConfig`].

use serde::{Deserialize, Serialize};

/// Rules by which the scales were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScaleScheme {
    /// One weight scale per output channel, 16-bit multipliers.
    W4a8,
    /// The paper's (DATE 2021, section II): one scale per tensor, 8-bit scale factors.
    Paper,
}

/// How the model was quantized. Metadata key `fqbert.quantization`. The weight bits of each matrix
/// are its tensor's type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// Rules for the scales.
    pub scheme: ScaleScheme,
    /// How activation ranges were chosen, in words.
    pub ranges: String,
    /// How weights were rounded and clipped, in words.
    pub weights: String,
}

/// A figure of the float checkpoint, to compare with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloatMetric {
    /// Name of the metric, such as `accuracy`.
    pub name: String,
    /// Data it was measured on.
    pub data: String,
    /// Its value.
    pub value: f64,
    /// Number of examples.
    pub n: u64,
}

/// Where the model came from. Metadata key `fqbert.provenance`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Name of the float checkpoint.
    pub source: String,
    /// SHA-256 of its weights, hexadecimal.
    pub source_sha256: String,
    /// Data that the ranges were measured on.
    pub calibration: String,
    /// Command that made the file.
    pub command: String,
    /// Licence of the weights (SPDX expression, or words).
    pub license: String,
    /// The float checkpoint's figure, if known.
    pub float_metric: Option<FloatMetric>,
}
