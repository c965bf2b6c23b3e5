//! Text to token ids, by the `tokenizers` library, with bounds that it does not set.
//!
//! Padding and truncation settings of `tokenizer.json` are set aside: every text becomes just its
//! own tokens, cut to the length that the caller gives.

mod charsmap;
mod encoding;
mod fence;
mod ids;
mod limits;
mod regexes;
mod settings;
mod walk;

pub use encoding::{Encoding, WordSpan};
pub use ids::{Encode, TextPairs, TokenIds};
pub use settings::{AppliedSetting, TextSettings};

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use fqbert_files::sha256_hex;
use fqbert_names::said;
use tokenizers::{ModelWrapper, NormalizedString, Normalizer};

use crate::config::{Task, TaskKind};
use fence::fenced;
use limits::Growth;

/// Of a longer text only this much is looked at.
const MAX_TEXT: usize = 4 << 20;
/// Bytes of text tried first for each token that may be kept, and at least.
const BYTES_PER_TOKEN: usize = 32;
const LEAST_PREFIX: usize = 4096;
/// A prefix is long enough if it has this many tokens more than can be kept: what a cut changes is
/// in the last few of them.
const SPARE_TOKENS: usize = 16;
/// A prefix ends at white space if there is some within this many bytes. A longer run is no word
/// of any vocabulary.
const CUT_SEARCH: usize = 512;

/// Why a tokenizer cannot be loaded or a text not be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The `tokenizers` library does not take the file.
    #[error("the tokenizer is damaged or of a kind that is not supported: {}", said(.0))]
    Load(String),
    /// The tokenizer can give ids that the model does not have.
    #[error(
        "the tokenizer gives ids up to {max_id}, the model has {vocab} word embeddings; \
         use the tokenizer that the model was trained with"
    )]
    VocabTooLarge {
        /// Largest id.
        max_id: u32,
        /// Rows of the embedding table.
        vocab: usize,
    },
    /// Two added tokens that are one text.
    #[error(
        "the added tokens \"{0}\" and \"{1}\" are the same text once they are normalized; remove \
         one, or set its \"normalized\" to false"
    )]
    SameAdded(String, String),
    /// No text, or nothing in it that makes a token.
    #[error("the {which} has no tokens: it is empty or only white space; give some text")]
    EmptyText {
        /// "text", "first text" or "second text".
        which: &'static str,
    },
    /// Something among token ids that is none.
    #[error(
        "\"{0}\" is not a token id; ids are whole numbers, such as in \"101 7592 102\", and may \
         have their token type behind a colon, such as in \"102:1\""
    )]
    NoId(String),
    /// Not two texts with a tab between them.
    #[error("it is no pair: it has {tabs} tabs, expected one between two texts")]
    NoPair {
        /// Tabs that it has.
        tabs: usize,
    },
    /// A sequence of ids that is too long.
    #[error("the sequence has {tokens} ids, {max_len} at most; shorten it")]
    TooManyIds {
        /// Ids that it has.
        tokens: usize,
        /// The bound.
        max_len: usize,
    },
    /// The length asked for has no room for text.
    #[error(
        "a length of {max_len} tokens has no room for text beside {special} special tokens; \
         ask for at least {}", special + texts
    )]
    LengthTooSmall {
        /// Length asked for.
        max_len: usize,
        /// Special tokens that the tokenizer adds.
        special: usize,
        /// Texts to be encoded: 1, or 2 for a pair.
        texts: usize,
    },
    /// The library failed on this text.
    #[error("the text cannot be tokenized: {}", said(.0))]
    Encode(String),
    /// The file asks for more than is given.
    #[error(
        "the tokenizer is refused: {what} may be {found:.0} {unit}, {most:.0} at most; repair its \
         tokenizer.json"
    )]
    Limit {
        /// Which part of it.
        what: String,
        /// What it asks for.
        found: f64,
        /// Of what.
        unit: &'static str,
        /// The bound.
        most: f64,
    },
    /// A regular expression that is not taken.
    #[error("the tokenizer is refused: its regular expression \"{pattern}\": {reason}")]
    Regex {
        /// The pattern, shortened.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A tokenizer that gives other ids each time.
    #[error(
        "the tokenizer is refused: its dropout is {0}, which gives other tokens each time; set it \
         to null"
    )]
    Dropout(f32),
    /// A text that the tokenizer's steps would make too large.
    #[error(
        "the text of {bytes} bytes cannot be tokenized: the tokenizer may make {to:.0} bytes of \
         it, {most} at most; shorten it"
    )]
    Grows {
        /// Bytes of the text.
        bytes: usize,
        /// Bytes that it may become.
        to: f64,
        /// The bound.
        most: usize,
    },
}

/// How much of some texts is not in the vocabulary, special tokens left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Tokens of the texts.
    pub tokens: usize,
    /// Those of them that stand for what is not in the vocabulary.
    pub unknown: usize,
}

impl Unknown {
    /// A share above which texts are not those that a tokenizer is for. Of English texts with
    /// BERT's vocabulary 0.1 % are unknown.
    pub const MUCH: f64 = 0.05;

    /// Of all tokens, 0 to 1.
    pub fn share(self) -> f64 {
        self.unknown as f64 / self.tokens.max(1) as f64
    }

    /// Whether it is more than [`Unknown::MUCH`].
    pub fn is_much(self) -> bool {
        self.share() > Self::MUCH
    }

    /// With those of other texts.
    pub fn add(&mut self, other: Self) {
        self.tokens += other.tokens;
        self.unknown += other.unknown;
    }
}

/// A loaded tokenizer.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    json: Vec<u8>,
    sha256: String,
    max_id: u32,
    unknown_id: Option<u32>,
    growth: Growth,
    settings: TextSettings,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("sha256", &self.sha256)
            .field("max_id", &self.max_id)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// From the bytes of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`TokenizerError::Load`] if the library does not take it, and others that name a part which
    /// asks for too much.
    pub fn from_bytes(json: Vec<u8>) -> Result<Self, TokenizerError> {
        let growth = limits::check(&json)?;
        let mut inner =
            fenced(|| tokenizers::Tokenizer::from_bytes(&json)).map_err(TokenizerError::Load)?;
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|e| TokenizerError::Load(e.to_string()))?;
        distinct(&inner)?;
        let vocab = inner.get_vocab(true);
        limits::check_tokens(vocab.keys())?;
        let max_id = vocab.into_values().chain(special_ids(&inner)).max();
        let max_id = max_id.ok_or_else(|| TokenizerError::Load("it has no tokens".into()))?;
        let sha256 = sha256_hex([json.as_slice()]);
        Ok(Tokenizer {
            unknown_id: unknown_id(&inner, &json),
            inner,
            json,
            sha256,
            max_id,
            growth,
            settings: TextSettings::default(),
        })
    }

    /// Checks the length of a `tokenizer.json`, before anything is made of it.
    ///
    /// # Errors
    /// [`TokenizerError::Limit`].
    pub fn check_size(json: &[u8]) -> Result<(), TokenizerError> {
        limits::check_size(json)
    }

    /// The same with settings of the texts.
    #[must_use]
    pub fn with_settings(self, settings: TextSettings) -> Self {
        Self { settings, ..self }
    }

    /// The same for a model's use: what is put before texts is an embedder's alone.
    #[must_use]
    pub fn for_task(mut self, task: Task) -> Self {
        if task.kind() != TaskKind::Embedding {
            self.settings.prompt.clear();
            self.settings
                .applied
                .retain(|a| a.key != "default_prompt_name");
        }
        self
    }

    /// Settings of the texts.
    pub fn settings(&self) -> &TextSettings {
        &self.settings
    }

    /// At most `longest`, or the tokens that the settings cut a text to.
    pub fn longest(&self, longest: usize) -> usize {
        self.settings
            .max_tokens
            .map_or(longest, |most| most.min(longest))
    }

    /// Id of the token that stands for what is not in the vocabulary, if there is one.
    pub fn unknown_id(&self) -> Option<u32> {
        self.unknown_id
    }

    /// How much of some texts is not in the vocabulary.
    pub fn unknown<'e>(&self, encodings: impl IntoIterator<Item = &'e Encoding>) -> Unknown {
        let mut all = Unknown::default();
        for encoding in encodings {
            let ids = encoding.ids.iter().zip(&encoding.sequences);
            for (id, _) in ids.filter(|(_, sequence)| sequence.is_some()) {
                all.tokens += 1;
                all.unknown += usize::from(Some(*id) == self.unknown_id);
            }
        }
        all
    }

    /// The `tokenizer.json` bytes; [`Tokenizer::from_bytes`] takes them back.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// SHA-256 of [`Tokenizer::json`], hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The largest id that a text can give.
    pub fn max_id(&self) -> u32 {
        self.max_id
    }

    /// Checks that every id is within a vocabulary of `vocab` rows.
    ///
    /// # Errors
    /// [`TokenizerError::VocabTooLarge`] with both numbers.
    pub fn check_vocab(&self, vocab: usize) -> Result<(), TokenizerError> {
        if (self.max_id as usize) < vocab {
            return Ok(());
        }
        Err(TokenizerError::VocabTooLarge {
            max_id: self.max_id,
            vocab,
        })
    }

    /// Id of a token by its text, if there is such a token.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Encodes one text to at most `max_len` tokens, special tokens included; what is too much is
    /// cut from the end of the text. A long text takes no longer than the part of it that is
    /// kept, unless that is mostly white space; beyond 4 MiB nothing is looked at.
    ///
    /// # Errors
    /// [`TokenizerError::EmptyText`] and [`TokenizerError::LengthTooSmall`].
    pub fn encode(&self, text: &str, max_len: usize) -> Result<Encoding, TokenizerError> {
        self.check_text(text, "text")?;
        let max_len = self.longest(max_len);
        let prompt = self.settings.prompt.as_str();
        // Whoever puts it there himself does not mean it twice.
        let prompt = if text.starts_with(prompt) { "" } else { prompt };
        let text = match prompt {
            "" => Cow::Borrowed(text),
            prompt => Cow::Owned([prompt, text].concat()),
        };
        let (prefix, cut) = self.prefix(&text, max_len)?;
        let raw = fenced(|| self.inner.encode(prefix, true)).map_err(TokenizerError::Encode)?;
        let mut encoding = self.finish(&raw, max_len, cut, &["text"])?;
        encoding.shift(prompt.len());
        Ok(encoding)
    }

    /// Encodes a pair of texts. What is too much is cut from the end of the longer one.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; neither text may be empty.
    pub fn encode_pair(
        &self,
        first: &str,
        second: &str,
        max_len: usize,
    ) -> Result<Encoding, TokenizerError> {
        self.check_text(first, "first text")?;
        self.check_text(second, "second text")?;
        let max_len = self.longest(max_len);
        let (first, cut_first) = self.prefix(first, max_len)?;
        let (second, cut_second) = self.prefix(second, max_len)?;
        let raw =
            fenced(|| self.inner.encode((first, second), true)).map_err(TokenizerError::Encode)?;
        self.finish(
            &raw,
            max_len,
            cut_first || cut_second,
            &["first text", "second text"],
        )
    }

    fn check_text(&self, text: &str, which: &'static str) -> Result<(), TokenizerError> {
        if text.chars().all(char::is_whitespace) {
            return Err(TokenizerError::EmptyText { which });
        }
        Ok(())
    }

    fn finish(
        &self,
        raw: &tokenizers::Encoding,
        max_len: usize,
        cut: bool,
        which: &[&'static str],
    ) -> Result<Encoding, TokenizerError> {
        let all = Encoding::from_raw(raw);
        for (sequence, which) in which.iter().enumerate() {
            if all.content(sequence) == 0 {
                return Err(TokenizerError::EmptyText { which });
            }
        }
        let special = all.special();
        if max_len < special + which.len() {
            return Err(TokenizerError::LengthTooSmall {
                max_len,
                special,
                texts: which.len(),
            });
        }
        let mut kept = all.truncated_to(max_len);
        kept.truncated |= cut;
        Ok(kept)
    }

    /// A prefix of `text` that has all the tokens that can be kept, and whether it is shorter.
    ///
    /// The prefix ends before white space, where tokens do not reach across, or in a run too long
    /// to be a word, where only tokens beyond those kept can differ.
    fn prefix<'t>(&self, text: &'t str, max_len: usize) -> Result<(&'t str, bool), TokenizerError> {
        let mut bytes = max_len
            .saturating_mul(BYTES_PER_TOKEN)
            .clamp(LEAST_PREFIX, MAX_TEXT);
        loop {
            let prefix = cut(text, bytes);
            self.growth.check(prefix, self.inner.get_normalizer())?;
            if prefix.len() == text.len() {
                return Ok((text, false));
            }
            if bytes >= MAX_TEXT {
                return Ok((prefix, true));
            }
            let tokens = fenced(|| self.inner.encode_fast(prefix, false))
                .map_err(TokenizerError::Encode)?
                .len();
            if tokens >= max_len.saturating_add(SPARE_TOKENS) {
                return Ok((prefix, true));
            }
            bytes = (bytes * 4).min(MAX_TEXT);
        }
    }
}

/// Refuses added tokens that are the same text once they are normalized: which of them stands for
/// it would be another one each time.
fn distinct(inner: &tokenizers::Tokenizer) -> Result<(), TokenizerError> {
    let Some(normalizer) = inner.get_normalizer() else {
        return Ok(());
    };
    let mut seen = HashMap::new();
    for token in inner.get_added_tokens_decoder().into_values() {
        if !token.normalized {
            continue;
        }
        let mut text = NormalizedString::from(token.content.as_str());
        fenced(|| normalizer.normalize(&mut text)).map_err(TokenizerError::Load)?;
        if let Some(other) = seen.insert(text.get().to_owned(), token.content.clone()) {
            return Err(TokenizerError::SameAdded(
                said(&other).to_string(),
                said(&token.content).to_string(),
            ));
        }
    }
    Ok(())
}

/// The id of the model's unknown token.
fn unknown_id(inner: &tokenizers::Tokenizer, json: &[u8]) -> Option<u32> {
    let token = match inner.get_model() {
        ModelWrapper::WordPiece(model) => Some(model.unk_token.as_str()),
        ModelWrapper::WordLevel(model) => Some(model.unk_token.as_str()),
        ModelWrapper::BPE(model) => model.unk_token.as_deref(),
        // The library keeps it to itself.
        ModelWrapper::Unigram(_) => return limits::unk_id(json),
    };
    token.and_then(|token| inner.token_to_id(token))
}

/// Ids that the tokenizer puts around every text and every pair. Its post-processor names them
/// itself, whatever the vocabulary says. What fails here is an error for each text.
fn special_ids(inner: &tokenizers::Tokenizer) -> Vec<u32> {
    let text = fenced(|| inner.encode("", true));
    let pair = fenced(|| inner.encode(("", ""), true));
    let both = [text, pair].into_iter().flatten();
    both.flat_map(|encoding| encoding.get_ids().to_vec())
        .collect()
}

/// At most `bytes` of `text`, ending before white space where there is some near the end.
fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let prefix = &text[..text.floor_char_boundary(bytes)];
    let tail = &prefix[prefix.ceil_char_boundary(prefix.len().saturating_sub(CUT_SEARCH))..];
    match tail.rfind(char::is_whitespace) {
        Some(at) => &prefix[..prefix.len() - tail.len() + at],
        None => prefix,
    }
}
