//! Tokens as files name them.

use serde_json::{Map, Value, json};

/// A token with its flags.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Added {
    pub(super) content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    pub(super) special: bool,
}

/// A token as a file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Text(String),
    Flags(Added),
}

impl Named {
    pub(super) fn text(&self) -> &str {
        match self {
            Named::Text(text) => text,
            Named::Flags(added) => &added.content,
        }
    }

    /// As it is added; a text alone is a special token.
    pub(super) fn added(&self) -> Added {
        match self {
            Named::Text(text) => Added::new(text, true),
            Named::Flags(added) => added.clone(),
        }
    }
}

impl Added {
    pub(super) fn new(content: &str, special: bool) -> Self {
        Self {
            content: content.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: !special,
            special,
        }
    }

    /// Python's `AddedToken(**fields)`.
    pub(super) fn of(fields: &Map<String, Value>, special: Option<bool>) -> Option<Self> {
        let flag = |key: &str| match fields.get(key) {
            None => Some(None),
            Some(Value::Bool(flag)) => Some(Some(*flag)),
            Some(_) => None,
        };
        let content = fields.get("content")?.as_str()?;
        let special = special.or(flag("special")?).unwrap_or(false);
        Some(Self {
            content: content.to_owned(),
            single_word: flag("single_word")?.unwrap_or(false),
            lstrip: flag("lstrip")?.unwrap_or(false),
            rstrip: flag("rstrip")?.unwrap_or(false),
            normalized: flag("normalized")?.unwrap_or(!special),
            special,
        })
    }

    pub(super) fn json(&self, id: u64) -> Value {
        json!({
            "id": id, "content": self.content, "single_word": self.single_word,
            "lstrip": self.lstrip, "rstrip": self.rstrip, "normalized": self.normalized,
            "special": self.special,
        })
    }
}
