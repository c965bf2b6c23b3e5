//! The tokens of a text, and where in the text they are.

use std::ops::Range;

use crate::tokens::Tokens;

/// A tokenized text or pair of texts. All vectors have one entry for each token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Token types: 0, or 1 for the second text where the tokenizer tells them apart.
    pub type_ids: Vec<u32>,
    /// Tokens as text.
    pub tokens: Vec<String>,
    /// Bytes of the original text that each token stands for; empty for special tokens.
    pub offsets: Vec<Range<usize>>,
    /// Which text each token is from, 0 or 1; `None` for special tokens.
    pub sequences: Vec<Option<usize>>,
    /// Number of the word in its text; words are what the tokenizer splits before sub-words, so
    /// punctuation stands alone.
    pub words: Vec<Option<u32>>,
    /// Whether tokens were left out.
    pub truncated: bool,
}

/// A word of the text with the tokens that it became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordSpan {
    /// Which text, 0 or 1.
    pub sequence: usize,
    /// Bytes of that text.
    pub bytes: Range<usize>,
    /// Tokens of the encoding; the first one's class is by custom the word's.
    pub tokens: Range<usize>,
}

impl Encoding {
    pub(super) fn from_raw(raw: &tokenizers::Encoding) -> Self {
        Encoding {
            ids: raw.get_ids().to_vec(),
            type_ids: raw.get_type_ids().to_vec(),
            tokens: raw.get_tokens().to_vec(),
            offsets: raw
                .get_offsets()
                .iter()
                .map(|&(start, end)| start..end)
                .collect(),
            sequences: raw.get_sequence_ids(),
            words: raw.get_word_ids().to_vec(),
            truncated: false,
        }
    }

    /// Offsets of the text that stood behind `bytes` of another.
    pub(super) fn shift(&mut self, bytes: usize) {
        for range in &mut self.offsets {
            *range = range.start.saturating_sub(bytes)..range.end.saturating_sub(bytes);
        }
    }

    /// Number of tokens, special ones included.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The words of the text (of both, for a pair), in order.
    pub fn word_spans(&self) -> Vec<WordSpan> {
        let mut spans: Vec<WordSpan> = Vec::new();
        let mut last = None;
        let tokens = self
            .sequences
            .iter()
            .zip(&self.words)
            .zip(&self.offsets)
            .enumerate();
        for (token, ((sequence, word), bytes)) in tokens {
            let (Some(sequence), Some(word)) = (*sequence, *word) else {
                last = None;
                continue;
            };
            match spans.last_mut() {
                Some(span) if last == Some((sequence, word)) => {
                    span.bytes.end = span.bytes.end.max(bytes.end);
                    span.tokens.end = token + 1;
                }
                _ => spans.push(WordSpan {
                    sequence,
                    bytes: bytes.clone(),
                    tokens: token..token + 1,
                }),
            }
            last = Some((sequence, word));
        }
        spans
    }

    /// Number of tokens from text `sequence`.
    pub(super) fn content(&self, sequence: usize) -> usize {
        self.sequences
            .iter()
            .filter(|s| **s == Some(sequence))
            .count()
    }

    /// Number of special tokens that the tokenizer added.
    pub(super) fn special(&self) -> usize {
        self.sequences.iter().filter(|s| s.is_none()).count()
    }

    /// At most `max_len` tokens: all special ones, and of the texts the beginnings, the longer
    /// text being cut first. `max_len` is at least the number of special tokens.
    pub(super) fn truncated_to(self, max_len: usize) -> Encoding {
        if self.len() <= max_len {
            return self;
        }
        let room = max_len.saturating_sub(self.special());
        let mut left = shares(self.content(0), self.content(1), room);
        let keep: Vec<bool> = self
            .sequences
            .iter()
            .map(|sequence| match sequence.and_then(|s| left.get_mut(s)) {
                None => sequence.is_none(),
                Some(0) => false,
                Some(left) => {
                    *left -= 1;
                    true
                }
            })
            .collect();
        Encoding {
            ids: kept(self.ids, &keep),
            type_ids: kept(self.type_ids, &keep),
            tokens: kept(self.tokens, &keep),
            offsets: kept(self.offsets, &keep),
            sequences: kept(self.sequences, &keep),
            words: kept(self.words, &keep),
            truncated: true,
        }
    }
}

impl From<Encoding> for Tokens {
    fn from(encoding: Encoding) -> Self {
        Self {
            ids: encoding.ids,
            type_ids: encoding.type_ids,
        }
    }
}

fn kept<T>(values: Vec<T>, keep: &[bool]) -> Vec<T> {
    values
        .into_iter()
        .zip(keep)
        .filter_map(|(v, keep)| keep.then_some(v))
        .collect()
}

/// How many tokens of each of two texts fit into `room`: the longer is cut down to the shorter,
/// then both evenly, the longer keeping the odd one; Hugging Face calls it longest first.
fn shares(first: usize, second: usize, room: usize) -> [usize; 2] {
    if first + second <= room {
        return [first, second];
    }
    let short = first.min(second).min(room / 2);
    let long = room - short;
    if first <= second {
        [short, long]
    } else {
        [long, short]
    }
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn the_longer_text_is_cut_first() {
        assert_eq!(shares(3, 4, 10), [3, 4]);
        assert_eq!(shares(3, 40, 10), [3, 7]);
        assert_eq!(shares(40, 3, 10), [7, 3]);
        assert_eq!(shares(40, 41, 11), [5, 6]);
        assert_eq!(shares(41, 40, 11), [6, 5]);
        assert_eq!(shares(40, 40, 10), [5, 5]);
        assert_eq!(shares(7, 0, 3), [3, 0]);
    }
}
