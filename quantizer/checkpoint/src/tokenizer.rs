//! The tokenizer of a folder.

use std::path::Path;

use fqbert_files::read;
use fqbert_host::Tokenizer;

use crate::error::CheckpointError;
use crate::files::is_there;
use crate::vocab::word_piece_json;

/// Bound on `tokenizer.json` and `vocab.txt`; the largest in use (XLM-RoBERTa) has 17 MB.
const MAX_FILE: u64 = 256 << 20;

/// Loads `tokenizer.json` of a folder, or builds BERT's WordPiece tokenizer from `vocab.txt` and
/// `tokenizer_config.json`.
///
/// # Errors
/// [`CheckpointError`]: no such file, or one that is damaged.
pub fn load_tokenizer(folder: &Path) -> Result<Tokenizer, CheckpointError> {
    let json = folder.join("tokenizer.json");
    if is_there(&json) {
        return Ok(Tokenizer::from_bytes(read(&json, MAX_FILE)?)?);
    }
    let vocab = folder.join("vocab.txt");
    if is_there(&vocab) {
        let text = read(&vocab, MAX_FILE)?;
        let config = folder.join("tokenizer_config.json");
        return Ok(Tokenizer::from_bytes(word_piece_json(&text, &config)?)?);
    }
    Err(CheckpointError::NoTokenizer(folder.display().to_string()))
}
