//! What the model is and where it came from: the JSON metadata of the file.

use serde::{Deserialize, Serialize};

use crate::error::ModelError;

/// The model families that share one encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// BERT, MiniLM, BGE, E5, GTE.
    Bert,
    /// DistilBERT: no token types.
    DistilBert,
    /// RoBERTa and XLM-RoBERTa: positions start after the padding index.
    Roberta,
}

/// Activation between the two linear layers of the feed-forward block (inside the GELU table).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x/2 * (1 + erf(x / sqrt 2))`.
    Gelu,
    /// The tanh approximation.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// How the vectors of all tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first token's.
    Cls,
}

/// Activation of the dense layer before a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadActivation {
    /// BERT's pooler, RoBERTa's dense layer.
    Tanh,
    /// DistilBERT's pre-classifier.
    Relu,
}

/// What the model is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Task {
    /// One class (or number) for a text, from its first token.
    SequenceClassification {
        /// Activation of the dense layer before the classifier; `None` if there is no such layer.
        pre: Option<HeadActivation>,
    },
    /// One class for each token.
    TokenClassification {},
    /// One vector for a text.
    Embedding {
        /// How tokens are joined.
        pooling: Pooling,
        /// Whether the vector is scaled to length 1.
        normalize: bool,
    },
}

/// How the outputs of a sequence classifier are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemType {
    /// One of the labels: softmax.
    SingleLabel,
    /// Any of the labels: a sigmoid each.
    MultiLabel,
    /// Numbers.
    Regression,
}

/// Shape and use of a model. Metadata key `fqbert.config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Family, for reports and the position rule.
    pub family: Family,
    /// Encoder layers, 1..=256 (an instruction names its layer in 8 bits).
    pub layers: usize,
    /// Channels of the residual stream: a multiple of 8, 8..=4096.
    pub hidden: usize,
    /// Attention heads; `hidden / heads` is a multiple of 8, at most 248.
    pub heads: usize,
    /// Channels between the feed-forward layers: a multiple of 8, 8..=4096.
    pub intermediate: usize,
    /// Rows of the word table.
    pub vocab: usize,
    /// Rows of the position table.
    pub max_positions: usize,
    /// Row of the position table that the first token takes.
    pub position_offset: usize,
    /// Rows of the token type table, 0 if there is none.
    pub type_vocab: usize,
    /// Id of the padding token.
    pub pad_token_id: u32,
    /// Added to the variance in the layer norm of the embeddings, which runs in f32 (the encoder's
    /// are in its parameters).
    pub layer_norm_eps: f32,
    /// Feed-forward activation.
    pub activation: Activation,
    /// Use and head.
    pub task: Task,
    /// Names of the classes in order; none for embeddings.
    pub labels: Vec<String>,
    /// How a sequence classifier's outputs are to be read, if known.
    pub problem_type: Option<ProblemType>,
}

/// Bound on the rows of an embedding table, far above any vocabulary.
const MAX_ROWS: usize = 1 << 24;
/// Bound on the number of labels.
const MAX_LABELS: usize = 1 << 16;
/// Longest dot product and widest layer norm of the numerics.
const MAX_WIDTH: usize = 4096;

impl ModelConfig {
    /// Channels of one attention head.
    pub fn head_dim(&self) -> usize {
        self.hidden.checked_div(self.heads).unwrap_or(0)
    }

    /// The longest sequence in tokens that the position table allows.
    pub fn max_sequence(&self) -> usize {
        self.max_positions.saturating_sub(self.position_offset)
    }

    /// Weights of the encoder's six matrices in all layers.
    pub fn encoder_weights(&self) -> u64 {
        let (l, h, m) = (
            self.layers as u64,
            self.hidden as u64,
            self.intermediate as u64,
        );
        l * (4 * h * h + 2 * h * m)
    }

    /// Checks every bound and every relation between the numbers.
    ///
    /// # Errors
    /// [`ModelError::Config`] for the first that does not hold.
    pub fn validate(&self) -> Result<(), ModelError> {
        let width = |v: usize| (8..=MAX_WIDTH).contains(&v) && v.is_multiple_of(8);
        let outputs = match self.task {
            Task::Embedding { .. } => self.labels.is_empty(),
            _ => (1..=MAX_LABELS).contains(&self.labels.len()),
        };
        let checks = [
            (
                "layers",
                self.layers,
                (1..=256).contains(&self.layers),
                "1..=256",
            ),
            (
                "hidden",
                self.hidden,
                width(self.hidden),
                "a multiple of 8 in 8..=4096",
            ),
            (
                "intermediate",
                self.intermediate,
                width(self.intermediate),
                "a multiple of 8 in 8..=4096",
            ),
            (
                "heads",
                self.heads,
                self.heads > 0
                    && self.hidden.is_multiple_of(self.heads)
                    && self.head_dim().is_multiple_of(8)
                    && self.head_dim() <= 248,
                "a divisor of hidden that leaves heads of a multiple of 8 channels, at most 248",
            ),
            (
                "vocab",
                self.vocab,
                (1..=MAX_ROWS).contains(&self.vocab),
                "1..=16777216",
            ),
            (
                "max_positions",
                self.max_positions,
                (1..=MAX_ROWS).contains(&self.max_positions)
                    && self.position_offset < self.max_positions,
                "more than position_offset, at most 16777216",
            ),
            (
                "type_vocab",
                self.type_vocab,
                self.type_vocab <= MAX_ROWS,
                "0..=16777216",
            ),
            (
                "pad_token_id",
                self.pad_token_id as usize,
                (self.pad_token_id as usize) < self.vocab,
                "less than vocab",
            ),
            (
                "labels",
                self.labels.len(),
                outputs,
                "1..=65536 names for a classifier, none for embeddings",
            ),
        ];
        for (field, found, ok, expected) in checks {
            if !ok {
                let (found, expected) = (found.to_string(), expected.to_string());
                return Err(ModelError::Config {
                    field,
                    found,
                    expected,
                });
            }
        }
        if !(self.layer_norm_eps.is_finite() && self.layer_norm_eps >= 0.0) {
            return Err(ModelError::Config {
                field: "layer_norm_eps",
                found: self.layer_norm_eps.to_string(),
                expected: "a finite number >= 0".into(),
            });
        }
        Ok(())
    }
}

/// Rules by which the scales were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
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
    pub scheme: Scheme,
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
