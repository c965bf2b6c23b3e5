//! From answers to a report.

use crate::measure::measure;
use crate::metrics::intervals;
use crate::report::{hundred, percent};
use crate::{
    AnswerError, Answers, DeviceRun, Evaluation, Examples, Kind, Tokenized, slices, worst,
};

/// A model and the data that it is evaluated on.
pub struct Subject<'a> {
    /// What is asked of the model.
    pub kind: Kind,
    /// Names of its classes.
    pub labels: &'a [String],
    /// Tokens of its vocabulary.
    pub vocab: usize,
    /// The data.
    pub examples: &'a Examples,
    /// The data in tokens: [`Kind::sequences`] for each row.
    pub tokenized: &'a [Tokenized],
}

/// What is reported beside the figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details {
    /// Slices of the data.
    pub slices: bool,
    /// Rows listed with the largest errors, and with changed answers.
    pub worst: usize,
}

/// Evaluates the answers of the quantized model, beside those of the float model where there are
/// any.
///
/// # Errors
/// The answers are not as many as the rows need, or are not finite numbers.
pub fn evaluate(
    subject: &Subject<'_>,
    answers: &Answers,
    details: Details,
    run: DeviceRun,
) -> Result<Evaluation, AnswerError> {
    let &Subject {
        kind,
        labels,
        vocab,
        examples,
        tokenized,
    } = subject;
    let measured = measure(kind, labels, examples, tokenized, answers)?;
    let rows = measured.rows.float.as_ref().map(|float| worst::Rows {
        kind,
        examples,
        answers,
        measured: &measured,
        float,
    });
    let float = measured.rows.float.as_ref();
    let slices = float
        .filter(|_| details.slices)
        .map(|float| slices::report(examples, tokenized, &measured.rows.right, float, vocab));
    let (value, float_value) = measured.primary();
    let agreement = measured.agreement;
    Ok(Evaluation {
        task: kind.name(),
        metric: measured.metric,
        value,
        n: measured.n,
        correct: measured.correct,
        float_value,
        agreement: agreement.and_then(|(same, of)| percent(same, of)),
        agreement_interval95: agreement
            .and_then(|(same, of)| intervals::wilson(same, of))
            .map(hundred),
        float_correlation: measured.float_correlation,
        words_cut: measured.words_cut,
        sqnr_db: measured.sqnr_db,
        confusion: measured.confusion_rows(labels.len()),
        matched_pairs: measured.matched,
        layers: None,
        slices,
        worst: rows
            .as_ref()
            .map_or_else(Vec::new, |r| r.largest(details.worst)),
        flips: rows
            .as_ref()
            .map_or_else(Vec::new, |r| r.flips(details.worst)),
        figures: measured.figures,
        labels: labels.to_vec(),
        run,
    })
}
