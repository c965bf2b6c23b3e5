//! Settings files, read by the keys of one list.

mod key;
mod list;

use serde_json::{Map, Value};

pub(crate) use key::{
    ADDED_TOKENS, CONFIG, MODULES, POOLING, SENTENCE, SENTENCE_BERT, SPECIAL_MAP, TOKENIZER,
    TOKENIZER_CONFIG,
};
pub use key::{Does, Key};
pub use list::KEYS;

use crate::error::CheckpointError;

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
