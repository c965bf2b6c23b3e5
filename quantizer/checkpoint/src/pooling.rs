//! How a sentence-transformers folder says that its token vectors become one.

use std::path::{Component, Path};

use fqbert_host::{Head, Pooling};
use serde_json::{Map, Value};

use crate::error::CheckpointError;
use crate::files::{is_there, read_json};

const MODULES: &str = "modules.json";
const POOLING: &str = "1_Pooling/config.json";

#[derive(serde::Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    r#type: String,
}

/// Reads `modules.json` and the pooling configuration that it points at, or
/// `1_Pooling/config.json` alone; without either, the mean, normalised.
pub(crate) fn embedding_head(folder: &Path) -> Result<Head, CheckpointError> {
    let modules = folder.join(MODULES);
    if !is_there(&modules) {
        let config = folder.join(POOLING);
        let pooling = if is_there(&config) {
            pooling(&config)?
        } else {
            Pooling::Mean
        };
        return Ok(Head::Embedding {
            pooling,
            normalize: true,
        });
    }
    let modules: Vec<Module> = read_json(&modules)?;
    let mut found = None;
    let mut normalize = false;
    for module in &modules {
        match module.r#type.rsplit('.').next().unwrap_or_default() {
            "Transformer" => {}
            "Pooling" => {
                let path = Path::new(&module.path);
                if !path.components().all(|c| matches!(c, Component::Normal(_))) {
                    return Err(CheckpointError::BadField {
                        file: MODULES,
                        field: "path".into(),
                        found: module.path.chars().take(80).collect(),
                        expected: "a folder inside the model's folder".into(),
                    });
                }
                found = Some(pooling(&folder.join(path).join("config.json"))?);
            }
            "Normalize" => normalize = true,
            _ => {
                return Err(CheckpointError::Unsupported {
                    what: "sentence-transformers module",
                    name: module.r#type.clone(),
                    remedy: "supported are Transformer, Pooling and Normalize".into(),
                });
            }
        }
    }
    let pooling = found.ok_or_else(|| CheckpointError::MissingField {
        file: MODULES,
        field: "a module of type Pooling".into(),
    })?;
    Ok(Head::Embedding { pooling, normalize })
}

fn pooling(path: &Path) -> Result<Pooling, CheckpointError> {
    let config: Map<String, Value> = read_json(path)?;
    // Since sentence-transformers 5 one name, before it one flag for each mode.
    let mut modes: Vec<&str> = config
        .iter()
        .filter(|(_, v)| **v == Value::Bool(true))
        .filter_map(|(k, _)| k.strip_prefix("pooling_mode_"))
        .collect();
    if let Some(Value::String(mode)) = config.get("pooling_mode") {
        modes.push(mode);
    }
    modes.dedup();
    match modes.as_slice() {
        ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::Cls),
        [] => Err(CheckpointError::MissingField {
            file: POOLING,
            field: "pooling_mode_mean_tokens or pooling_mode_cls_token".into(),
        }),
        modes => Err(CheckpointError::Unsupported {
            what: "pooling",
            name: modes.join(" + "),
            remedy: "supported are the mean of all tokens or the first token, not both".into(),
        }),
    }
}
