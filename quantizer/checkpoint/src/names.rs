//! Tensor names of the three families.

use fqbert_host::{Family, ModelConfig, TaskKind};

use crate::error::CheckpointError;
use crate::store::TensorStore;

/// Parts of an encoder layer that carry a weight and a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Query,
    Key,
    Value,
    AttentionOutput,
    AttentionNorm,
    FfnIn,
    FfnOut,
    OutputNorm,
}

/// Names under the prefix that a checkpoint uses, if any: a bare encoder has none, one saved with
/// a head has the family's.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    family: Family,
    prefix: &'static str,
}

impl Names {
    /// With the family's prefix or without.
    pub fn new(family: Family, prefix: bool) -> Self {
        let prefix = match (prefix, family) {
            (false, _) => "",
            (true, Family::Bert) => "bert.",
            (true, Family::DistilBert) => "distilbert.",
            (true, Family::Roberta) => "roberta.",
        };
        Names { family, prefix }
    }

    /// Finds the prefix by looking for the word embeddings.
    pub fn detect(store: &TensorStore, config: &ModelConfig) -> Result<Self, CheckpointError> {
        let family = config.family;
        let with_head = Names::new(family, true);
        let bare = Names::new(family, false);
        match (
            store.contains(&with_head.word()),
            store.contains(&bare.word()),
        ) {
            (true, false) => Ok(with_head),
            (false, true) => Ok(bare),
            (true, true) => Err(CheckpointError::Disagreement {
                left: "the checkpoint".into(),
                left_value: format!("tensor {}", with_head.word()),
                right: "the checkpoint".into(),
                right_value: format!("also tensor {}, a second encoder", bare.word()),
            }),
            (false, false) => Err(CheckpointError::MissingTensor {
                name: with_head.word(),
                shape: vec![config.vocab, config.hidden],
                context: format!(
                    "nor is there {}; the weights are not those of a {family} model",
                    bare.word()
                ),
            }),
        }
    }

    pub fn word(&self) -> String {
        format!("{}embeddings.word_embeddings.weight", self.prefix)
    }

    pub fn position(&self) -> String {
        format!("{}embeddings.position_embeddings.weight", self.prefix)
    }

    pub fn token_type(&self) -> String {
        format!("{}embeddings.token_type_embeddings.weight", self.prefix)
    }

    pub fn embedding_norm(&self) -> String {
        format!("{}embeddings.LayerNorm", self.prefix)
    }

    /// BERT's pooler, which only its sequence classifier uses.
    pub fn pooler(&self) -> String {
        format!("{}pooler.dense", self.prefix)
    }

    /// Name of a part of layer `layer`, without `.weight` or `.bias`.
    pub fn part(&self, layer: usize, part: Part) -> String {
        use Part::{AttentionNorm, AttentionOutput, FfnIn, FfnOut, Key, OutputNorm, Query, Value};
        let prefix = self.prefix;
        match self.family {
            Family::Bert | Family::Roberta => {
                let part = match part {
                    Query => "attention.self.query",
                    Key => "attention.self.key",
                    Value => "attention.self.value",
                    AttentionOutput => "attention.output.dense",
                    AttentionNorm => "attention.output.LayerNorm",
                    FfnIn => "intermediate.dense",
                    FfnOut => "output.dense",
                    OutputNorm => "output.LayerNorm",
                };
                format!("{prefix}encoder.layer.{layer}.{part}")
            }
            Family::DistilBert => {
                let part = match part {
                    Query => "attention.q_lin",
                    Key => "attention.k_lin",
                    Value => "attention.v_lin",
                    AttentionOutput => "attention.out_lin",
                    AttentionNorm => "sa_layer_norm",
                    FfnIn => "ffn.lin1",
                    FfnOut => "ffn.lin2",
                    OutputNorm => "output_layer_norm",
                };
                format!("{prefix}transformer.layer.{layer}.{part}")
            }
        }
    }

    /// Whether a tensor that `task` did not read may be left out without changing the result:
    /// buffers of position numbers (of whatever type a conversion gave them), the pooler, heads of
    /// other tasks.
    pub fn may_ignore(&self, name: &str, task: TaskKind) -> bool {
        let inner = name.strip_prefix(self.prefix).unwrap_or(name);
        let buffer = matches!(
            inner,
            "embeddings.position_ids" | "embeddings.token_type_ids"
        );
        let under = |stems: &[&str]| stems.iter().any(|stem| name.starts_with(stem));
        buffer
            || inner.starts_with("pooler.dense.")
            || under(&["cls.", "lm_head.", "qa_outputs.", "vocab_"])
            || (task == TaskKind::Embedding && under(&["classifier.", "pre_classifier."]))
    }
}
