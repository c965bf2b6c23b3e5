//! Settings of sentence-transformers beside its modules.

use std::path::Path;

use fqbert_host::TextSettings;
use serde_json::{Value, json};

use super::{object, said};
use crate::error::CheckpointError;
use crate::keys::{Object, SENTENCE, SENTENCE_BERT};
use crate::layout::Layout;

/// Names that the Transformer module's file had, the first that is there is read.
const NAMES: [&str; 7] = [
    SENTENCE_BERT,
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// What a folder with modules.json says of its texts.
#[derive(Default)]
pub(super) struct Sentence {
    /// Lower case before everything else.
    pub(super) lower: bool,
    /// Instead of the tokenizer's own length.
    pub(super) max_tokens: Option<u64>,
}

impl Sentence {
    /// Reads the files, and notes what was applied.
    ///
    /// # Errors
    /// A value that cannot be applied.
    pub(super) fn load(layout: &Layout, text: &mut TextSettings) -> Result<Self, CheckpointError> {
        if !layout.is_sentence_transformers() {
            return Ok(Self::default());
        }
        prompt(layout.root(), text)?;
        let names = NAMES.iter().map(|name| layout.transformer().join(name));
        let Some(path) = names.into_iter().find(|path| crate::files::is_there(path)) else {
            return Ok(Self::default());
        };
        let file = object(SENTENCE_BERT, &path)?;
        if let Some(key) = file.unknown().next() {
            // sentence-transformers does not load such a folder.
            return Err(file.bad(
                key,
                "no such key: sentence-transformers has none of this name",
            ));
        }
        refuse(&file)?;
        let lower = file.flag("do_lower_case", false)?;
        if lower {
            text.applied.push(said(&file, "do_lower_case"));
        }
        let max_tokens = length(&file, "max_seq_length")?;
        if max_tokens.is_some() {
            text.applied.push(said(&file, "max_seq_length"));
        }
        Ok(Self { lower, max_tokens })
    }
}

/// A length in tokens; transformers writes 1e30 where there is no limit.
pub(super) fn length(file: &Object, key: &str) -> Result<Option<u64>, CheckpointError> {
    let Some(value) = file.get(key) else {
        return Ok(None);
    };
    let number = value.as_f64().filter(|v| *v >= 1.0 && v.fract() == 0.0);
    let number = number.ok_or_else(|| file.bad(key, "a number of tokens"))?;
    // Saturates, far above any model.
    Ok(Some(number as u64))
}

fn refuse(file: &Object) -> Result<(), CheckpointError> {
    let tasks = ["feature-extraction", "sequence-classification"];
    file.only("transformer_task", &tasks.map(Value::from))?;
    file.only(
        "module_output_name",
        &["token_embeddings", "scores"].map(Value::from),
    )?;
    for key in [
        "tokenizer_name_or_path",
        "query_expansion",
        "query_length",
        "document_length",
    ] {
        file.only(key, &[])?;
    }
    for key in ["model_args", "model_kwargs", "tokenizer_args"] {
        file.nothing(key)?;
    }
    for key in [
        "processor_kwargs",
        "config_args",
        "config_kwargs",
        "processing_kwargs",
    ] {
        file.nothing(key)?;
    }
    let text = file.get("modality_config").and_then(|m| m.get("text"));
    if file.get("modality_config").is_some() {
        let outputs = ["last_hidden_state", "logits"];
        let forward = text.is_some_and(|t| t["method"] == "forward");
        let states = text.is_some_and(|t| outputs.iter().any(|o| t["method_output_name"] == *o));
        if !forward || !states {
            let expected = "for \"text\" the method \"forward\" and its last_hidden_state";
            return Err(file.bad("modality_config", expected));
        }
    }
    Ok(())
}

/// The prompt that is put before each text without being asked for; empty without one.
pub(crate) fn default_prompt(layout: &Layout) -> Result<String, CheckpointError> {
    let mut text = TextSettings::default();
    if layout.is_sentence_transformers() {
        prompt(layout.root(), &mut text)?;
    }
    Ok(text.prompt)
}

fn prompt(root: &Path, text: &mut TextSettings) -> Result<(), CheckpointError> {
    let file = object(SENTENCE, &root.join(SENTENCE))?;
    let unknown = file.unknown().map(|key| super::not_known(&file, key));
    text.notes.extend(unknown);
    file.only(
        "model_type",
        &[json!("SentenceTransformer"), json!("CrossEncoder")],
    )?;
    let Some(name) = file.str("default_prompt_name")?.filter(|n| !n.is_empty()) else {
        return Ok(());
    };
    let prompt = match file.get("prompts").and_then(|p| p.get(name)) {
        Some(Value::String(prompt)) => prompt.clone(),
        // sentence-transformers has these two without being told, and empty.
        None | Some(Value::Null) if matches!(name, "query" | "document") => String::new(),
        _ => return Err(file.bad("default_prompt_name", "the name of one of \"prompts\"")),
    };
    if !prompt.is_empty() {
        let mut applied = said(&file, "default_prompt_name");
        applied.value = format!("{name}: {}", json!(prompt));
        text.applied.push(applied);
    }
    text.prompt = prompt;
    Ok(())
}
