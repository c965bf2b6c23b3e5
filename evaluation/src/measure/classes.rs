//! One class of many.

use super::{Answers, FloatAnswers, Measured, Rows, beside, errors, margin, sqnr, table_scores};
use crate::metrics::argmax;
use crate::metrics::classes::Confusion;

/// Accuracy and what else a confusion table tells.
pub(super) fn measure(expected: &[usize], labels: &[String], answers: &Answers) -> Measured {
    let predict = |o: &[Vec<f32>]| o.iter().map(|v| argmax(v)).collect::<Vec<_>>();
    let table = |predicted: &[usize]| {
        Confusion::new(expected.iter().copied().zip(predicted.iter().copied()))
    };
    let predicted = predict(&answers.quantized);
    let quantized = table(&predicted);
    let float = answers.float.as_deref().map(|outputs| FloatAnswers {
        answers: predict(outputs),
        error: errors(outputs, &answers.quantized),
        margin: outputs.iter().map(|o| margin(o)).collect(),
    });
    let float_scores = float
        .as_ref()
        .map(|f| table_scores(&table(&f.answers), labels.len()));
    let name = |class: &usize| labels.get(*class).cloned().unwrap_or_default();
    let rows = Rows::new(expected, &predicted, float, name);
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
