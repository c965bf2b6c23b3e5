//! What a class of transformers makes of the files.
//!
//! Since its version 5, transformers takes of a `tokenizer.json` no more than vocabulary, merges
//! and added tokens where it has a class for it, and builds the rest by the class's arguments;
//! before, it took the file and changed single flags. The newer one is followed.

use fqbert_host::TokenizerError;
use serde_json::{Map, Value, json};

use super::added::Tokens;
use super::class::Class;
use crate::error::CheckpointError;
use crate::keys::{Object, TOKENIZER};

impl Class {
    /// The tokenizer of the class from a `tokenizer.json`, without added tokens and template.
    ///
    /// # Errors
    /// A model of another kind than the class has.
    pub(super) fn rebuild(
        self,
        file: &Value,
        config: &Object,
        unk: &str,
    ) -> Result<Parts, CheckpointError> {
        let model = &file["model"];
        let wanted = match self {
            Class::AsItStands => {
                return Ok(Parts {
                    normalizer: file["normalizer"].clone(),
                    pre_tokenizer: file["pre_tokenizer"].clone(),
                    model: model.clone(),
                });
            }
            Class::Bert => "WordPiece",
            Class::Roberta => "BPE",
            Class::XlmRoberta => "Unigram",
        };
        let found = kind(model);
        if found != wanted {
            return Err(CheckpointError::Disagreement {
                left: format!("{TOKENIZER} model"),
                left_value: found.into(),
                right: "the tokenizer's class (tokenizer_class)".into(),
                right_value: format!(
                    "{} has {wanted}; PreTrainedTokenizerFast takes the file as it stands",
                    self.name()
                ),
            });
        }
        match self {
            Class::Roberta => roberta(model, config),
            Class::XlmRoberta => xlm_roberta(file, config),
            _ => bert(&model["vocab"], config, unk),
        }
    }

    /// The template of a rebuilt tokenizer.
    pub(super) fn template(
        self,
        config: &Object,
        tokens: &Tokens,
    ) -> Result<Value, CheckpointError> {
        Ok(match self {
            Class::AsItStands => Value::Null,
            Class::Bert => {
                let (cls, sep) = (tokens.named("cls_token")?, tokens.named("sep_token")?);
                template(
                    &[piece(&cls.0, 0), text("A", 0), piece(&sep.0, 0)],
                    &[text("B", 1), piece(&sep.0, 1)],
                    &[&cls, &sep],
                )
            }
            Class::Roberta => {
                let (cls, sep) = (tokens.named("cls_token")?, tokens.named("sep_token")?);
                json!({
                    "type": "RobertaProcessing",
                    "sep": (sep.0, sep.1),
                    "cls": (cls.0, cls.1),
                    "trim_offsets": config.flag("trim_offsets", true)?,
                    "add_prefix_space": config.flag("add_prefix_space", false)?,
                })
            }
            Class::XlmRoberta => {
                let (bos, eos) = (tokens.named("bos_token")?, tokens.named("eos_token")?);
                template(
                    &[piece(&bos.0, 0), text("A", 0), piece(&eos.0, 0)],
                    &[piece(&eos.0, 0), text("B", 0), piece(&eos.0, 0)],
                    &[&bos, &eos],
                )
            }
        })
    }
}

/// The parts of a tokenizer that a class makes.
pub(super) struct Parts {
    pub(super) normalizer: Value,
    pub(super) pre_tokenizer: Value,
    pub(super) model: Value,
}

fn piece(token: &str, type_id: u8) -> Value {
    json!({"SpecialToken": {"id": token, "type_id": type_id}})
}

fn text(id: &str, type_id: u8) -> Value {
    json!({"Sequence": {"id": id, "type_id": type_id}})
}

/// `TemplateProcessing`; a pair is what a text is, and more.
fn template(single: &[Value], second: &[Value], tokens: &[&(String, u64)]) -> Value {
    let special: Map<String, Value> = tokens
        .iter()
        .map(|(token, id)| {
            let entry = json!({"id": token, "ids": [*id], "tokens": [token]});
            (token.clone(), entry)
        })
        .collect();
    let pair = [single, second].concat();
    json!({
        "type": "TemplateProcessing",
        "single": single,
        "pair": pair,
        "special_tokens": special,
    })
}

/// The kind of a model; old files leave it out, and are told by what they have.
pub(super) fn kind(model: &Value) -> &str {
    if let Some(kind) = model.get("type").and_then(Value::as_str) {
        return kind;
    }
    if model.get("merges").is_some() {
        return "BPE";
    }
    if model.get("vocab").is_some_and(Value::is_array) {
        return "Unigram";
    }
    if model.get("continuing_subword_prefix").is_some() {
        return "WordPiece";
    }
    "WordLevel"
}

/// WordPiece as BertTokenizer makes it.
pub(super) fn bert(vocab: &Value, config: &Object, unk: &str) -> Result<Parts, CheckpointError> {
    let strip = match config.get("strip_accents") {
        None => Value::Null,
        Some(value @ Value::Bool(_)) => value.clone(),
        Some(_) => return Err(config.bad("strip_accents", "true or false")),
    };
    Ok(Parts {
        normalizer: json!({
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": config.flag("tokenize_chinese_chars", true)?,
            "strip_accents": strip,
            "lowercase": config.flag("do_lower_case", true)?,
        }),
        pre_tokenizer: json!({"type": "BertPreTokenizer"}),
        model: json!({
            "type": "WordPiece",
            "unk_token": unk,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        }),
    })
}

/// BPE as RobertaTokenizer makes it.
fn roberta(model: &Value, config: &Object) -> Result<Parts, CheckpointError> {
    Ok(Parts {
        normalizer: Value::Null,
        pre_tokenizer: json!({
            "type": "ByteLevel",
            "add_prefix_space": config.flag("add_prefix_space", false)?,
            "trim_offsets": true,
            "use_regex": true,
        }),
        model: json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": model["vocab"],
            "merges": model["merges"],
        }),
    })
}

/// Unigrams as XLMRobertaTokenizer makes them.
fn xlm_roberta(file: &Value, config: &Object) -> Result<Parts, CheckpointError> {
    let scheme = if config.flag("add_prefix_space", true)? {
        "always"
    } else {
        "never"
    };
    let vocab = &file["model"]["vocab"];
    if vocab.as_array().is_none_or(|v| v.len() < 4) {
        return Err(TokenizerError::Load("its vocabulary has less than 4 pieces".into()).into());
    }
    let steps = match file["normalizer"].get("normalizers") {
        Some(Value::Array(steps)) => steps.clone(),
        _ => vec![file["normalizer"].clone()],
    };
    let charsmap = steps.into_iter().find(|step| step["type"] == "Precompiled");
    Ok(Parts {
        normalizer: charsmap.unwrap_or(Value::Null),
        pre_tokenizer: json!({
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {
                    "type": "Metaspace",
                    "replacement": "\u{2581}",
                    "prepend_scheme": scheme,
                    "split": true,
                },
            ],
        }),
        model: json!({
            "type": "Unigram",
            "unk_id": 3,
            "byte_fallback": false,
            "vocab": vocab,
        }),
    })
}
