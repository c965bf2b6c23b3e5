//! The rows that quantization changes most.

use super::Kind;
use super::examples::Examples;
use super::measure::{Answers, FloatRows, Measured};
use super::report::Row;

/// The `n` rows with the largest error, the largest first.
pub fn largest(
    examples: &Examples,
    answers: &Answers,
    measured: &Measured,
    n: usize,
    kind: Kind,
) -> Vec<Row> {
    let Some(float) = &measured.rows.float else {
        return Vec::new();
    };
    let mut order: Vec<usize> = (0..float.error.len()).collect();
    order.sort_by(|a, b| float.error[*b].total_cmp(&float.error[*a]));
    rows(&order, examples, answers, measured, float, n, kind)
}

/// At most `n` rows whose answer differs from the float model's, those first that it was most sure
/// of.
pub fn flips(
    examples: &Examples,
    answers: &Answers,
    measured: &Measured,
    n: usize,
    kind: Kind,
) -> Vec<Row> {
    let Some(float) = &measured.rows.float else {
        return Vec::new();
    };
    let mut order: Vec<usize> = (0..float.flip.len()).filter(|i| float.flip[*i]).collect();
    let margin = |i: usize| float.margin.get(i).copied().unwrap_or(0.0);
    order.sort_by(|a, b| margin(*b).total_cmp(&margin(*a)));
    rows(&order, examples, answers, measured, float, n, kind)
}

fn rows(
    order: &[usize],
    examples: &Examples,
    answers: &Answers,
    measured: &Measured,
    float: &FloatRows,
    n: usize,
    kind: Kind,
) -> Vec<Row> {
    let name = |of: &[String], row: usize| of.get(row).cloned().unwrap_or_default();
    let logits = |of: Option<&[Vec<f32>]>, row: usize| {
        let shown = !matches!(kind, Kind::Tags | Kind::Similarity);
        of.filter(|_| shown)?.get(row).cloned()
    };
    order
        .iter()
        .take(n)
        .map(|&row| Row {
            line: examples.lines.get(row).copied().unwrap_or(0),
            text: examples.text(row),
            expected: name(&measured.rows.expected, row),
            float: name(&float.answer, row),
            quantized: name(&measured.rows.answer, row),
            flip: float.flip.get(row) == Some(&true),
            error: float.error.get(row).copied().unwrap_or(0.0),
            float_margin: float.margin.get(row).copied().filter(|m| m.is_finite()),
            float_logits: logits(answers.float.as_deref(), row),
            logits: logits(Some(&answers.quantized), row),
        })
        .collect()
}
