//! What a checkpoint's files say of its texts beside the tokenizer itself.

use std::fmt;

use fqbert_names::shown;
use serde::{Deserialize, Serialize};

/// Settings of texts: a part of the model file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextSettings {
    /// Tokens that a text is cut to, special tokens included, where the model could take more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<usize>,
    /// What is put before each text (not before pairs), unless it begins with it already.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// Settings of the checkpoint's files that were applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<AppliedSetting>,
    /// What is to be known of them: keys that nobody knows, readings that differ by version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl TextSettings {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A setting that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppliedSetting {
    /// File of the checkpoint's folder.
    pub file: String,
    /// Key in it.
    pub key: String,
    /// Its value as JSON, shortened.
    pub value: String,
}

impl fmt::Display for AppliedSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} = {}",
            shown(&self.file),
            shown(&self.key),
            shown(&self.value)
        )
    }
}
