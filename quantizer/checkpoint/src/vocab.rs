//! The vocabulary of the older tokenizers: `vocab.txt`.

use serde_json::{Map, Value, json};

use crate::error::CheckpointError;

/// One token a line; the line's number is the id, and of a token that stands twice the last one's.
pub(crate) fn parse(vocab: &[u8]) -> Result<Map<String, Value>, CheckpointError> {
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
        tokens.insert(token.to_owned(), json!(id));
    }
    Ok(tokens)
}
