//! A class for each word.

use std::ops::Range;

use super::{
    Answers, FloatAnswers, Measured, Rows, Score, beside, errors, margin, matched, table_scores,
};
use crate::metrics::classes::Confusion;
use crate::metrics::noise::Noise;
use crate::metrics::{argmax, entities};
use crate::{Examples, Tokenized};

/// The classes of the words of each row.
type Classes = Vec<Vec<usize>>;

/// Accuracy of words, and F1 of entities where the labels are in the BIO scheme.
pub(super) fn measure(
    expected: &[Vec<usize>],
    labels: &[String],
    examples: &Examples,
    tokenized: &[Tokenized],
    answers: &Answers,
) -> Measured {
    let words = Words::new(expected, labels, examples, tokenized);
    let logits = words.logits(&answers.quantized);
    let predicted = predict(&logits);
    let float = answers
        .float
        .as_deref()
        .map(|outputs| words.logits(outputs));
    let (mut noise, mut pairs) = (Noise::default(), None);
    let float = float.map(|float| {
        let concat = |rows: &[Vec<Vec<f32>>]| rows.iter().map(|r| r.concat()).collect::<Vec<_>>();
        let (all, quantized) = (concat(&float), concat(&logits));
        all.iter()
            .zip(&quantized)
            .for_each(|(f, q)| noise.add(f, q));
        let answers = predict(&float);
        pairs = Some(words.matched(&answers, &predicted));
        let least =
            |row: &Vec<Vec<f32>>| row.iter().map(|o| margin(o)).fold(f64::INFINITY, f64::min);
        FloatAnswers {
            answers,
            error: errors(&all, &quantized),
            margin: float.iter().map(least).collect(),
        }
    });
    let float_scores = float.as_ref().map(|f| words.scores(&f.answers));
    let table = words.table(&predicted);
    let n = table.total();
    Measured {
        metric: "accuracy",
        figures: beside(words.scores(&predicted), float_scores),
        n: n as usize,
        correct: Some(table.correct()),
        agreement: pairs.map(|m| (n - m.flips, n)),
        float_correlation: None,
        words_cut: Some(words.cut()),
        sqnr_db: noise.sqnr_db(),
        matched: pairs,
        rows: Rows::new(&words.expected, &predicted, float, |row| {
            words.names(row).join(" ")
        }),
        confusion: Some(table),
    }
}

/// The words of all rows.
struct Words<'a> {
    labels: &'a [String],
    /// For each word of a row its token, where it was not cut off.
    tokens: Vec<Vec<Option<usize>>>,
    /// The right classes of the words that have a token.
    expected: Classes,
}

impl<'a> Words<'a> {
    fn new(
        expected: &[Vec<usize>],
        labels: &'a [String],
        examples: &Examples,
        tokenized: &[Tokenized],
    ) -> Self {
        let tokens: Vec<Vec<Option<usize>>> = examples
            .texts
            .iter()
            .zip(tokenized)
            .map(|(text, t)| word_tokens(text.first().map_or("", String::as_str), &t.offsets))
            .collect();
        let kept = |(row, tokens): (&Vec<usize>, &Vec<Option<usize>>)| {
            let words = row.iter().zip(tokens).filter(|(_, t)| t.is_some());
            words.map(|(c, _)| *c).collect()
        };
        Self {
            labels,
            expected: expected.iter().zip(&tokens).map(kept).collect(),
            tokens,
        }
    }

    /// Words that the longest sequence left out.
    fn cut(&self) -> usize {
        self.tokens.iter().flatten().filter(|t| t.is_none()).count()
    }

    /// The logits of each word of each row.
    fn logits(&self, outputs: &[Vec<f32>]) -> Vec<Vec<Vec<f32>>> {
        let classes = self.labels.len().max(1);
        let of_row = |(o, tokens): (&Vec<f32>, &Vec<Option<usize>>)| {
            let of_token = |t: &usize| o.get(t * classes..(t + 1) * classes).map(<[f32]>::to_vec);
            tokens.iter().flatten().filter_map(of_token).collect()
        };
        outputs.iter().zip(&self.tokens).map(of_row).collect()
    }

    fn names(&self, row: &[usize]) -> Vec<&'a str> {
        let name = |class: &usize| self.labels.get(*class).map_or("", String::as_str);
        row.iter().map(name).collect()
    }

    fn table(&self, predicted: &Classes) -> Confusion {
        Confusion::new(self.expected.concat().into_iter().zip(predicted.concat()))
    }

    fn scores(&self, predicted: &Classes) -> Vec<Score> {
        let mut scores = table_scores(&self.table(predicted), self.labels.len());
        if entities::is_bio(self.labels) {
            let rows = self.expected.iter().zip(predicted);
            let sentences = rows.map(|(e, p)| (self.names(e), self.names(p)));
            scores.push(("f1_entities", entities::f1(sentences), None));
        }
        scores
    }

    fn matched(&self, float: &Classes, quantized: &Classes) -> crate::Matched {
        let pairs = float.concat().into_iter().zip(quantized.concat());
        let words = pairs.zip(self.expected.concat());
        matched(words.map(|((f, q), e)| (f == e, q == e, f != q)))
    }
}

fn predict(logits: &[Vec<Vec<f32>>]) -> Classes {
    let row = |words: &Vec<Vec<f32>>| words.iter().map(|o| argmax(o)).collect();
    logits.iter().map(row).collect()
}

/// For each word between spaces its first token, whose class is by custom the word's; `None` for
/// words that were cut off.
fn word_tokens(text: &str, offsets: &[Range<usize>]) -> Vec<Option<usize>> {
    let start_of = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace()
        .map(|word| {
            let start = start_of(word);
            let within = |o: &Range<usize>| o.start < start + word.len() && o.end > start;
            offsets.iter().position(|o| !o.is_empty() && within(o))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_take_their_first_token() {
        // [CLS] un ##happy , day [SEP], the last word cut off.
        let offsets = [0..0, 1..3, 3..8, 8..9, 10..13, 0..0];
        let words = word_tokens(" unhappy, day off", &offsets);
        assert_eq!(words, [Some(1), Some(4), None]);
        assert!(word_tokens("  ", &offsets).is_empty());
    }
}
