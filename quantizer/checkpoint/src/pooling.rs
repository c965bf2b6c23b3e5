//! How a sentence-transformers folder says that its token vectors become one.

use std::path::Path;

use fqbert_host::{Head, Pooling};
use serde_json::Value;

use crate::error::CheckpointError;
use crate::files::{is_there, read_json};
use crate::keys::{MODULES, Object, POOLING};
use crate::layout::Layout;
use crate::settings::default_prompt;

/// What no file of a folder says of how its token vectors become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Assumed {
    /// How they are joined: the mean is taken.
    pub pooling: bool,
    /// Whether the vector is scaled to length 1: it is.
    pub normalize: bool,
}

/// The head as the caller chooses it, and what he leaves open as `modules.json` and the pooling
/// configuration that it points at say, or `1_Pooling/config.json` alone; without either, the
/// mean, normalised.
pub(crate) fn embedding_head(
    layout: &Layout,
    pooling: Option<Pooling>,
    normalize: Option<bool>,
) -> Result<(Head, Assumed), CheckpointError> {
    if let (Some(pooling), Some(normalize)) = (pooling, normalize) {
        return Ok((Head::Embedding { pooling, normalize }, Assumed::default()));
    }
    let (stated_pooling, stated_normalize) = stated(layout)?;
    let pooling = pooling.or(stated_pooling);
    let normalize = normalize.or(stated_normalize);
    let head = Head::Embedding {
        pooling: pooling.unwrap_or(Pooling::Mean),
        normalize: normalize.unwrap_or(true),
    };
    let assumed = Assumed {
        pooling: pooling.is_none(),
        normalize: normalize.is_none(),
    };
    Ok((head, assumed))
}

/// What the folder's files say of pooling and of the vector's length.
fn stated(layout: &Layout) -> Result<(Option<Pooling>, Option<bool>), CheckpointError> {
    let Some(modules) = layout.modules() else {
        if let Some(model) = layout.part_of() {
            return Err(CheckpointError::PartOf { model });
        }
        let config = layout.root().join(POOLING);
        let pooling = is_there(&config).then(|| pooling(layout, &config));
        return Ok((pooling.transpose()?, None));
    };
    let mut found = None;
    let mut normalize = false;
    for module in modules {
        match module.kind.as_str() {
            "Transformer" => {}
            "Pooling" => {
                let path = layout.root().join(&module.path).join("config.json");
                found = Some(pooling(layout, &path)?);
            }
            "Normalize" => normalize = true,
            _ => {
                return Err(CheckpointError::Unsupported {
                    what: "sentence-transformers module",
                    name: module.name.clone(),
                    remedy: "supported are Transformer, Pooling and Normalize".into(),
                });
            }
        }
    }
    let pooling = found.ok_or_else(|| CheckpointError::MissingField {
        file: MODULES,
        field: "a module of type Pooling".into(),
    })?;
    Ok((Some(pooling), Some(normalize)))
}

/// Since sentence-transformers 5 one name or a list, before it one flag for each mode; without
/// any the mean.
fn pooling(layout: &Layout, path: &Path) -> Result<Pooling, CheckpointError> {
    let file = Object::new(POOLING, read_json(path)?);
    if let Some(key) = file.unknown().next() {
        return Err(file.bad(key, "no such key: a Pooling module has none of this name"));
    }
    if !file.flag("include_prompt", true)? && !default_prompt(layout)?.is_empty() {
        let expected = "true: there is a default prompt, whose tokens would be left out";
        return Err(file.bad("include_prompt", expected));
    }
    let modes: Vec<&str> = match file.get("pooling_mode") {
        Some(Value::String(mode)) => vec![mode],
        Some(Value::Array(modes)) => {
            let modes = modes.iter().map(Value::as_str);
            let modes: Option<Vec<&str>> = modes.collect();
            modes.ok_or_else(|| file.bad("pooling_mode", "a name or a list of names"))?
        }
        Some(_) => return Err(file.bad("pooling_mode", "a name or a list of names")),
        None => {
            let mut modes = Vec::new();
            for key in file.map.keys() {
                if let Some(mode) = key.strip_prefix("pooling_mode_")
                    && file.flag(key, false)?
                {
                    modes.push(mode);
                }
            }
            modes
        }
    };
    match modes.as_slice() {
        ["mean_tokens" | "mean"] | [] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::Cls),
        modes => Err(CheckpointError::Unsupported {
            what: "pooling",
            name: modes.join(" + "),
            remedy: "supported are the mean of all tokens or the first token, not both".into(),
        }),
    }
}
