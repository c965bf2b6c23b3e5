//! What a model is: family, shape, use and labels. [`ModelConfig`] is metadata of a model file, so
//! its JSON is part of that format.

use std::fmt;

use serde::{Deserialize, Serialize};

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

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Bert => "BERT",
            Family::DistilBert => "DistilBERT",
            Family::Roberta => "RoBERTa",
        })
    }
}

/// Activation between the two linear layers of the feed-forward block (inside the GELU table).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x/2 * (1 + erf(x / sqrt 2))`.
    Gelu,
    /// The tanh approximation: `gelu_new`, `gelu_pytorch_tanh`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// Its value at `x`.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Activation::Gelu => 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
            Activation::GeluTanh => {
                const SQRT_2_OVER_PI: f32 = 0.797_884_6;
                0.5 * x * (1.0 + (SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)).tanh())
            }
            Activation::Relu => x.max(0.0),
        }
    }
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

impl Task {
    /// The use without what the model has for it.
    pub fn kind(self) -> TaskKind {
        match self {
            Task::SequenceClassification { .. } => TaskKind::SequenceClassification,
            Task::TokenClassification {} => TaskKind::TokenClassification,
            Task::Embedding { .. } => TaskKind::Embedding,
        }
    }

    /// What such a model is for, to end a sentence with.
    pub fn purpose(self) -> &'static str {
        match self.kind() {
            TaskKind::Embedding => "embeddings",
            kind => kind.name(),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Task::SequenceClassification {
                pre: Some(activation),
            } => {
                let layer = match activation {
                    HeadActivation::Tanh => "tanh",
                    HeadActivation::Relu => "ReLU",
                };
                write!(f, "{kind} ({layer} layer before the classifier)")
            }
            Task::SequenceClassification { pre: None } | Task::TokenClassification {} => {
                write!(f, "{kind}")
            }
            Task::Embedding { pooling, normalize } => {
                let pooling = match pooling {
                    Pooling::Mean => "mean of the tokens",
                    Pooling::Cls => "first token",
                };
                let scaled = if *normalize {
                    ", scaled to length 1"
                } else {
                    ""
                };
                write!(f, "{kind} ({pooling}{scaled})")
            }
        }
    }
}

/// One of the uses, whatever a model has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// One class (or number) for a text.
    SequenceClassification,
    /// One class for each token.
    TokenClassification,
    /// One vector for a text.
    Embedding,
}

impl TaskKind {
    fn name(self) -> &'static str {
        match self {
            TaskKind::SequenceClassification => "sequence classification",
            TaskKind::TokenClassification => "token classification",
            TaskKind::Embedding => "embedding",
        }
    }
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
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

/// What a sequence classifier's outputs stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// One class of many: a softmax.
    OneClass,
    /// Any of the labels: a sigmoid each.
    AnyLabel,
    /// A number that is no probability: the value itself.
    Number,
    /// One output of which nothing is said: a number, whose sigmoid is its score.
    Score,
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
    /// What the outputs stand for: the one rule for answers and their evaluation, that of
    /// Transformers' pipeline.
    pub fn reading(&self) -> Reading {
        match self.problem_type {
            Some(ProblemType::Regression) => Reading::Number,
            Some(ProblemType::MultiLabel) => Reading::AnyLabel,
            _ if self.labels.len() == 1 => Reading::Score,
            _ => Reading::OneClass,
        }
    }

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
    /// [`ConfigError`] for the first that does not hold.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let labels = match self.task {
            Task::Embedding { .. } => self.labels.is_empty(),
            _ => (1..=MAX_LABELS).contains(&self.labels.len()),
        };
        let within =
            |field, found: usize, ok, expected: &'static str| require(field, &found, ok, expected);
        let layers = (1..=256).contains(&self.layers);
        within("layers", self.layers, layers, "1..=256")?;
        for (field, found) in [("hidden", self.hidden), ("intermediate", self.intermediate)] {
            let ok = (8..=MAX_WIDTH).contains(&found) && found.is_multiple_of(8);
            within(field, found, ok, "a multiple of 8 in 8..=4096")?;
        }
        let heads = self.heads > 0
            && self.hidden.is_multiple_of(self.heads)
            && self.head_dim().is_multiple_of(8)
            && self.head_dim() <= 248;
        within(
            "heads",
            self.heads,
            heads,
            "a divisor of hidden that leaves heads of a multiple of 8 channels, at most 248",
        )?;
        let vocab = (1..=MAX_ROWS).contains(&self.vocab);
        within("vocab", self.vocab, vocab, "1..=16777216")?;
        let positions = (1..=MAX_ROWS).contains(&self.max_positions)
            && self.position_offset < self.max_positions;
        within(
            "max_positions",
            self.max_positions,
            positions,
            "more than position_offset, at most 16777216",
        )?;
        let types = self.type_vocab <= MAX_ROWS;
        within("type_vocab", self.type_vocab, types, "0..=16777216")?;
        let pad = self.pad_token_id as usize;
        within("pad_token_id", pad, pad < self.vocab, "less than vocab")?;
        within(
            "labels",
            self.labels.len(),
            labels,
            "1..=65536 names for a classifier, none for embeddings",
        )?;
        let eps = self.layer_norm_eps;
        let ok = eps.is_finite() && eps >= 0.0;
        require("layer_norm_eps", &eps, ok, "a finite number >= 0")
    }
}

/// A number of the configuration outside its bounds, or two that disagree.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {field} is {found}, expected {expected}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub found: String,
    /// What it must be.
    pub expected: &'static str,
}

fn require(
    field: &'static str,
    found: &dyn fmt::Display,
    ok: bool,
    expected: &'static str,
) -> Result<(), ConfigError> {
    if ok {
        return Ok(());
    }
    Err(ConfigError {
        field,
        found: found.to_string(),
        expected,
    })
}
