//! Answers to figures.

mod classes;
mod numbers;
mod sets;
mod tags;

use anyhow::{bail, ensure};

use super::Kind;
use super::examples::{Encoded, Examples, Expected};
use super::report::{Figure, Matched, hundred};
use crate::metrics::classes::Confusion;
use crate::metrics::noise::Noise;
use crate::metrics::{intervals, significance};

/// Largest number of classes whose confusion table is reported.
const MAX_TABLE: usize = 64;

/// The heads' outputs of all sequences.
pub struct Answers {
    /// Of the quantized model.
    pub quantized: Vec<Vec<f32>>,
    /// Of the float model, if there is one to compare with.
    pub float: Option<Vec<Vec<f32>>>,
}

impl Answers {
    /// Refuses outputs that are no numbers: every figure of them would be nonsense.
    pub fn check_finite(&self, examples: &Examples, kind: Kind) -> anyhow::Result<()> {
        let of = [
            ("quantized", Some(&self.quantized)),
            ("float", self.float.as_ref()),
        ];
        for (which, outputs) in of {
            let Some(outputs) = outputs else { continue };
            ensure!(
                outputs.len() == self.quantized.len(),
                "the {which} model has {} outputs, {} are needed",
                outputs.len(),
                self.quantized.len()
            );
            if let Some(bad) = outputs
                .iter()
                .position(|o| o.iter().any(|v| !v.is_finite()))
            {
                let line = examples.lines.get(bad / kind.sequences()).copied();
                bail!(
                    "the {which} model's output for line {} is not finite; its file is damaged or its weights overflow",
                    line.unwrap_or(0)
                );
            }
        }
        Ok(())
    }
}

/// What was measured.
pub struct Measured {
    /// Name of the first figure, which stands for the task.
    pub metric: &'static str,
    /// All figures, the first one the task's.
    pub figures: Vec<Figure>,
    /// What was counted: rows, words of a tagger, pairs.
    pub n: usize,
    /// Right answers of them.
    pub correct: Option<u64>,
    /// Answers that float and quantized model share, of how many.
    pub agreement: Option<(u64, u64)>,
    /// Spearman's correlation of both models' numbers, times 100.
    pub float_correlation: Option<f64>,
    /// Words that the longest sequence left out.
    pub words_cut: Option<usize>,
    /// Of logits or vectors.
    pub sqnr_db: Option<f64>,
    /// Right and wrong, pair by pair.
    pub matched: Option<Matched>,
    /// Row by row.
    pub rows: Rows,
    confusion: Option<Confusion>,
}

/// Each row of the data.
pub struct Rows {
    /// What the quantized model says.
    pub answer: Vec<String>,
    /// What is right.
    pub expected: Vec<String>,
    /// Whether it is right in all; empty for numbers.
    pub right: Vec<bool>,
    /// Beside the float model.
    pub float: Option<FloatRows>,
}

/// Each row beside the float model.
pub struct FloatRows {
    /// What the float model says.
    pub answer: Vec<String>,
    /// Whether it is right in all; empty for numbers.
    pub right: Vec<bool>,
    /// Whether any answer differs; all false for numbers.
    pub flip: Vec<bool>,
    /// Largest difference of a logit, of a number, or of a similarity.
    pub error: Vec<f64>,
    /// How sure the float model is: the distance of its best logit to the next, the least of a row;
    /// empty for numbers.
    pub margin: Vec<f64>,
}

impl Measured {
    /// The task's own figure of quantized and float model.
    pub fn primary(&self) -> (Option<f64>, Option<f64>) {
        self.figures
            .first()
            .map_or((None, None), |f| (f.value, f.float_value))
    }

    /// The confusion table, unless there is none or it is too large to be read.
    pub fn confusion_rows(&self, classes: usize) -> Option<Vec<Vec<u64>>> {
        let table = self.confusion.as_ref()?;
        (classes <= MAX_TABLE).then(|| table.rows(classes))
    }
}

/// A figure of one model: name, value and interval as plain numbers.
type Score = (&'static str, Option<f64>, Option<[f64; 2]>);

/// Index of the largest value, the first of equal ones.
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values.get(best).copied().unwrap_or(f32::NEG_INFINITY) {
            best = i;
        }
    }
    best
}

/// Distance of the largest value to the next.
fn margin(values: &[f32]) -> f64 {
    let best = argmax(values);
    let top = values.get(best).copied().unwrap_or(0.0);
    values
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != best)
        .map(|(_, v)| f64::from(top) - f64::from(*v))
        .fold(f64::INFINITY, f64::min)
}

/// Computes every figure of the task.
pub fn measure(
    kind: Kind,
    labels: &[String],
    examples: &Examples,
    encoded: &Encoded,
    answers: &Answers,
) -> anyhow::Result<Measured> {
    let width = labels.len();
    if kind != Kind::Similarity {
        let found = answers.quantized.iter().map(Vec::len);
        let each = |len: usize| match kind {
            Kind::Tags => len.is_multiple_of(width.max(1)),
            _ => len == width,
        };
        ensure!(
            found.clone().all(each),
            "the model's head does not have one output for each of its {width} labels"
        );
    }
    match &examples.expected {
        Expected::Classes(expected) => Ok(classes::measure(expected, labels, answers)),
        Expected::Sets(expected) => Ok(sets::measure(expected, labels, answers)),
        Expected::Tags(expected) => Ok(tags::measure(expected, labels, examples, encoded, answers)),
        Expected::Numbers(expected) => Ok(numbers::measure(kind, expected, answers)),
    }
}

/// Figures of both models side by side.
fn beside(quantized: Vec<Score>, float: Option<Vec<Score>>) -> Vec<Figure> {
    let float = float.unwrap_or_default();
    quantized
        .into_iter()
        .enumerate()
        .map(|(i, (name, value, interval))| Figure {
            name,
            value: value.map(|v| 100.0 * v),
            interval95: interval.map(hundred),
            float_value: float.get(i).and_then(|s| s.1).map(|v| 100.0 * v),
        })
        .collect()
}

/// Counts pairs of right answers, and answers that differ.
fn matched(pairs: impl Iterator<Item = (bool, bool, bool)>) -> Matched {
    let mut m = Matched::default();
    for (float, quantized, flip) in pairs {
        let field = match (float, quantized) {
            (true, true) => &mut m.both_right,
            (true, false) => &mut m.float_only,
            (false, true) => &mut m.quantized_only,
            (false, false) => &mut m.both_wrong,
        };
        *field += 1;
        m.flips += u64::from(flip);
    }
    m.mcnemar_p = significance::mcnemar(m.float_only, m.quantized_only);
    m
}

/// Figures of a confusion table. `f1` is of class 1 of two, which by custom is the positive one.
fn table_scores(table: &Confusion, classes: usize) -> Vec<Score> {
    let accuracy = table.accuracy();
    let interval = intervals::wilson(table.correct(), table.total());
    let mut scores = vec![("accuracy", accuracy, interval)];
    if classes == 2 {
        scores.push(("f1", table.f1(1), None));
    }
    scores.push(("f1_macro", table.f1_macro(), None));
    scores.push(("matthews", table.matthews(), None));
    scores
}

impl Rows {
    fn agreement(&self) -> Option<(u64, u64)> {
        let flips = &self.float.as_ref()?.flip;
        let same = flips.iter().filter(|f| !**f).count();
        Some((same as u64, flips.len() as u64))
    }

    fn matched(&self) -> Option<Matched> {
        let float = self.float.as_ref()?;
        let pairs = float.right.iter().zip(&self.right).zip(&float.flip);
        Some(matched(pairs.map(|((f, q), flip)| (*f, *q, *flip))))
    }
}

/// Largest difference in each row.
fn errors(float: &[Vec<f32>], quantized: &[Vec<f32>]) -> Vec<f64> {
    let largest = |(f, q): (&Vec<f32>, &Vec<f32>)| {
        f.iter()
            .zip(q)
            .map(|(f, q)| (f64::from(*f) - f64::from(*q)).abs())
            .fold(0.0, f64::max)
    };
    float.iter().zip(quantized).map(largest).collect()
}

fn sqnr(answers: &Answers) -> Option<f64> {
    let mut noise = Noise::default();
    for (f, q) in answers.float.as_ref()?.iter().zip(&answers.quantized) {
        noise.add(f, q);
    }
    noise.sqnr_db()
}
