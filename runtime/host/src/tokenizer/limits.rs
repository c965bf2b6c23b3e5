//! What a `tokenizer.json` may ask for, checked before the library reads it.
//!
//! The library does whatever the file says: a replacement of one letter by thirty, six times, makes
//! gigabytes of a word, and nothing can interrupt it. So each step's growth is bounded from the
//! file, in bytes out for a byte in, and their product is. Where a product is large only because
//! the bounds are crude, [`Growth::check`] measures the steps on the text at hand, each before it
//! is taken.

use serde::Deserialize;
use serde_json::Value;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::{NormalizedString, Normalizer};

use super::charsmap::longest_entry;
use super::fence::fenced;
use super::regexes;
use super::walk::all;
use crate::tokenizer::TokenizerError;

/// Bytes of the file. A vocabulary of 250,000 words takes 17 MB.
const MAX_FILE: usize = 128 << 20;
/// Bytes that a text may be normalized to.
const MAX_NORMALIZED: usize = 32 << 20;
/// Product of the steps' bounds. What is known to be used has up to 3,300, most of it because the
/// bounds of compatibility decomposition and of a table of characters multiply.
const MAX_GROWTH: f64 = 65_536.0;
/// Steps of the normalizer, and of the pre-tokenizer.
const MAX_STEPS: usize = 64;
/// Bytes of a token.
const MAX_TOKEN: usize = 1024;
/// Bytes of what is put before or after parts of words, for each of their characters.
const MAX_AFFIX: usize = 64;
/// Characters of a word that WordPiece looks at: its time grows with their square.
const MAX_WORD: u64 = 512;
/// Pieces of a template, and ids of a special token in one.
const MAX_PIECES: usize = 64;

/// The parts of the file that are looked at.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    content: String,
    normalized: Option<bool>,
}

#[derive(Deserialize)]
struct Model {
    max_input_chars_per_word: Option<u64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    unk_token: Option<String>,
    unk_id: Option<u32>,
    dropout: Option<f32>,
}

/// How much text may grow on its way to the model.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    /// Of each step of the normalizer.
    steps: Vec<f64>,
    /// Of all of them together.
    normalizer: f64,
    /// Of the pre-tokenizer.
    pre_tokenizer: f64,
}

/// Checks a file's bounds.
///
/// # Errors
/// [`TokenizerError::Limit`] names the first that does not hold, [`TokenizerError::Load`] says why
/// the file has no such parts.
pub(super) fn check(json: &[u8]) -> Result<Growth, TokenizerError> {
    check_size(json)?;
    let file: File =
        serde_json::from_slice(json).map_err(|e| TokenizerError::Load(e.to_string()))?;
    regexes::check(&file.normalizer)?;
    regexes::check(&file.pre_tokenizer)?;
    let growth = Growth {
        steps: steps(&file.normalizer, "normalizers", normalizer_growth)?,
        normalizer: 1.0,
        pre_tokenizer: steps(&file.pre_tokenizer, "pretokenizers", pre_tokenizer_growth)?
            .iter()
            .product(),
    };
    let growth = Growth {
        normalizer: growth.steps.iter().product(),
        ..growth
    };
    let all = growth.normalizer * growth.pre_tokenizer;
    most(
        "bytes for each byte of text",
        "the normalizer's and pre-tokenizer's output",
        all,
        MAX_GROWTH,
    )?;
    added(&file.added_tokens, growth.normalizer)?;
    model(&file.model)?;
    templates(&file.post_processor)?;
    Ok(growth)
}

/// Checks the length of the file.
pub(super) fn check_size(json: &[u8]) -> Result<(), TokenizerError> {
    most("bytes", "the file", json.len() as f64, MAX_FILE as f64)
}

/// The number of a unigram model's unknown piece.
pub(super) fn unk_id(json: &[u8]) -> Option<u32> {
    let file: File = serde_json::from_slice(json).ok()?;
    file.model.unk_id
}

/// Checks the tokens of the vocabulary.
pub(super) fn check_tokens<'a>(
    tokens: impl Iterator<Item = &'a String>,
) -> Result<(), TokenizerError> {
    let longest = tokens.map(String::len).max().unwrap_or(0);
    most("bytes", "a token", longest as f64, MAX_TOKEN as f64)
}

impl Growth {
    /// Refuses a text that would grow beyond [`MAX_NORMALIZED`]. Nothing is done for a text that
    /// cannot by the bounds, which are those of all but long ones.
    pub(super) fn check(
        &self,
        text: &str,
        normalizer: Option<&NormalizerWrapper>,
    ) -> Result<(), TokenizerError> {
        let bound = self.normalizer * self.pre_tokenizer;
        let limit = MAX_NORMALIZED as f64;
        if text.len() as f64 * bound <= limit {
            return Ok(());
        }
        let refuse = |bytes: f64| TokenizerError::Grows {
            bytes: text.len(),
            to: bytes,
            most: MAX_NORMALIZED,
        };
        let mut normalized = NormalizedString::from(text);
        let mut each = Vec::new();
        if let Some(normalizer) = normalizer {
            flatten(normalizer, &mut each);
        }
        for (step, growth) in each.iter().zip(&self.steps) {
            let next = normalized.get().len() as f64 * growth;
            if next > limit {
                return Err(refuse(next));
            }
            fenced(|| step.normalize(&mut normalized)).map_err(TokenizerError::Encode)?;
        }
        let last = normalized.get().len() as f64 * self.pre_tokenizer;
        if last > limit {
            return Err(refuse(last));
        }
        Ok(())
    }
}

/// The normalizers one after the other, as [`steps`] has them.
fn flatten<'a>(normalizer: &'a NormalizerWrapper, out: &mut Vec<&'a NormalizerWrapper>) {
    match normalizer {
        NormalizerWrapper::Sequence(all) => all.as_ref().iter().for_each(|n| flatten(n, out)),
        one => out.push(one),
    }
}

fn most(unit: &'static str, what: &str, found: f64, most: f64) -> Result<(), TokenizerError> {
    if found <= most {
        return Ok(());
    }
    Err(TokenizerError::Limit {
        what: what.to_owned(),
        found,
        unit,
        most,
    })
}

/// The growth of each step. Sequences, which have their steps under `key`, are laid out flat.
fn steps(
    of: &Value,
    key: &str,
    growth: fn(&Value) -> Result<f64, TokenizerError>,
) -> Result<Vec<f64>, TokenizerError> {
    fn collect<'a>(of: &'a Value, key: &str, out: &mut Vec<&'a Value>) {
        match of.get(key).and_then(Value::as_array) {
            Some(all) => all.iter().for_each(|step| collect(step, key, out)),
            None if of.is_object() => out.push(of),
            None => {}
        }
    }
    let mut all = Vec::new();
    collect(of, key, &mut all);
    most(
        "steps",
        &format!("the list of {key}"),
        all.len() as f64,
        MAX_STEPS as f64,
    )?;
    all.into_iter().map(growth).collect()
}

/// Bytes that a step of the normalizer may make of one.
fn normalizer_growth(step: &Value) -> Result<f64, TokenizerError> {
    let bytes = |key: &str| step.get(key).and_then(Value::as_str).map_or(0, str::len) as f64;
    Ok(match kind(step) {
        "Replace" => {
            let content = bytes("content");
            let pattern = step.get("pattern").and_then(|p| p.get("String"));
            match pattern.and_then(Value::as_str).map(str::len) {
                Some(0) | None => 1.0 + content,
                Some(pattern) => f64::max(1.0, content / pattern as f64),
            }
        }
        "Prepend" => 1.0 + bytes("prepend"),
        "Precompiled" => f64::max(
            1.0,
            longest_entry(step.get("precompiled_charsmap").and_then(Value::as_str))? as f64,
        ),
        // The Unicode standard's bounds for UTF-8 (annex 15, table 7).
        "NFD" | "NFC" => 3.0,
        "NFKD" | "NFKC" => 11.0,
        // U+0130, two bytes, becomes three.
        "Lowercase" => 1.5,
        // Decomposed, in small letters, a space on either side of three bytes.
        "BertNormalizer" | "Bert" => 7.5,
        "ByteLevel" => 2.0,
        _ => 1.0,
    })
}

/// Bytes that a step of the pre-tokenizer may make of one.
fn pre_tokenizer_growth(step: &Value) -> Result<f64, TokenizerError> {
    let replacement = step.get("replacement").and_then(Value::as_str);
    Ok(match (kind(step), replacement) {
        // One put before each part, which has a byte at least, and one in place of a space.
        ("Metaspace", Some(replacement)) => 2.0 * replacement.len() as f64,
        ("Metaspace", None) => 8.0,
        // A space before each part, and two bytes for each.
        ("ByteLevel", _) => 4.0,
        _ => 1.0,
    })
}

/// A step's type; old files leave it out, and are told by what they have.
fn kind(step: &Value) -> &str {
    const KEYS: [(&str, &str); 6] = [
        ("pattern", "Replace"),
        ("prepend", "Prepend"),
        ("precompiled_charsmap", "Precompiled"),
        ("clean_text", "BertNormalizer"),
        ("replacement", "Metaspace"),
        ("add_prefix_space", "ByteLevel"),
    ];
    if let Some(kind) = step.get("type").and_then(Value::as_str) {
        return kind;
    }
    let has = |(key, _): &&(&str, &str)| step.get(*key).is_some();
    KEYS.iter().find(has).map_or("", |(_, kind)| kind)
}

/// Added tokens go through the normalizer when the file is read.
fn added(tokens: &[AddedToken], growth: f64) -> Result<(), TokenizerError> {
    check_tokens(tokens.iter().map(|t| &t.content))?;
    let normalized = tokens.iter().filter(|t| t.normalized.unwrap_or(true));
    let bytes: usize = normalized.map(|t| t.content.len()).sum();
    most(
        "bytes",
        "what the added tokens may be normalized to",
        bytes as f64 * growth,
        MAX_NORMALIZED as f64,
    )
}

fn model(model: &Model) -> Result<(), TokenizerError> {
    if let Some(dropout) = model.dropout.filter(|d| *d != 0.0) {
        return Err(TokenizerError::Dropout(dropout));
    }
    let word = model.max_input_chars_per_word.unwrap_or(0);
    most(
        "characters",
        "max_input_chars_per_word",
        word as f64,
        MAX_WORD as f64,
    )?;
    for (what, affix) in [
        (
            "continuing_subword_prefix",
            &model.continuing_subword_prefix,
        ),
        ("end_of_word_suffix", &model.end_of_word_suffix),
        ("unk_token", &model.unk_token),
    ] {
        let bytes = affix.as_ref().map_or(0, String::len);
        most("bytes", what, bytes as f64, MAX_AFFIX as f64)?;
    }
    Ok(())
}

/// A template may have each text once, and a few special tokens.
fn templates(post_processor: &Value) -> Result<(), TokenizerError> {
    let each = steps(post_processor, "processors", |_| Ok(1.0))?;
    most(
        "steps",
        "the post-processor",
        each.len() as f64,
        MAX_PIECES as f64,
    )?;
    for template in ["single", "pair"] {
        for pieces in all(post_processor, template) {
            let pieces = pieces.as_array().map_or(&[][..], Vec::as_slice);
            let what = format!("the post-processor's template \"{template}\"");
            most("pieces", &what, pieces.len() as f64, MAX_PIECES as f64)?;
            for text in ["A", "B"] {
                let ids = pieces.iter().filter_map(|p| p.pointer("/Sequence/id"));
                let times = ids.filter(|id| id.as_str() == Some(text)).count();
                let what = format!("text {text} in {what}");
                most("times", &what, times as f64, 1.0)?;
            }
        }
    }
    for ids in all(post_processor, "ids") {
        let ids = ids.as_array().map_or(0, Vec::len);
        most(
            "ids",
            "a special token of the post-processor",
            ids as f64,
            MAX_PIECES as f64,
        )?;
    }
    Ok(())
}
