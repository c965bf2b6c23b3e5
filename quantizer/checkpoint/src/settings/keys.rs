//! Every key that transformers and sentence-transformers read beside weights and `config.json`, and
//! what becomes of it here: the one list, which the table of docs/settings.md is checked against.

use serde_json::{Map, Value};

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

const fn key(file: &'static str, key: &'static str, does: Does, what: &'static str) -> Key {
    Key {
        file,
        key,
        does,
        what,
    }
}

use Does::{Applied, Harmless, Refused};

/// The list.
pub const KEYS: &[Key] = &[
    key(
        CONFIG,
        "tokenizer_class",
        Applied,
        "if tokenizer_config.json names no class",
    ),
    key(
        TOKENIZER_CONFIG,
        "tokenizer_class",
        Applied,
        "which class makes the tokenizer; others refused",
    ),
    key(
        TOKENIZER_CONFIG,
        "do_lower_case",
        Applied,
        "BertTokenizer; true if absent",
    ),
    key(
        TOKENIZER_CONFIG,
        "strip_accents",
        Applied,
        "BertTokenizer; as do_lower_case if absent",
    ),
    key(
        TOKENIZER_CONFIG,
        "tokenize_chinese_chars",
        Applied,
        "BertTokenizer; true if absent",
    ),
    key(
        TOKENIZER_CONFIG,
        "add_prefix_space",
        Applied,
        "RobertaTokenizer, XLMRobertaTokenizer",
    ),
    key(
        TOKENIZER_CONFIG,
        "trim_offsets",
        Applied,
        "RobertaTokenizer; where words are",
    ),
    key(
        TOKENIZER_CONFIG,
        "added_tokens_decoder",
        Applied,
        "added tokens with their flags",
    ),
    key(
        TOKENIZER_CONFIG,
        "additional_special_tokens",
        Applied,
        "added as special tokens",
    ),
    key(
        TOKENIZER_CONFIG,
        "extra_special_tokens",
        Applied,
        "added as special tokens",
    ),
    key(
        TOKENIZER_CONFIG,
        "*_token",
        Applied,
        "special tokens, those of other names too",
    ),
    key(
        TOKENIZER_CONFIG,
        "model_max_length",
        Applied,
        "longer texts are cut to it",
    ),
    key(
        TOKENIZER_CONFIG,
        "max_len",
        Applied,
        "as model_max_length, if that is absent",
    ),
    key(
        TOKENIZER_CONFIG,
        "model_input_names",
        Applied,
        "without token_type_ids all types are 0",
    ),
    key(TOKENIZER_CONFIG, "truncation_side", Refused, "left"),
    key(TOKENIZER_CONFIG, "split_special_tokens", Refused, "true"),
    key(
        TOKENIZER_CONFIG,
        "never_split",
        Refused,
        "any token (transformers 5 does not read it)",
    ),
    key(
        TOKENIZER_CONFIG,
        "do_basic_tokenize",
        Refused,
        "false (transformers 5 does not read it)",
    ),
    key(TOKENIZER_CONFIG, "init_inputs", Refused, "any argument"),
    key(
        TOKENIZER_CONFIG,
        "fast_tokenizer_files",
        Refused,
        "other names than tokenizer.json",
    ),
    key(
        TOKENIZER_CONFIG,
        "auto_map",
        Refused,
        "an AutoTokenizer of the folder's own code",
    ),
    key(
        TOKENIZER_CONFIG,
        "add_bos_token",
        Harmless,
        "the class says what stands around a text",
    ),
    key(
        TOKENIZER_CONFIG,
        "add_eos_token",
        Harmless,
        "the class says what stands around a text",
    ),
    key(
        TOKENIZER_CONFIG,
        "padding_side",
        Harmless,
        "padding is not computed",
    ),
    key(
        TOKENIZER_CONFIG,
        "padding",
        Harmless,
        "of a call, not of the tokenizer",
    ),
    key(
        TOKENIZER_CONFIG,
        "pad_to_multiple_of",
        Harmless,
        "padding is not computed",
    ),
    key(
        TOKENIZER_CONFIG,
        "pad_token_type_id",
        Harmless,
        "padding is not computed",
    ),
    key(
        TOKENIZER_CONFIG,
        "max_length",
        Harmless,
        "of a call, not of the tokenizer",
    ),
    key(
        TOKENIZER_CONFIG,
        "stride",
        Harmless,
        "of a call, not of the tokenizer",
    ),
    key(
        TOKENIZER_CONFIG,
        "truncation",
        Harmless,
        "of a call, not of the tokenizer",
    ),
    key(
        TOKENIZER_CONFIG,
        "truncation_strategy",
        Harmless,
        "of a call, not of the tokenizer",
    ),
    key(
        TOKENIZER_CONFIG,
        "clean_up_tokenization_spaces",
        Harmless,
        "of ids back to text",
    ),
    key(TOKENIZER_CONFIG, "errors", Harmless, "of ids back to text"),
    key(TOKENIZER_CONFIG, "chat_template", Harmless, "of chats"),
    key(
        TOKENIZER_CONFIG,
        "name_or_path",
        Harmless,
        "where it came from",
    ),
    key(
        TOKENIZER_CONFIG,
        "special_tokens_map_file",
        Harmless,
        "where it came from",
    ),
    key(
        TOKENIZER_CONFIG,
        "tokenizer_file",
        Harmless,
        "where it came from",
    ),
    key(
        TOKENIZER_CONFIG,
        "vocab_file",
        Harmless,
        "where it came from",
    ),
    key(
        TOKENIZER_CONFIG,
        "merges_file",
        Harmless,
        "where it came from",
    ),
    key(
        TOKENIZER_CONFIG,
        "sp_model_kwargs",
        Harmless,
        "of a class that is not used any more",
    ),
    key(
        TOKENIZER_CONFIG,
        "processor_class",
        Harmless,
        "of images and sound",
    ),
    key(TOKENIZER_CONFIG, "from_slow", Harmless, "not read any more"),
    key(TOKENIZER_CONFIG, "legacy", Harmless, "of other classes"),
    key(TOKENIZER_CONFIG, "use_fast", Harmless, "not read any more"),
    key(TOKENIZER_CONFIG, "backend", Harmless, "written, not read"),
    key(TOKENIZER_CONFIG, "is_local", Harmless, "written, not read"),
    key(
        TOKENIZER_CONFIG,
        "local_files_only",
        Harmless,
        "written, not read",
    ),
    key(TOKENIZER_CONFIG, "verbose", Harmless, "of messages"),
    key(
        TOKENIZER_CONFIG,
        "do_word_tokenize",
        Harmless,
        "of other classes",
    ),
    key(
        TOKENIZER_CONFIG,
        "clean_text",
        Harmless,
        "transformers does not read it",
    ),
    key(
        TOKENIZER_CONFIG,
        "wordpieces_prefix",
        Harmless,
        "transformers 5 does not read it",
    ),
    key(
        SPECIAL_MAP,
        "*",
        Applied,
        "as the same keys of tokenizer_config.json, which it overrides; \
         not read if that has added_tokens_decoder",
    ),
    key(
        ADDED_TOKENS,
        "*",
        Applied,
        "added tokens in the order of their ids; \
         not read if tokenizer_config.json has added_tokens_decoder",
    ),
    key(
        TOKENIZER,
        "normalizer",
        Applied,
        "rebuilt by BertTokenizer, RobertaTokenizer, XLMRobertaTokenizer",
    ),
    key(
        TOKENIZER,
        "pre_tokenizer",
        Applied,
        "rebuilt by the same classes",
    ),
    key(
        TOKENIZER,
        "post_processor",
        Applied,
        "rebuilt by the same classes",
    ),
    key(
        TOKENIZER,
        "model",
        Applied,
        "its vocabulary and merges; the rest is rebuilt by the same classes",
    ),
    key(
        TOKENIZER,
        "added_tokens",
        Applied,
        "not by the same classes if tokenizer_config.json has added_tokens_decoder",
    ),
    key(
        TOKENIZER,
        "truncation",
        Refused,
        "a direction other than Right; else of a call",
    ),
    key(TOKENIZER, "padding", Harmless, "padding is not computed"),
    key(TOKENIZER, "decoder", Harmless, "of ids back to text"),
    key(TOKENIZER, "version", Harmless, "of the file"),
    key(
        SENTENCE_BERT,
        "max_seq_length",
        Applied,
        "longer texts are cut to it, whatever model_max_length says",
    ),
    key(
        SENTENCE_BERT,
        "do_lower_case",
        Applied,
        "lower case before everything else",
    ),
    key(
        SENTENCE_BERT,
        "transformer_task",
        Refused,
        "other than feature-extraction, sequence-classification",
    ),
    key(
        SENTENCE_BERT,
        "modality_config",
        Refused,
        "other than the last hidden state of texts",
    ),
    key(
        SENTENCE_BERT,
        "module_output_name",
        Refused,
        "other than token_embeddings, scores",
    ),
    key(SENTENCE_BERT, "tokenizer_name_or_path", Refused, "any name"),
    key(SENTENCE_BERT, "model_args", Refused, "any argument"),
    key(SENTENCE_BERT, "model_kwargs", Refused, "any argument"),
    key(SENTENCE_BERT, "tokenizer_args", Refused, "any argument"),
    key(SENTENCE_BERT, "processor_kwargs", Refused, "any argument"),
    key(SENTENCE_BERT, "config_args", Refused, "any argument"),
    key(SENTENCE_BERT, "config_kwargs", Refused, "any argument"),
    key(SENTENCE_BERT, "processing_kwargs", Refused, "any argument"),
    key(SENTENCE_BERT, "query_expansion", Refused, "any expansion"),
    key(SENTENCE_BERT, "query_length", Refused, "any length"),
    key(SENTENCE_BERT, "document_length", Refused, "any length"),
    key(
        SENTENCE_BERT,
        "unpad_inputs",
        Harmless,
        "how it is computed",
    ),
    key(
        SENTENCE,
        "prompts",
        Applied,
        "the default one is put before each text of an embedder",
    ),
    key(
        SENTENCE,
        "default_prompt_name",
        Applied,
        "which of the prompts; refused if it is none",
    ),
    key(
        SENTENCE,
        "model_type",
        Refused,
        "other than SentenceTransformer, CrossEncoder",
    ),
    key(
        SENTENCE,
        "similarity_fn_name",
        Harmless,
        "of vectors that are there",
    ),
    key(
        SENTENCE,
        "activation_fn",
        Harmless,
        "of a cross-encoder's score; classify's is the pipeline's",
    ),
    key(SENTENCE, "__version__", Harmless, "what wrote it"),
    key(
        MODULES,
        "type",
        Applied,
        "Transformer, Pooling, Normalize; others refused",
    ),
    key(
        MODULES,
        "path",
        Applied,
        "of Transformer and Pooling, inside the folder",
    ),
    key(MODULES, "kwargs", Refused, "any argument"),
    key(
        MODULES,
        "idx",
        Harmless,
        "modules run in the order of the list",
    ),
    key(
        MODULES,
        "name",
        Harmless,
        "modules run in the order of the list",
    ),
    key(
        POOLING,
        "pooling_mode",
        Applied,
        "mean or cls, as a name or a list of one; others refused",
    ),
    key(
        POOLING,
        "pooling_mode_*",
        Applied,
        "flags, if pooling_mode is absent; no flag is the mean",
    ),
    key(
        POOLING,
        "include_prompt",
        Refused,
        "false, if a default prompt is set",
    ),
    key(
        POOLING,
        "word_embedding_dimension",
        Harmless,
        "the model's width",
    ),
    key(
        POOLING,
        "embedding_dimension",
        Harmless,
        "the model's width",
    ),
];

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
