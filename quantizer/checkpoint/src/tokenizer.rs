//! The tokenizer of a folder.

use std::path::Path;

use fqbert_files::read;
use fqbert_host::Tokenizer;

use crate::error::CheckpointError;
use crate::files::{is_there, refuse_pointer};
use crate::layout::Layout;
use crate::settings::{Source, apply};
use crate::vocab::parse;

/// Bound on `tokenizer.json` and `vocab.txt`; the largest in use (XLM-RoBERTa) has 17 MB.
const MAX_FILE: u64 = 256 << 20;

/// Loads the tokenizer of a folder: that of `tokenizer.json` or `vocab.txt` with the settings of
/// all files beside it, giving the ids that transformers 5 gives.
///
/// # Errors
/// [`CheckpointError`]: no such file, one that is damaged, or a setting that is not supported.
pub fn load_tokenizer(folder: &Path) -> Result<Tokenizer, CheckpointError> {
    let layout = Layout::of(folder)?;
    let folder = layout.transformer();
    let json = folder.join("tokenizer.json");
    let vocab = folder.join("vocab.txt");
    if is_there(&json) {
        let bytes = read(&json, MAX_FILE)?;
        refuse_pointer(&json, &bytes)?;
        // What is not taken at all is refused by the tokenizer's own checks.
        Tokenizer::check_size(&bytes)?;
        let Ok(file) = serde_json::from_slice(&bytes) else {
            return Ok(Tokenizer::from_bytes(bytes)?);
        };
        let file: serde_json::Value = file;
        if !file.get("model").is_some_and(serde_json::Value::is_object) {
            return Ok(Tokenizer::from_bytes(bytes)?);
        }
        let (made, text) = apply(&layout, Source::Json(file.clone()))?;
        // A file that says it all already stays as it is, to the byte.
        let bytes = if made == file {
            bytes
        } else {
            made.to_string().into()
        };
        return Ok(Tokenizer::from_bytes(bytes)?.with_settings(text));
    }
    if is_there(&vocab) {
        let bytes = read(&vocab, MAX_FILE)?;
        refuse_pointer(&vocab, &bytes)?;
        let vocab = parse(&bytes)?;
        let (made, text) = apply(&layout, Source::Vocab(vocab))?;
        return Ok(Tokenizer::from_bytes(made.to_string().into())?.with_settings(text));
    }
    Err(CheckpointError::NoTokenizer(folder.display().to_string()))
}
