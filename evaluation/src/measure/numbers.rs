//! Numbers: a regression's, or the similarity of two vectors.

use super::{Answers, FloatRows, Measured, Rows, Score, beside, sqnr};
use crate::Kind;
use crate::metrics::{correlation, intervals};

/// Correlation with the numbers of people.
pub(super) fn measure(kind: Kind, expected: &[f64], answers: &Answers) -> Measured {
    let values = |outputs: &[Vec<f32>]| -> Vec<f64> {
        match kind {
            Kind::Similarity => outputs
                .chunks_exact(2)
                .map(|p| correlation::cosine(&p[0], &p[1]))
                .collect(),
            _ => outputs
                .iter()
                .map(|o| o.first().copied().map_or(0.0, f64::from))
                .collect(),
        }
    };
    let scores = |values: &[f64]| -> Vec<Score> {
        let n = expected.len();
        let (pearson, spearman) = (
            correlation::pearson(values, expected),
            correlation::spearman(values, expected),
        );
        vec![
            (
                "spearman",
                spearman,
                spearman.and_then(|r| intervals::spearman(r, n)),
            ),
            (
                "pearson",
                pearson,
                pearson.and_then(|r| intervals::pearson(r, n)),
            ),
        ]
    };
    let show = |v: &f64| format!("{v:.3}");
    let quantized = values(&answers.quantized);
    let float = answers.float.as_deref().map(|outputs| {
        let float = values(outputs);
        let rows = FloatRows {
            right: Vec::new(),
            flip: vec![false; float.len()],
            error: float
                .iter()
                .zip(&quantized)
                .map(|(f, q)| (f - q).abs())
                .collect(),
            margin: Vec::new(),
            answer: float.iter().map(show).collect(),
        };
        let correlation = correlation::spearman(&quantized, &float);
        (scores(&float), (correlation, rows))
    });
    let (float_scores, float) = float.unzip();
    let (correlation, float) = float.unzip();
    Measured {
        metric: "spearman",
        figures: beside(scores(&quantized), float_scores),
        n: expected.len(),
        correct: None,
        agreement: None,
        float_correlation: correlation.flatten().map(|r: f64| 100.0 * r),
        words_cut: None,
        sqnr_db: sqnr(answers),
        matched: None,
        rows: Rows {
            answer: quantized.iter().map(show).collect(),
            expected: expected.iter().map(show).collect(),
            right: Vec::new(),
            float,
        },
        confusion: None,
    }
}
