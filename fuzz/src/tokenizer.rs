use fqbert_host::Tokenizer;

use crate::files::{join, split};

/// Tokens that a text may have here.
const LONGEST: usize = 64;

pub(crate) fn run(input: &[u8]) {
    let [json, text] = split(input);
    let Ok(tokenizer) = Tokenizer::from_bytes(json.to_vec()) else {
        return;
    };
    let text = String::from_utf8_lossy(text);
    if let Ok(encoding) = tokenizer.encode(&text, LONGEST) {
        let tokens = fqbert_host::Tokens::from(encoding);
        assert!(tokens.len() <= LONGEST, "{} tokens", tokens.len());
        let within = tokens.ids.iter().all(|id| *id <= tokenizer.max_id());
        assert!(within, "a token id above max_id: {}", tokenizer.max_id());
    }
}

/// A WordPiece tokenizer of BERT's kind.
const WORD_PIECE: &str = include_str!("../seeds/word-piece.json");

/// A byte-level BPE tokenizer of RoBERTa's kind, with a normalizer that lengthens.
const BYTE_LEVEL: &str = include_str!("../seeds/byte-level.json");

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let pair = |json: &str, text: &str| join([json.as_bytes(), text.as_bytes()]);
    vec![
        pair(WORD_PIECE, "A good film's films. \u{4e2d}\u{301}"),
        pair(BYTE_LEVEL, "ab ab foo \u{fb01}"),
    ]
}
