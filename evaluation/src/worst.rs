//! The rows that quantization changes most.

use crate::measure::{FloatRows, Measured};
use crate::report::Row;
use crate::{Answers, Examples, Kind};

/// What rows are described by.
pub(crate) struct Rows<'a> {
    pub kind: Kind,
    pub examples: &'a Examples,
    pub answers: &'a Answers,
    pub measured: &'a Measured,
    /// Beside the float model.
    pub float: &'a FloatRows,
}

impl Rows<'_> {
    /// The `n` rows with the largest error, the largest first.
    pub(crate) fn largest(&self, n: usize) -> Vec<Row> {
        let error = &self.float.error;
        let mut order: Vec<usize> = (0..error.len()).collect();
        order.sort_by(|a, b| error[*b].total_cmp(&error[*a]));
        order.iter().take(n).map(|row| self.row(*row)).collect()
    }

    /// At most `n` rows whose answer differs from the float model's, those first that it was most
    /// sure of.
    pub(crate) fn flips(&self, n: usize) -> Vec<Row> {
        let flip = &self.float.flip;
        let mut order: Vec<usize> = (0..flip.len()).filter(|i| flip[*i]).collect();
        let margin = |i: usize| self.float.margin.get(i).copied().unwrap_or(0.0);
        order.sort_by(|a, b| margin(*b).total_cmp(&margin(*a)));
        order.iter().take(n).map(|row| self.row(*row)).collect()
    }

    fn row(&self, row: usize) -> Row {
        let name = |of: &[String]| of.get(row).cloned().unwrap_or_default();
        let logits = |of: Option<&[Vec<f32>]>| {
            let shown = !matches!(self.kind, Kind::Tags | Kind::Similarity);
            of.filter(|_| shown)?.get(row).cloned()
        };
        let (rows, float) = (&self.measured.rows, self.float);
        Row {
            line: self.examples.lines.get(row).copied().unwrap_or(0),
            text: self.examples.text(row),
            expected: name(&rows.expected),
            float: name(&float.answer),
            quantized: name(&rows.answer),
            flip: float.flip.get(row) == Some(&true),
            error: float.error.get(row).copied().unwrap_or(0.0),
            float_margin: float.margin.get(row).copied().filter(|m| m.is_finite()),
            float_logits: logits(self.answers.float.as_deref()),
            logits: logits(Some(&self.answers.quantized)),
        }
    }
}
