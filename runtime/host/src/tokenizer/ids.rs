//! What may stand in a line or cell: a text, a pair of them, or token ids already, for vocabularies
//! of other trades.

use super::encoding::Encoding;
use super::{Tokenizer, TokenizerError, Unknown};
use crate::tokens::Tokens;

/// What makes tokens of the lines or cells of a file.
pub trait Encode {
    /// The tokens of one, at most `max_len`.
    ///
    /// # Errors
    /// One without tokens, or that cannot be read.
    fn encode(&self, text: &str, max_len: usize) -> Result<Encoding, TokenizerError>;

    /// How much of it is not in the vocabulary.
    fn unknown(&self, encoding: &Encoding) -> Unknown;
}

impl Encode for Tokenizer {
    fn encode(&self, text: &str, max_len: usize) -> Result<Encoding, TokenizerError> {
        Tokenizer::encode(self, text, max_len)
    }

    fn unknown(&self, encoding: &Encoding) -> Unknown {
        Tokenizer::unknown(self, [encoding])
    }
}

/// Two texts with a tab between them, for models that take pairs.
#[derive(Clone, Copy, Debug)]
pub struct TextPairs<'t>(pub &'t Tokenizer);

impl TextPairs<'_> {
    /// The two texts.
    ///
    /// # Errors
    /// [`TokenizerError::NoPair`].
    pub fn split(text: &str) -> Result<(&str, &str), TokenizerError> {
        match text.split_once('\t') {
            Some((first, second)) if !second.contains('\t') => Ok((first, second)),
            _ => Err(TokenizerError::NoPair {
                tabs: text.matches('\t').count(),
            }),
        }
    }
}

impl Encode for TextPairs<'_> {
    fn encode(&self, text: &str, max_len: usize) -> Result<Encoding, TokenizerError> {
        let (first, second) = Self::split(text)?;
        self.0.encode_pair(first, second, max_len)
    }

    fn unknown(&self, encoding: &Encoding) -> Unknown {
        Tokenizer::unknown(self.0, [encoding])
    }
}

/// Token ids with blanks or commas between them, special tokens included. An id may have its token
/// type behind a colon; without it is 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenIds;

impl TokenIds {
    /// Reads one sequence.
    ///
    /// # Errors
    /// [`TokenizerError::NoId`] and [`TokenizerError::EmptyText`].
    pub fn parse(text: &str) -> Result<Tokens, TokenizerError> {
        let words = text.split(|c: char| c.is_whitespace() || c == ',');
        let mut tokens = Tokens::default();
        for word in words.filter(|word| !word.is_empty()) {
            let (id, kind) = word.split_once(':').unwrap_or((word, "0"));
            let (Ok(id), Ok(kind)) = (id.parse(), kind.parse()) else {
                let found = fqbert_names::shown(word).to_string();
                return Err(TokenizerError::NoId(found));
            };
            tokens.ids.push(id);
            tokens.type_ids.push(kind);
        }
        if tokens.is_empty() {
            return Err(TokenizerError::EmptyText {
                which: "list of ids",
            });
        }
        Ok(tokens)
    }
}

impl Encode for TokenIds {
    fn encode(&self, text: &str, max_len: usize) -> Result<Encoding, TokenizerError> {
        let Tokens { ids, type_ids } = Self::parse(text)?;
        let tokens = ids.len();
        if tokens > max_len {
            // Where to cut them, and what stands at the end, only their maker knows.
            return Err(TokenizerError::TooManyIds { tokens, max_len });
        }
        Ok(Encoding {
            ids,
            type_ids,
            tokens: vec![String::new(); tokens],
            offsets: vec![0..0; tokens],
            sequences: vec![Some(0); tokens],
            words: vec![None; tokens],
            truncated: false,
        })
    }

    fn unknown(&self, _: &Encoding) -> Unknown {
        Unknown::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Encode, TextPairs, TokenIds};

    #[test]
    fn ids_have_types_and_pairs_one_tab() {
        let types = TokenIds.encode("2 5:1,3:1", 3).unwrap().type_ids;
        assert_eq!(types, [0, 1, 1]);
        for text in ["2:", ":1", "2:1:0", "2:-1"] {
            assert!(TokenIds.encode(text, 3).is_err(), "{text}");
        }
        assert_eq!(TextPairs::split("a b\tc").unwrap(), ("a b", "c"));
        for (text, tabs) in [("a b", "0 tabs"), ("a\tb\t", "2 tabs")] {
            let said = TextPairs::split(text).unwrap_err().to_string();
            assert!(said.contains(tabs), "{said}");
        }
    }

    #[test]
    fn ids_are_read_or_named() {
        let of = |text| TokenIds.encode(text, 3);
        assert_eq!(of(" 101, 7\t102 ").unwrap().ids, [101, 7, 102]);
        for (text, reason) in [
            ("1 2 3 4", "4 ids, 3 at most"),
            ("1 -2", "\"-2\" is not a token id"),
            ("4294967296", "4294967296"),
            (" ,", "list of ids"),
        ] {
            let said = of(text).unwrap_err().to_string();
            assert!(said.contains(reason), "{said}");
        }
    }
}
