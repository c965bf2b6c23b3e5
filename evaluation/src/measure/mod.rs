//! Answers to figures.

mod classes;
mod numbers;
mod sets;
mod tags;

use crate::metrics::classes::Confusion;
use crate::metrics::noise::Noise;
use crate::metrics::{argmax, intervals, significance};
use crate::report::{Figure, Matched, hundred};
use crate::{Examples, Expected, Kind, Tokenized};

/// Largest number of classes whose confusion table is reported.
const MAX_TABLE: usize = 64;

/// Answers of which no figure can be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Another number of outputs than of sequences.
    #[error("the {model} model has {found} outputs, {needed} are needed")]
    Count {
        /// Which: quantized or float.
        model: &'static str,
        /// Outputs.
        found: usize,
        /// Sequences.
        needed: usize,
    },
    /// An output that is no number: every figure of it would be nonsense.
    #[error(
        "the {model} model's output for line {line} is not finite; its file is damaged or its \
         weights overflow"
    )]
    NotFinite {
        /// Which: quantized or float.
        model: &'static str,
        /// The row's line in the data.
        line: usize,
    },
    /// Another width than the number of classes.
    #[error("the model's head does not have one output for each of its {labels} labels")]
    Width {
        /// Classes.
        labels: usize,
    },
}

/// The heads' outputs of all sequences.
pub struct Answers {
    /// Of the quantized model.
    pub quantized: Vec<Vec<f32>>,
    /// Of the float model, if there is one to compare with.
    pub float: Option<Vec<Vec<f32>>>,
}

impl Answers {
    /// Refuses outputs that no figure can be computed of.
    fn check(&self, examples: &Examples, kind: Kind, labels: usize) -> Result<(), AnswerError> {
        let needed = examples.len() * kind.sequences();
        let of = [
            ("quantized", Some(&self.quantized)),
            ("float", self.float.as_ref()),
        ];
        for (model, outputs) in of {
            let Some(outputs) = outputs else { continue };
            if outputs.len() != needed {
                return Err(AnswerError::Count {
                    model,
                    found: outputs.len(),
                    needed,
                });
            }
            let finite = |o: &Vec<f32>| o.iter().all(|v| v.is_finite());
            if let Some(bad) = outputs.iter().position(|o| !finite(o)) {
                let line = examples.lines.get(bad / kind.sequences()).copied();
                return Err(AnswerError::NotFinite {
                    model,
                    line: line.unwrap_or(0),
                });
            }
        }
        let fits = |output: &Vec<f32>| match kind {
            Kind::Similarity => true,
            Kind::Tags => output.len().is_multiple_of(labels.max(1)),
            _ => output.len() == labels,
        };
        if !self.quantized.iter().all(fits) {
            return Err(AnswerError::Width { labels });
        }
        Ok(())
    }
}

/// What was measured.
pub(crate) struct Measured {
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
pub(crate) struct Rows {
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
pub(crate) struct FloatRows {
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
    pub(crate) fn primary(&self) -> (Option<f64>, Option<f64>) {
        self.figures
            .first()
            .map_or((None, None), |f| (f.value, f.float_value))
    }

    /// The confusion table, unless there is none or it is too large to be read.
    pub(crate) fn confusion_rows(&self, classes: usize) -> Option<Vec<Vec<u64>>> {
        let table = self.confusion.as_ref()?;
        (classes <= MAX_TABLE).then(|| table.rows(classes))
    }
}

/// A figure of one model: name, value and interval as plain numbers.
type Score = (&'static str, Option<f64>, Option<[f64; 2]>);

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

/// Computes every figure of the task. `tokenized` has [`Kind::sequences`] entries for each row.
pub(crate) fn measure(
    kind: Kind,
    labels: &[String],
    examples: &Examples,
    tokenized: &[Tokenized],
    answers: &Answers,
) -> Result<Measured, AnswerError> {
    answers.check(examples, kind, labels.len())?;
    Ok(match &examples.expected {
        Expected::Classes(expected) => classes::measure(expected, labels, answers),
        Expected::Sets(expected) => sets::measure(expected, labels, answers),
        Expected::Tags(expected) => tags::measure(expected, labels, examples, tokenized, answers),
        Expected::Numbers(expected) => numbers::measure(kind, expected, answers),
    })
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

/// The float model's answers, row by row, and how far the quantized outputs are from its own.
struct FloatAnswers<T> {
    answers: Vec<T>,
    error: Vec<f64>,
    margin: Vec<f64>,
}

impl Rows {
    /// Rows of answers that are right or wrong: a class, a set of classes, the classes of a
    /// sentence's words.
    fn new<T: PartialEq>(
        expected: &[T],
        quantized: &[T],
        float: Option<FloatAnswers<T>>,
        name: impl Fn(&T) -> String,
    ) -> Self {
        let names = |answers: &[T]| answers.iter().map(&name).collect();
        let equal = |a: &[T], b: &[T]| a.iter().zip(b).map(|(a, b)| a == b).collect();
        let flips = |a: &[T], b: &[T]| a.iter().zip(b).map(|(a, b)| a != b).collect();
        Self {
            answer: names(quantized),
            expected: names(expected),
            right: equal(quantized, expected),
            float: float.map(|float| FloatRows {
                answer: names(&float.answers),
                right: equal(&float.answers, expected),
                flip: flips(&float.answers, quantized),
                error: float.error,
                margin: float.margin,
            }),
        }
    }

    /// Right rows.
    fn correct(&self) -> u64 {
        self.right.iter().filter(|r| **r).count() as u64
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(classes: Vec<usize>) -> Examples {
        Examples {
            texts: vec![vec!["a".into()]; classes.len()],
            lines: (2..classes.len() + 2).collect(),
            of: classes.len(),
            expected: Expected::Classes(classes),
        }
    }

    #[test]
    fn answers_without_figures_are_refused() {
        let labels = ["no", "yes"].map(str::to_owned);
        let refused = |quantized: Vec<Vec<f32>>, float| {
            let answers = Answers { quantized, float };
            let of = measure(Kind::Classes, &labels, &examples(vec![0, 1]), &[], &answers);
            of.err().unwrap().to_string()
        };
        let good = || vec![vec![1.0, 0.0], vec![0.5, 0.75]];
        let mut bad = good();
        bad[1][0] = f32::NAN;
        assert!(refused(bad.clone(), None).contains("the quantized model's output for line 3"));
        assert!(refused(good(), Some(bad)).contains("the float model's output for line 3"));
        let short = refused(good(), Some(vec![vec![0.0; 2]]));
        assert_eq!(short, "the float model has 1 outputs, 2 are needed");
        assert!(refused(vec![vec![0.0; 3]; 2], None).contains("each of its 2 labels"));
    }

    #[test]
    fn pairs_of_right_and_wrong() {
        let labels = ["no", "yes"].map(str::to_owned);
        let answers = Answers {
            quantized: vec![vec![0.0, 1.0], vec![0.0, 1.0], vec![2.0, 1.5]],
            float: Some(vec![vec![0.0, 1.0], vec![1.0, 0.0], vec![2.0, 1.0]]),
        };
        let m = measure(
            Kind::Classes,
            &labels,
            &examples(vec![1, 0, 1]),
            &[],
            &answers,
        )
        .unwrap();
        let pairs = m.matched.unwrap();
        assert_eq!(
            (pairs.both_right, pairs.float_only, pairs.both_wrong),
            (1, 1, 1)
        );
        assert_eq!((pairs.flips, m.agreement), (1, Some((2, 3))));
        let float = m.rows.float.unwrap();
        assert_eq!(m.rows.answer, ["yes", "yes", "no"]);
        assert_eq!(float.answer, ["yes", "no", "no"]);
        assert_eq!(float.flip, [false, true, false]);
        assert_eq!(float.error, [0.0, 1.0, 0.5]);
        assert_eq!(float.margin, [1.0, 1.0, 1.0]);
    }
}
