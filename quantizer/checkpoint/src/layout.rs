//! Where a folder's parts are: a sentence-transformers model may have its Transformer in a folder
//! of its own, as the first ones had (`0_Transformer`).

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::CheckpointError;
use crate::files::{is_there, read_json};
use crate::keys::{MODULES, Object};

/// A module of `modules.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// Last part of its type, such as `Pooling`.
    pub(crate) kind: String,
    /// Its type as it stands.
    pub(crate) name: String,
    /// Its folder, inside the model's.
    pub(crate) path: PathBuf,
}

/// The parts of a folder.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    transformer: PathBuf,
    /// None without `modules.json`.
    modules: Option<Vec<Module>>,
}

impl Layout {
    /// Looks at a folder.
    ///
    /// # Errors
    /// A `modules.json` that cannot be read, or names folders elsewhere.
    pub(crate) fn of(folder: &Path) -> Result<Self, CheckpointError> {
        let modules = modules(folder)?;
        let first = modules.iter().flatten().find(|m| m.kind == "Transformer");
        let transformer = match first {
            Some(module) if !module.path.as_os_str().is_empty() => folder.join(&module.path),
            _ => folder.to_owned(),
        };
        Ok(Self {
            root: folder.to_owned(),
            transformer,
            modules,
        })
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where `config.json`, weights and tokenizer are.
    pub(crate) fn transformer(&self) -> &Path {
        &self.transformer
    }

    /// The modules, if there is a list of them.
    pub(crate) fn modules(&self) -> Option<&[Module]> {
        self.modules.as_deref()
    }

    /// Whether there is a list of modules.
    pub(crate) fn is_sentence_transformers(&self) -> bool {
        self.modules.is_some()
    }

    /// The model's folder, if this one is no more than its Transformer.
    pub(crate) fn part_of(&self) -> Option<PathBuf> {
        if self.is_sentence_transformers() {
            return None;
        }
        let folder = self.root.canonicalize().ok()?;
        let parent = folder.parent()?;
        let all = modules(parent).ok()??;
        let this = |m: &Module| m.kind == "Transformer" && parent.join(&m.path) == folder;
        all.iter().any(this).then(|| parent.to_owned())
    }
}

fn modules(folder: &Path) -> Result<Option<Vec<Module>>, CheckpointError> {
    let path = folder.join(MODULES);
    if !is_there(&path) {
        return Ok(None);
    }
    let list: Vec<Map<String, Value>> = read_json(&path)?;
    list.iter().map(module).collect::<Result<_, _>>().map(Some)
}

fn module(fields: &Map<String, Value>) -> Result<Module, CheckpointError> {
    let text = |key: &str| match fields.get(key) {
        None if key == "path" => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        other => Err(CheckpointError::BadField {
            file: MODULES,
            field: key.into(),
            found: other.map_or("absent".into(), Value::to_string),
            expected: "a string".into(),
        }),
    };
    Object::new(MODULES, fields.clone()).nothing("kwargs")?;
    let (name, path) = (text("type")?, text("path")?);
    let inside = Path::new(&path)
        .components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !inside {
        return Err(CheckpointError::BadField {
            file: MODULES,
            field: "path".into(),
            found: path.chars().take(80).collect(),
            expected: "a folder inside the model's folder".into(),
        });
    }
    let parts = Path::new(&path).components();
    Ok(Module {
        kind: name.rsplit('.').next().unwrap_or_default().to_owned(),
        path: parts.filter(|c| *c != Component::CurDir).collect(),
        name,
    })
}
