//! Settings files, read by the keys of the list.

use serde_json::{Map, Value};

pub use super::list::KEYS;
use crate::error::CheckpointError;

/// File names of the settings.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Special tokens in the older form.
pub const SPECIAL_MAP: &str = "special_tokens_map.json";
/// Added tokens in the older form.
pub const ADDED_TOKENS: &str = "added_tokens.json";
/// The tokenizer itself.
pub const TOKENIZER: &str = "tokenizer.json";
/// The Transformer module of sentence-transformers.
pub const SENTENCE_BERT: &str = "sentence_bert_config.json";
/// The model as a whole of sentence-transformers.
pub const SENTENCE: &str = "config_sentence_transformers.json";
/// Which modules a sentence-transformers model has.
pub const MODULES: &str = "modules.json";
/// A Pooling module.
pub const POOLING: &str = "1_Pooling/config.json";
/// The model's configuration.
pub const CONFIG: &str = "config.json";

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// It changes ids or vectors, and does so here.
    Applied,
    /// A value that would change ids or vectors is an error; one that would not is taken.
    Refused,
    /// No value of it changes ids or vectors.
    Harmless,
}

impl Does {
    /// As the table has it.
    pub fn name(self) -> &'static str {
        match self {
            Does::Applied => "applied",
            Does::Refused => "refused",
            Does::Harmless => "no effect",
        }
    }
}

/// A key of a file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// File, from the folder.
    pub file: &'static str,
    /// Key, at the top of the file's object. A star stands for any letters.
    pub key: &'static str,
    /// What becomes of it.
    pub does: Does,
    /// In words.
    pub what: &'static str,
}

fn matches(pattern: &str, key: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == key,
        Some((start, end)) => {
            key.len() >= start.len() + end.len() && key.starts_with(start) && key.ends_with(end)
        }
    }
}

/// What the list says of a key: names before patterns.
pub(crate) fn find(file: &str, key: &str) -> Option<&'static Key> {
    let of_file = || KEYS.iter().filter(|k| k.file == file);
    let named = of_file().find(|k| k.key == key);
    named.or_else(|| of_file().find(|k| matches(k.key, key)))
}

/// A file's object; a look-up asks for keys of the list alone, so that there is nothing in it that
/// the code does not know and nothing that the code reads in silence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) file: &'static str,
    pub(crate) map: Map<String, Value>,
}

impl Object {
    pub(crate) fn new(file: &'static str, map: Map<String, Value>) -> Self {
        Self { file, map }
    }

    /// The value, if there is one; null is none.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        debug_assert!(find(self.file, key).is_some(), "{} {key}", self.file);
        self.map.get(key).filter(|v| !v.is_null())
    }

    pub(crate) fn bad(&self, key: &str, expected: impl Into<String>) -> CheckpointError {
        bad_value(self.file, key, self.map.get(key), expected)
    }

    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool, CheckpointError> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.bad(key, "true or false")),
        }
    }

    pub(crate) fn str(&self, key: &str) -> Result<Option<&str>, CheckpointError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(value)) => Ok(Some(value)),
            Some(_) => Err(self.bad(key, "a string")),
        }
    }

    /// Refuses a value that is there and none of those that change nothing.
    pub(crate) fn only(&self, key: &str, taken: &[Value]) -> Result<(), CheckpointError> {
        match self.get(key) {
            Some(value) if !taken.contains(value) => {
                let taken: Vec<String> = taken.iter().map(Value::to_string).collect();
                let expected = if taken.is_empty() {
                    "nothing: fqbert does not do what it asks for".to_owned()
                } else {
                    taken.join(" or ")
                };
                Err(self.bad(key, expected))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a value that is there and not empty.
    pub(crate) fn nothing(&self, key: &str) -> Result<(), CheckpointError> {
        use serde_json::json;
        self.only(key, &[json!([]), json!({}), json!("")])
    }

    /// Keys that the list does not have.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &String> {
        self.map.keys().filter(|key| find(self.file, key).is_none())
    }
}

/// The error of a value, with the value as it stands, shortened.
pub(crate) fn bad_value(
    file: &'static str,
    key: &str,
    found: Option<&Value>,
    expected: impl Into<String>,
) -> CheckpointError {
    let found = found.map_or_else(|| "absent".to_owned(), Value::to_string);
    CheckpointError::BadField {
        file,
        field: key.into(),
        found: found.chars().take(200).collect(),
        expected: expected.into(),
    }
}
