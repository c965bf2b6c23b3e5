//! Texts that are token ids already, for vocabularies of other trades.

use super::encoding::Encoding;
use super::{Tokenizer, TokenizerError, Unknown};

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

/// Token ids with blanks or commas between them, special tokens included.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenIds;

impl TokenIds {
    /// Reads one sequence.
    ///
    /// # Errors
    /// [`TokenizerError::NoId`] and [`TokenizerError::EmptyText`].
    pub fn parse(text: &str) -> Result<Vec<u32>, TokenizerError> {
        let ids = text.split(|c: char| c.is_whitespace() || c == ',');
        let ids = ids.filter(|id| !id.is_empty()).map(|id| {
            let found = || TokenizerError::NoId(fqbert_names::shown(id).to_string());
            id.parse::<u32>().map_err(|_| found())
        });
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        if ids.is_empty() {
            return Err(TokenizerError::EmptyText {
                which: "list of ids",
            });
        }
        Ok(ids)
    }
}

impl Encode for TokenIds {
    fn encode(&self, text: &str, max_len: usize) -> Result<Encoding, TokenizerError> {
        let ids = Self::parse(text)?;
        let tokens = ids.len();
        if tokens > max_len {
            // Where to cut them, and what stands at the end, only their maker knows.
            return Err(TokenizerError::TooManyIds { tokens, max_len });
        }
        Ok(Encoding {
            ids,
            type_ids: vec![0; tokens],
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
    use super::{Encode, TokenIds};

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
