//! Any of several classes.

use super::{Answers, FloatAnswers, Measured, Rows, Score, beside, errors, sqnr};
use crate::metrics::classes::f1_micro;
use crate::metrics::intervals;

/// F1 over all labels, and the share of rows whose labels are all right.
pub(super) fn measure(expected: &[Vec<bool>], labels: &[String], answers: &Answers) -> Measured {
    // A probability above one half.
    let predict = |o: &[Vec<f32>]| -> Vec<Vec<bool>> {
        o.iter()
            .map(|v| v.iter().map(|v| *v > 0.0).collect())
            .collect()
    };
    let name = |set: &Vec<bool>| {
        let names = labels.iter().zip(set).filter(|(_, holds)| **holds);
        names.map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(",")
    };
    let predicted = predict(&answers.quantized);
    let float = answers.float.as_deref().map(|outputs| {
        let closest = |o: &Vec<f32>| {
            o.iter()
                .map(|v| f64::from(v.abs()))
                .fold(f64::INFINITY, f64::min)
        };
        FloatAnswers {
            answers: predict(outputs),
            error: errors(outputs, &answers.quantized),
            margin: outputs.iter().map(closest).collect(),
        }
    });
    let float_scores = float
        .as_ref()
        .map(|f| scores(expected, &f.answers, labels.len()));
    let rows = Rows::new(expected, &predicted, float, name);
    Measured {
        metric: "f1_micro",
        figures: beside(scores(expected, &predicted, labels.len()), float_scores),
        n: expected.len(),
        correct: Some(rows.correct()),
        agreement: rows.agreement(),
        float_correlation: None,
        words_cut: None,
        sqnr_db: sqnr(answers),
        matched: rows.matched(),
        rows,
        confusion: None,
    }
}

fn scores(expected: &[Vec<bool>], predicted: &[Vec<bool>], labels: usize) -> Vec<Score> {
    let pairs = || {
        expected
            .iter()
            .zip(predicted)
            .map(|(e, p)| (&e[..], &p[..]))
    };
    let of_label =
        |label: usize| f1_micro(pairs().map(|(e, p)| (&e[label..=label], &p[label..=label])));
    let each: Vec<f64> = (0..labels).filter_map(of_label).collect();
    let mean = (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64);
    let hits = pairs().filter(|(e, p)| e == p).count() as u64;
    let of = expected.len() as u64;
    let exact = (of > 0).then(|| hits as f64 / of as f64);
    vec![
        ("f1_micro", f1_micro(pairs()), None),
        ("f1_macro", mean, None),
        ("accuracy", exact, intervals::wilson(hits, of)),
    ]
}
