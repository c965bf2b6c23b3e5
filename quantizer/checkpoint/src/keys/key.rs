//! What is known of a key of a settings file.

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
