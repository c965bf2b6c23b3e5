//! `config.json`: what the model is, or why it is none that we run.

mod fields;

use std::path::Path;

use fqbert_host::{Activation, Family, ModelConfig, Pooling, ProblemType, Task, TaskKind};
use serde_json::Value;

use crate::error::CheckpointError;
use crate::files::{is_there, read_json};
use crate::foreign::refuse_adapter;
use fields::{FILE, Fields, bad, missing};

/// Bound on the number of layers, for each of which names are looked up.
const MAX_LAYERS: usize = 1024;
/// What the encoder alone is for.
const BARE: Task = Task::Embedding {
    pooling: Pooling::Mean,
    normalize: true,
};

/// A `config.json`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFile {
    /// Class name in `architectures`, if given.
    pub architecture: Option<String>,
    /// Shape and labels; no labels if the file names none. The task is that of the bare encoder,
    /// an embedding: the head's tensors say more, and they are elsewhere.
    pub config: ModelConfig,
}

impl ConfigFile {
    /// Reads `config.json` of a folder.
    ///
    /// # Errors
    /// A file that cannot be read or parsed; a missing or senseless field; anything that we do
    /// not run, by name.
    pub fn load(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(FILE);
        if !is_there(&path) {
            refuse_adapter(folder)?;
        }
        Self::from_json(&read_json(&path)?)
    }

    /// Reads a configuration that is already parsed.
    ///
    /// # Errors
    /// As [`ConfigFile::load`].
    pub fn from_json(json: &Value) -> Result<Self, CheckpointError> {
        let fields = Fields::new(json)?;
        let architecture = architecture(&fields)?;
        let family = family(&fields, architecture.as_deref())?;
        refuse_variants(&fields)?;
        let distil = family == Family::DistilBert;
        let name = |bert: &'static str, distilbert: &'static str| {
            if distil { distilbert } else { bert }
        };

        let hidden = fields.size(name("hidden_size", "dim"))?;
        let heads = fields.size(name("num_attention_heads", "n_heads"))?;
        if hidden % heads != 0 {
            return Err(bad(
                "num_attention_heads",
                heads,
                format!("a divisor of {hidden}"),
            ));
        }
        let layers = fields.size(name("num_hidden_layers", "n_layers"))?;
        if layers > MAX_LAYERS {
            return Err(bad(
                "num_hidden_layers",
                layers,
                format!("at most {MAX_LAYERS}"),
            ));
        }
        let vocab = fields.size("vocab_size")?;
        let max_positions = fields.size("max_position_embeddings")?;
        let pad = match (fields.opt_unsigned("pad_token_id")?, family) {
            (Some(pad), _) => pad,
            (None, Family::Roberta) => 1,
            (None, _) => 0,
        };
        let pad_token_id = u32::try_from(pad)
            .ok()
            .filter(|&p| (p as usize) < vocab)
            .ok_or_else(|| bad("pad_token_id", pad, format!("less than vocab_size {vocab}")))?;
        let position_offset = if family == Family::Roberta {
            pad_token_id as usize + 1
        } else {
            0
        };
        if position_offset >= max_positions {
            let expected = format!("more than the {position_offset} positions kept for padding");
            return Err(bad("max_position_embeddings", max_positions, expected));
        }
        let type_vocab = match family {
            Family::DistilBert => 0,
            Family::Bert => fields.size_or("type_vocab_size", 2)?,
            Family::Roberta => fields.size_or("type_vocab_size", 1)?,
        };
        let config = ModelConfig {
            family,
            layers,
            hidden,
            heads,
            intermediate: fields.size(name("intermediate_size", "hidden_dim"))?,
            vocab,
            max_positions,
            position_offset,
            type_vocab,
            layer_norm_eps: layer_norm_eps(&fields, family)?,
            activation: activation(&fields, name("hidden_act", "activation"))?,
            pad_token_id,
            task: BARE,
            labels: labels(&fields)?,
            problem_type: problem_type(&fields)?,
        };
        Ok(ConfigFile {
            architecture,
            config,
        })
    }

    /// The use that the architecture's class name states.
    ///
    /// # Errors
    /// [`CheckpointError::Unsupported`] for a head that we do not run, and
    /// [`CheckpointError::UnknownTask`] if no architecture is named.
    pub fn stated_task(&self) -> Result<TaskKind, CheckpointError> {
        let Some(architecture) = &self.architecture else {
            return Err(CheckpointError::UnknownTask);
        };
        let Some((_, head)) = class_prefix(architecture) else {
            return Err(CheckpointError::Unsupported {
                what: "architecture",
                name: architecture.clone(),
                remedy: format!(
                    "but its model_type is that of a {}: if its tensors are too, say what it is \
                     for with --task classification, tagging or embedding",
                    self.config.family
                ),
            });
        };
        match head {
            "Model" => Ok(TaskKind::Embedding),
            "ForSequenceClassification" => Ok(TaskKind::SequenceClassification),
            "ForTokenClassification" => Ok(TaskKind::TokenClassification),
            _ => Err(CheckpointError::Unsupported {
                what: "architecture",
                name: architecture.clone(),
                remedy: "supported heads are ForSequenceClassification, ForTokenClassification \
                         and the bare Model; to use the encoder of this one, ask for embedding"
                    .into(),
            }),
        }
    }
}

/// Class-name prefixes of the families. None is a prefix of another.
const PREFIXES: [(&str, Family); 4] = [
    ("Bert", Family::Bert),
    ("DistilBert", Family::DistilBert),
    ("Roberta", Family::Roberta),
    ("XLMRoberta", Family::Roberta),
];

/// Splits `DistilBertForTokenClassification` into the family and `ForTokenClassification`. What
/// follows must be `Model` or `For...`: `BertGenerationEncoder` is another model altogether.
fn class_prefix(class: &str) -> Option<(Family, &str)> {
    PREFIXES.iter().find_map(|&(prefix, family)| {
        let rest = class.strip_prefix(prefix)?;
        (rest == "Model" || rest.starts_with("For")).then_some((family, rest))
    })
}

fn architecture(fields: &Fields<'_>) -> Result<Option<String>, CheckpointError> {
    let names = match fields.get("architectures") {
        None => return Ok(None),
        Some(Value::Array(names)) => names,
        Some(other) => return Err(bad("architectures", other, "a list of class names")),
    };
    match names.as_slice() {
        [] => Ok(None),
        [Value::String(name)] => Ok(Some(name.clone())),
        _ => Err(bad(
            "architectures",
            Value::Array(names.clone()),
            "a list of one class name",
        )),
    }
}

fn family(fields: &Fields<'_>, architecture: Option<&str>) -> Result<Family, CheckpointError> {
    let by_class = architecture
        .and_then(class_prefix)
        .map(|(family, _)| family);
    let by_type = match fields.opt_str("model_type")? {
        None => None,
        Some("bert") => Some(Family::Bert),
        Some("distilbert") => Some(Family::DistilBert),
        Some("roberta" | "xlm-roberta") => Some(Family::Roberta),
        Some(other) => return Err(unsupported_model("model type", other)),
    };
    match (by_class, by_type) {
        (Some(class), Some(model_type)) if class != model_type => {
            Err(CheckpointError::Disagreement {
                left: format!("{FILE} model_type"),
                left_value: model_type.to_string(),
                right: "architectures".into(),
                right_value: class.to_string(),
            })
        }
        // Of a class that is not known the type says enough, if the caller says what it is for.
        (Some(family), _) | (None, Some(family)) => Ok(family),
        (None, None) if let Some(class) = architecture => {
            Err(unsupported_model("architecture", class))
        }
        // The first BERT configurations, Google's small ones among them, name neither. They are
        // told by two token types, which no later family has.
        (None, None) if fields.opt_unsigned("type_vocab_size")? == Some(2) => Ok(Family::Bert),
        (None, None) => Err(missing("model_type")),
    }
}

fn unsupported_model(what: &'static str, name: &str) -> CheckpointError {
    CheckpointError::Unsupported {
        what,
        name: name.into(),
        remedy: "supported are BERT (and models of its form: MiniLM, BGE, E5, GTE), DistilBERT, \
                 RoBERTa and XLM-RoBERTa"
            .into(),
    }
}

/// Settings that turn the computation into another one.
fn refuse_variants(fields: &Fields<'_>) -> Result<(), CheckpointError> {
    match fields.opt_str("position_embedding_type")? {
        None | Some("absolute") => {}
        Some(other) => {
            return Err(CheckpointError::Unsupported {
                what: "position_embedding_type",
                name: other.into(),
                remedy: "only \"absolute\" is supported: use a checkpoint trained with it".into(),
            });
        }
    }
    for flag in ["is_decoder", "add_cross_attention"] {
        match fields.get(flag) {
            None | Some(Value::Bool(false)) => {}
            Some(Value::Bool(true)) => {
                return Err(CheckpointError::Unsupported {
                    what: "setting",
                    name: flag.into(),
                    remedy: "only encoders with attention in both directions are supported".into(),
                });
            }
            Some(other) => return Err(bad(flag, other, "true or false")),
        }
    }
    if fields.get("quantization_config").is_some() {
        return Err(CheckpointError::Unsupported {
            what: "setting",
            name: "quantization_config".into(),
            remedy: "the weights are quantized already; use the float checkpoint they came from"
                .into(),
        });
    }
    Ok(())
}

fn layer_norm_eps(fields: &Fields<'_>, family: Family) -> Result<f32, CheckpointError> {
    // The default of every family's configuration in transformers 5. DistilBERT's has no such
    // field: its code says 1e-12, whatever the file says.
    let default = 1e-12;
    if family == Family::DistilBert {
        return Ok(default);
    }
    match fields.get("layer_norm_eps") {
        None => Ok(default),
        Some(value) => value
            .as_f64()
            .map(|v| v as f32)
            .filter(|v| *v > 0.0 && *v < 1.0)
            .ok_or_else(|| bad("layer_norm_eps", value, "a number between 0 and 1")),
    }
}

fn activation(fields: &Fields<'_>, key: &'static str) -> Result<Activation, CheckpointError> {
    let name = fields.opt_str(key)?.ok_or_else(|| missing(key))?;
    activation_of(name).ok_or_else(|| CheckpointError::Unsupported {
        what: "activation",
        name: name.into(),
        remedy: "supported are gelu, gelu_new, gelu_pytorch_tanh and relu".into(),
    })
}

/// The activation of a name, if we know it.
fn activation_of(name: &str) -> Option<Activation> {
    match name {
        "gelu" => Some(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Some(Activation::GeluTanh),
        "relu" => Some(Activation::Relu),
        _ => None,
    }
}

fn problem_type(fields: &Fields<'_>) -> Result<Option<ProblemType>, CheckpointError> {
    match fields.opt_str("problem_type")? {
        None => Ok(None),
        Some("single_label_classification") => Ok(Some(ProblemType::SingleLabel)),
        Some("multi_label_classification") => Ok(Some(ProblemType::MultiLabel)),
        Some("regression") => Ok(Some(ProblemType::Regression)),
        Some(other) => Err(CheckpointError::Unsupported {
            what: "problem_type",
            name: other.into(),
            remedy: "supported are single_label_classification, multi_label_classification and \
                     regression"
                .into(),
        }),
    }
}

/// `id2label`, whose keys must be 0 to n-1, checked against `num_labels`.
fn labels(fields: &Fields<'_>) -> Result<Vec<String>, CheckpointError> {
    let stated = fields.opt_unsigned("num_labels")?;
    let map = match fields.get("id2label") {
        None => return Ok(Vec::new()),
        Some(Value::Object(map)) => map,
        Some(other) => return Err(bad("id2label", other, "an object from number to name")),
    };
    let mut labels = vec![None; map.len()];
    for (id, label) in map {
        let slot = id.parse::<usize>().ok().and_then(|i| labels.get_mut(i));
        match (slot, label) {
            (Some(slot @ None), Value::String(label)) => *slot = Some(label.clone()),
            _ => {
                let expected = format!("names under the keys 0 to {}", map.len().saturating_sub(1));
                return Err(bad(
                    "id2label",
                    format!("{{{id:?}: {label}, ...}}"),
                    expected,
                ));
            }
        }
    }
    if let Some(stated) = stated.filter(|&n| n != labels.len() as u64) {
        return Err(CheckpointError::Disagreement {
            left: format!("{FILE} num_labels"),
            left_value: stated.to_string(),
            right: "id2label".into(),
            right_value: format!("{} labels", labels.len()),
        });
    }
    Ok(labels.into_iter().flatten().collect())
}
