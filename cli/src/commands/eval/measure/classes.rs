//! One class of many.

use super::{
    Answers, FloatRows, Measured, Rows, argmax, beside, errors, margin, sqnr, table_scores,
};
use crate::metrics::classes::Confusion;

/// Accuracy and what else a confusion table tells.
pub fn measure(expected: &[usize], labels: &[String], answers: &Answers) -> Measured {
    let name = |c: &usize| labels.get(*c).cloned().unwrap_or_default();
    let predict = |o: &[Vec<f32>]| o.iter().map(|v| argmax(v)).collect::<Vec<_>>();
    let table = |predicted: &[usize]| {
        Confusion::new(expected.iter().copied().zip(predicted.iter().copied()))
    };
    let right = |predicted: &[usize]| -> Vec<bool> {
        predicted
            .iter()
            .zip(expected)
            .map(|(p, e)| p == e)
            .collect()
    };
    let predicted = predict(&answers.quantized);
    let quantized = table(&predicted);
    let float = answers.float.as_deref().map(|outputs| {
        let answer = predict(outputs);
        let rows = FloatRows {
            right: right(&answer),
            flip: answer.iter().zip(&predicted).map(|(f, p)| f != p).collect(),
            error: errors(outputs, &answers.quantized),
            margin: outputs.iter().map(|o| margin(o)).collect(),
            answer: answer.iter().map(name).collect(),
        };
        (table_scores(&table(&answer), labels.len()), rows)
    });
    let (float_scores, float) = float.unzip();
    let rows = Rows {
        answer: predicted.iter().map(name).collect(),
        expected: expected.iter().map(name).collect(),
        right: right(&predicted),
        float,
    };
    Measured {
        metric: "accuracy",
        figures: beside(table_scores(&quantized, labels.len()), float_scores),
        n: expected.len(),
        correct: Some(quantized.correct()),
        agreement: rows.agreement(),
        float_correlation: None,
        words_cut: None,
        sqnr_db: sqnr(answers),
        matched: rows.matched(),
        rows,
        confusion: Some(quantized),
    }
}
