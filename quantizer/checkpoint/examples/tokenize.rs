//! Token ids of texts by the tokenizers of folders: the part of the differential test that is ours
//! (`differential/tokens.py`). Reads lines `{"folder": PATH, "texts": [TEXT...], "longest": N}`,
//! and answers each with `{"ids": [[ID...] or null...]}` or `{"error": TEXT}`.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use fqbert_checkpoint::load_tokenizer;
use fqbert_host::TokenizerError;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Question {
    folder: PathBuf,
    texts: Vec<String>,
    longest: usize,
}

/// The ids of each text; null for one without tokens.
fn answer(question: &Question) -> Result<Value, String> {
    let tokenizer = load_tokenizer(&question.folder).map_err(|e| e.to_string())?;
    let ids = question
        .texts
        .iter()
        .map(|text| match tokenizer.encode(text, question.longest) {
            Ok(encoding) => Ok(json!(encoding.ids)),
            Err(TokenizerError::EmptyText { .. }) => Ok(Value::Null),
            Err(error) => Err(error.to_string()),
        });
    ids.collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let question: Question = serde_json::from_str(&line?)?;
        let answer = match answer(&question) {
            Ok(ids) => json!({"ids": ids}),
            Err(error) => json!({"error": error}),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
