//! What a checkpoint's files say of its tokenizer and texts, made into one `tokenizer.json` that
//! gives the ids which transformers gives, and the settings that are no part of such a file.

mod added;
mod class;
mod parts;
mod sentence;
mod token;

use std::path::Path;

use fqbert_host::{AppliedSetting, TextSettings};
use serde_json::{Map, Value, json};

pub(crate) use sentence::default_prompt;

use crate::error::CheckpointError;
use crate::files::{is_there, read_json};
use crate::keys::{
    self, ADDED_TOKENS, CONFIG, Does, Object, SPECIAL_MAP, TOKENIZER, TOKENIZER_CONFIG,
};
use crate::layout::Layout;
use added::{Gathered, Older, Tokens};
use class::Class;
use parts::Parts;
use sentence::{Sentence, length};

/// Lengths from this are written where there is no limit.
const LONGEST: u64 = 1 << 20;

/// Where the vocabulary is.
pub(crate) enum Source {
    /// A parsed `tokenizer.json`.
    Json(Value),
    /// The vocabulary of a `vocab.txt`, from token to id.
    Vocab(Map<String, Value>),
}

/// The files of a folder.
struct Files {
    config: Object,
    tokenizer: Object,
    older: Older,
}

/// A `tokenizer.json` that says what all files say, and the other settings.
///
/// # Errors
/// A setting that would change ids or vectors and cannot be applied, by file, key and value.
pub(crate) fn apply(
    layout: &Layout,
    source: Source,
) -> Result<(Value, TextSettings), CheckpointError> {
    let folder = layout.transformer();
    let read = |file| object(file, &folder.join(file));
    let files = Files {
        config: read(CONFIG)?,
        tokenizer: read(TOKENIZER_CONFIG)?,
        older: Older {
            special_map: read(SPECIAL_MAP)?,
            added_tokens: read(ADDED_TOKENS)?,
        },
    };
    let class = Class::of(&files.tokenizer, &files.config)?;
    let mut text = TextSettings {
        applied: applied(class, &files),
        ..TextSettings::default()
    };
    let unknown = files.tokenizer.unknown();
    text.notes
        .extend(unknown.map(|key| not_known(&files.tokenizer, key)));
    refuse(&files.tokenizer)?;
    let json = match source {
        Source::Json(json) => {
            refuse_left(&json)?;
            build(class, &files, json, &mut text)?
        }
        Source::Vocab(vocab) if class == Class::Bert => word_piece(&files, &vocab)?,
        Source::Vocab(_) => {
            let found = files.tokenizer.map.get("tokenizer_class");
            return Err(keys::bad_value(
                TOKENIZER_CONFIG,
                "tokenizer_class",
                found.or(files.config.map.get("model_type")),
                "BertTokenizer, the one class that has a vocab.txt and no tokenizer.json",
            ));
        }
    };
    let sentence = Sentence::load(layout, &mut text)?;
    let json = lowered(json, sentence.lower);
    let json = types(json, &files.tokenizer, &mut text)?;
    let stated = match length(&files.tokenizer, "model_max_length")? {
        None => length(&files.tokenizer, "max_len")?,
        stated => stated,
    };
    // A length beyond any model is no limit.
    let most = sentence.max_tokens.or(stated).filter(|n| *n < LONGEST);
    text.max_tokens = most.and_then(|n| usize::try_from(n).ok());
    if text.max_tokens.is_none() || sentence.max_tokens.is_some() {
        text.applied
            .retain(|a| a.key != "model_max_length" && a.key != "max_len");
    }
    Ok((json, text))
}

/// Reads an object, empty if there is no such file.
fn object(file: &'static str, path: &Path) -> Result<Object, CheckpointError> {
    let map = if is_there(path) {
        read_json(path)?
    } else {
        Map::new()
    };
    Ok(Object::new(file, map))
}

fn not_known(file: &Object, key: &str) -> String {
    format!(
        "{}: the key {key} is not known and was not applied",
        file.file
    )
}

/// A setting with its value.
fn said(file: &Object, key: &str) -> AppliedSetting {
    let value = file.map.get(key).map(Value::to_string).unwrap_or_default();
    AppliedSetting {
        file: file.file.to_owned(),
        key: key.to_owned(),
        value: value.chars().take(200).collect(),
    }
}

/// The settings that decided something.
fn applied(class: Class, files: &Files) -> Vec<AppliedSetting> {
    let counts = |key: &str| match key {
        "do_lower_case" | "strip_accents" | "tokenize_chinese_chars" => class == Class::Bert,
        "add_prefix_space" => matches!(class, Class::Roberta | Class::XlmRoberta),
        "trim_offsets" => class == Class::Roberta,
        _ => true,
    };
    let of = |file: &Object| -> Vec<AppliedSetting> {
        let keys = file.map.iter().filter(|(_, value)| !value.is_null());
        let keys = keys.map(|(key, _)| key).filter(|key| counts(key));
        let is = |key: &&String| {
            keys::find(file.file, key).is_some_and(|known| known.does == Does::Applied)
        };
        keys.filter(is).map(|key| said(file, key)).collect()
    };
    let mut all = of(&files.tokenizer);
    if files.tokenizer.get("tokenizer_class").is_none() {
        all.extend(of(&files.config));
    }
    if files.tokenizer.get("added_tokens_decoder").is_none() {
        all.extend(of(&files.older.special_map));
        all.extend(of(&files.older.added_tokens));
    }
    all
}

/// BertTokenizer from a vocabulary alone.
fn word_piece(files: &Files, vocab: &Map<String, Value>) -> Result<Value, CheckpointError> {
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "vocab": vocab},
    });
    build(Class::Bert, files, file, &mut TextSettings::default())
}

/// A `tokenizer.json` of BertTokenizer, for checkpoints that tests make.
#[cfg(feature = "testing")]
pub(crate) fn word_piece_json(
    vocab: &Map<String, Value>,
    config: Map<String, Value>,
) -> Result<Value, CheckpointError> {
    let none = |file| Object::new(file, Map::new());
    let files = Files {
        config: none(CONFIG),
        tokenizer: Object::new(TOKENIZER_CONFIG, config),
        older: Older {
            special_map: none(SPECIAL_MAP),
            added_tokens: none(ADDED_TOKENS),
        },
    };
    word_piece(&files, vocab)
}

/// Settings that would change ids, and are not applied.
fn refuse(config: &Object) -> Result<(), CheckpointError> {
    config.only("truncation_side", &[json!("right")])?;
    config.only("split_special_tokens", &[json!(false)])?;
    config.only("do_basic_tokenize", &[json!(true)])?;
    config.nothing("never_split")?;
    config.nothing("init_inputs")?;
    config.only("fast_tokenizer_files", &[json!([]), json!([TOKENIZER])])?;
    let own_code = match config.get("auto_map") {
        Some(Value::Object(map)) => map.get("AutoTokenizer").is_some_and(|v| !v.is_null()),
        other => other.is_some(),
    };
    if own_code {
        return Err(config.bad(
            "auto_map",
            "no AutoTokenizer: code of the folder is not run; save the tokenizer as \
             tokenizer.json and remove the key",
        ));
    }
    Ok(())
}

/// A tokenizer.json that cuts from the left would do so in transformers too.
fn refuse_left(json: &Value) -> Result<(), CheckpointError> {
    match json.pointer("/truncation/direction") {
        Some(direction) if direction == "Left" || direction == "left" => Err(keys::bad_value(
            TOKENIZER,
            "truncation.direction",
            Some(direction),
            "\"Right\": texts are cut at their end",
        )),
        _ => Ok(()),
    }
}

/// The tokenizer as the class makes it of a file. A part that is the same stays as it stands.
fn build(
    class: Class,
    files: &Files,
    mut json: Value,
    text: &mut TextSettings,
) -> Result<Value, CheckpointError> {
    let config = &files.tokenizer;
    let gathered = Gathered::of(class, config, &files.older, Some(&json))?;
    let unk = gathered.text("unk_token").unwrap_or("[UNK]").to_owned();
    let Parts {
        normalizer,
        pre_tokenizer,
        model,
    } = class.rebuild(&json, config, &unk)?;
    let rows = files.config.map.get("vocab_size").and_then(Value::as_u64);
    let tokens = Tokens::add(class, &gathered, &model["vocab"], Some(&json), rows)?;
    let parts = match class {
        Class::AsItStands => vec![("added_tokens", tokens.json())],
        _ => vec![
            ("normalizer", normalizer),
            ("pre_tokenizer", pre_tokenizer),
            ("post_processor", class.template(config, &tokens)?),
            ("added_tokens", tokens.json()),
            ("model", model),
        ],
    };
    for (name, part) in parts {
        let old = &mut json[name];
        if same(old, &part) {
            continue;
        }
        // Before version 5 the parts were the file's, with flags of the same kind changed.
        let flags = !old.is_null() && old["type"] == part["type"];
        let kept = matches!(name, "normalizer" | "pre_tokenizer" | "post_processor");
        if kept && !flags {
            text.notes.push(format!(
                "{TOKENIZER}: its {name} is replaced by that of {}, as transformers 5 does; \
                 transformers 4 takes the file's",
                class.name()
            ));
        }
        *old = part;
    }
    Ok(json)
}

/// Whether two parts say the same; what is left out is null or false.
fn same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            new.iter().all(|(key, value)| match old.get(key) {
                Some(other) => same(other, value),
                None => value.is_null() || *value == false,
            }) && old
                .iter()
                .all(|(key, value)| new.contains_key(key) || value.is_null())
        }
        _ => old == new,
    }
}

/// Lower case before everything else, unless the file has it already.
fn lowered(mut json: Value, lower: bool) -> Value {
    if !lower {
        return json;
    }
    let step = json!({"type": "Lowercase"});
    let old = json["normalizer"].take();
    let has = match old.get("normalizers") {
        Some(Value::Array(steps)) => steps.contains(&step),
        _ => old == step,
    };
    json["normalizer"] = match (has, old) {
        (true, old) => old,
        (false, Value::Null) => json!({"type": "Sequence", "normalizers": [step]}),
        (false, old) => match old.get("normalizers") {
            Some(Value::Array(steps)) => {
                let steps: Vec<Value> = [step].into_iter().chain(steps.iter().cloned()).collect();
                json!({"type": "Sequence", "normalizers": steps})
            }
            _ => json!({"type": "Sequence", "normalizers": [step, old]}),
        },
    };
    json
}

/// Token types of 0 throughout where the model is not to get any.
fn types(
    mut json: Value,
    config: &Object,
    text: &mut TextSettings,
) -> Result<Value, CheckpointError> {
    let Some(names) = config.get("model_input_names") else {
        return Ok(json);
    };
    let names = names
        .as_array()
        .ok_or_else(|| config.bad("model_input_names", "a list"))?;
    if names.iter().any(|name| name == "token_type_ids") {
        text.applied.retain(|a| a.key != "model_input_names");
        return Ok(json);
    }
    let template = &mut json["post_processor"];
    match template["type"].as_str() {
        // All types of RoBERTa's are 0.
        Some("RobertaProcessing") => {}
        Some("TemplateProcessing") => {
            for pieces in ["single", "pair"] {
                let pieces = template[pieces].as_array_mut();
                for piece in pieces.into_iter().flatten() {
                    for inner in piece
                        .as_object_mut()
                        .into_iter()
                        .flat_map(|p| p.values_mut())
                    {
                        inner["type_id"] = json!(0);
                    }
                }
            }
        }
        _ => {
            return Err(config.bad(
                "model_input_names",
                "a list with token_type_ids, or a template (TemplateProcessing) in tokenizer.json",
            ));
        }
    }
    Ok(json)
}
