//! BERT's WordPiece tokenizer from the older pair of `vocab.txt` and `tokenizer_config.json`.

use std::path::Path;

use fqbert_host::TokenizerError;
use serde_json::{Map, Value, json};

use crate::error::CheckpointError;
use crate::files::{is_there, read_json};

const CONFIG: &str = "tokenizer_config.json";

/// Writes the `tokenizer.json` that says the same. `config` need not exist: BERT's defaults.
pub(crate) fn word_piece_json(vocab: &[u8], config: &Path) -> Result<Vec<u8>, CheckpointError> {
    let config: Map<String, Value> = if is_there(config) {
        read_json(config)?
    } else {
        Map::new()
    };
    let vocab = parse(vocab)?;

    let mut added = Vec::new();
    let mut special = |key: &str, default: &str| -> Result<(String, u64), CheckpointError> {
        let content = match config.get(key) {
            None | Some(Value::Null) => default,
            Some(Value::String(s)) => s,
            Some(Value::Object(o)) => {
                let content = o.get("content").and_then(Value::as_str);
                content.ok_or_else(|| bad(key, "an object with a string \"content\""))?
            }
            Some(_) => return Err(bad(key, "a string")),
        };
        let Some(id) = vocab.get(content).and_then(Value::as_u64) else {
            return Err(bad(
                key,
                &format!("a token of vocab.txt, which has no {content:?}"),
            ));
        };
        added.push(json!({
            "id": id, "content": content, "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false,
        }));
        Ok((content.to_owned(), id))
    };
    special("pad_token", "[PAD]")?;
    let (unk, _) = special("unk_token", "[UNK]")?;
    let (cls, cls_id) = special("cls_token", "[CLS]")?;
    let (sep, sep_id) = special("sep_token", "[SEP]")?;
    special("mask_token", "[MASK]")?;
    added.sort_by_key(|t| t["id"].as_u64());

    let flag = |key: &str, default: Value| match config.get(key) {
        None => Ok(default),
        Some(value @ (Value::Bool(_) | Value::Null)) => Ok(value.clone()),
        Some(_) => Err(bad(key, "true or false")),
    };
    let token = |id: &str, type_id: u8| json!({"SpecialToken": {"id": id, "type_id": type_id}});
    let text = |id: &str, type_id: u8| json!({"Sequence": {"id": id, "type_id": type_id}});
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": flag("tokenize_chinese_chars", json!(true))?,
            "strip_accents": flag("strip_accents", Value::Null)?,
            "lowercase": flag("do_lower_case", json!(true))?,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token(&cls, 0), text("A", 0), token(&sep, 0)],
            "pair": [token(&cls, 0), text("A", 0), token(&sep, 0), text("B", 1), token(&sep, 1)],
            "special_tokens": {
                &cls: {"id": &cls, "ids": [cls_id], "tokens": [&cls]},
                &sep: {"id": &sep, "ids": [sep_id], "tokens": [&sep]},
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece",
            "unk_token": unk,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    });
    serde_json::to_vec(&tokenizer).map_err(|e| TokenizerError::Load(e.to_string()).into())
}

/// One token a line; the line's number is the id.
fn parse(vocab: &[u8]) -> Result<Map<String, Value>, CheckpointError> {
    let bad_line = |line: usize, reason: &str| CheckpointError::Vocab {
        line: line + 1,
        reason: reason.into(),
    };
    let text = std::str::from_utf8(vocab).map_err(|e| {
        let line = vocab[..e.valid_up_to()]
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        bad_line(line, "not UTF-8")
    })?;
    let mut tokens = Map::new();
    for (id, token) in text.lines().enumerate() {
        if tokens.insert(token.to_owned(), json!(id)).is_some() {
            return Err(bad_line(id, &format!("the token {token:?} stands twice")));
        }
    }
    Ok(tokens)
}

fn bad(field: &str, expected: &str) -> CheckpointError {
    CheckpointError::BadField {
        file: CONFIG,
        field: field.into(),
        found: "something else".into(),
        expected: expected.into(),
    }
}
