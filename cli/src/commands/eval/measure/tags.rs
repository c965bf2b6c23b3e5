//! A class for each word.

use super::super::examples::{Encoded, Examples};
use super::super::report::Matched;
use super::{
    Answers, FloatRows, Measured, Rows, argmax, beside, errors, margin, matched, table_scores,
};
use crate::metrics::classes::Confusion;
use crate::metrics::entities;
use crate::metrics::noise::Noise;

/// Accuracy of words, and F1 of entities where the labels are in the BIO scheme.
pub fn measure(
    expected: &[Vec<usize>],
    labels: &[String],
    examples: &Examples,
    encoded: &Encoded,
    answers: &Answers,
) -> Measured {
    let classes = labels.len().max(1);
    // For each row the words that have a token, with that token.
    let tokens: Vec<Vec<Option<usize>>> = examples
        .texts
        .iter()
        .zip(&encoded.encodings)
        .map(|(text, e)| word_tokens(text.first().map_or("", String::as_str), &e.offsets))
        .collect();
    let cut = tokens.iter().flatten().filter(|t| t.is_none()).count();
    let kept = |row: &Vec<usize>, tokens: &[Option<usize>]| -> Vec<usize> {
        let words = row.iter().zip(tokens);
        words
            .filter(|(_, t)| t.is_some())
            .map(|(c, _)| *c)
            .collect()
    };
    let expected: Vec<Vec<usize>> = expected
        .iter()
        .zip(&tokens)
        .map(|(row, tokens)| kept(row, tokens))
        .collect();
    let logits = |outputs: &[Vec<f32>]| -> Vec<Vec<Vec<f32>>> {
        let of_row = |(o, tokens): (&Vec<f32>, &Vec<Option<usize>>)| {
            let of_token = |t: &usize| o.get(t * classes..(t + 1) * classes).map(<[f32]>::to_vec);
            tokens.iter().flatten().filter_map(of_token).collect()
        };
        outputs.iter().zip(&tokens).map(of_row).collect()
    };
    let predict = |words: &[Vec<Vec<f32>>]| -> Vec<Vec<usize>> {
        let row = |w: &Vec<Vec<f32>>| w.iter().map(|o| argmax(o)).collect();
        words.iter().map(row).collect()
    };
    let names = |row: &Vec<usize>| -> Vec<&str> {
        row.iter()
            .map(|c| labels.get(*c).map_or("", String::as_str))
            .collect()
    };
    let right = |predicted: &[Vec<usize>]| -> Vec<bool> {
        predicted
            .iter()
            .zip(&expected)
            .map(|(p, e)| p == e)
            .collect()
    };
    let table = |predicted: &[Vec<usize>]| {
        Confusion::new(expected.concat().into_iter().zip(predicted.concat()))
    };
    let bio = entities::is_bio(labels);
    let scores = |predicted: &[Vec<usize>]| {
        let mut scores = table_scores(&table(predicted), labels.len());
        if bio {
            let sentences = expected
                .iter()
                .zip(predicted)
                .map(|(e, p)| (names(e), names(p)));
            scores.push(("f1_entities", entities::f1(sentences), None));
        }
        scores
    };
    let words = logits(&answers.quantized);
    let predicted = predict(&words);
    let mut noise = Noise::default();
    let float = answers.float.as_deref().map(|outputs| {
        let float_words = logits(outputs);
        let answer = predict(&float_words);
        for (f, q) in float_words.iter().zip(&words) {
            noise.add(&f.concat(), &q.concat());
        }
        let least =
            |row: &Vec<Vec<f32>>| row.iter().map(|o| margin(o)).fold(f64::INFINITY, f64::min);
        let concat = |w: &[Vec<Vec<f32>>]| w.iter().map(|r| r.concat()).collect::<Vec<_>>();
        let units = answer
            .concat()
            .into_iter()
            .zip(predicted.concat())
            .zip(expected.concat());
        let matched = matched(units.map(|((f, p), e)| (f == e, p == e, f != p)));
        let rows = FloatRows {
            right: right(&answer),
            flip: answer.iter().zip(&predicted).map(|(f, p)| f != p).collect(),
            error: errors(&concat(&float_words), &concat(&words)),
            margin: float_words.iter().map(least).collect(),
            answer: answer.iter().map(|r| names(r).join(" ")).collect(),
        };
        (scores(&answer), (matched, rows))
    });
    let (float_scores, float) = float.unzip();
    let (matched, float) = float.unzip();
    let quantized = table(&predicted);
    let n = quantized.total();
    Measured {
        metric: "accuracy",
        figures: beside(scores(&predicted), float_scores),
        n: n as usize,
        correct: Some(quantized.correct()),
        agreement: matched.map(|m: Matched| (n - m.flips, n)),
        float_correlation: None,
        words_cut: Some(cut),
        sqnr_db: noise.sqnr_db(),
        matched,
        rows: Rows {
            answer: predicted.iter().map(|r| names(r).join(" ")).collect(),
            expected: expected.iter().map(|r| names(r).join(" ")).collect(),
            right: right(&predicted),
            float,
        },
        confusion: Some(quantized),
    }
}

/// For each word between spaces its first token, whose class is by custom the word's; `None` for
/// words that were cut off.
fn word_tokens(text: &str, offsets: &[std::ops::Range<usize>]) -> Vec<Option<usize>> {
    let start_of = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace()
        .map(|word| {
            let start = start_of(word);
            let within = |o: &std::ops::Range<usize>| o.start < start + word.len() && o.end > start;
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
