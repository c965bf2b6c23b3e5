//! From the output of the last encoder layer to the answer.

use crate::config::{HeadActivation, Pooling, Task};
use crate::error::{HostError, InputError, Stage};

/// A linear layer in f32, for the head.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// `[out][in]`, row-major.
    pub weight: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
}

impl Dense {
    /// Output channels.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Applies the layer to one row.
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        self.weight
            .chunks_exact(x.len().max(1))
            .zip(&self.bias)
            .map(|(row, bias)| bias + dot(row, x))
            .collect()
    }

    fn check(&self, inputs: usize) -> Result<(), InputError> {
        let expected = self.outputs().saturating_mul(inputs);
        InputError::check("weight of a head's layer", expected, self.weight.len())
    }
}

/// What turns hidden states into the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Head {
    /// First token, perhaps a layer with activation, then the classifier.
    SequenceClassification {
        /// BERT's pooler, RoBERTa's `classifier.dense`, DistilBERT's `pre_classifier`.
        pre: Option<(Dense, HeadActivation)>,
        /// Hidden to labels.
        out: Dense,
    },
    /// A classifier on every token.
    TokenClassification {
        /// Hidden to labels.
        out: Dense,
    },
    /// One vector for the text.
    Embedding {
        /// How tokens are joined.
        pooling: Pooling,
        /// Whether the vector is scaled to length 1.
        normalize: bool,
    },
}

/// The answer for one sequence.
#[derive(Debug, Clone, PartialEq)]
pub enum HeadOutput {
    /// One logit for each label.
    Logits(Vec<f32>),
    /// Row-major `[tokens][labels]`, special tokens included.
    TokenLogits {
        /// The logits.
        values: Vec<f32>,
        /// Labels for each token.
        labels: usize,
    },
    /// The text's vector.
    Embedding(Vec<f32>),
}

impl HeadOutput {
    /// The values whatever they are.
    pub fn values(&self) -> &[f32] {
        match self {
            HeadOutput::Logits(v) | HeadOutput::Embedding(v) => v,
            HeadOutput::TokenLogits { values, .. } => values,
        }
    }
}

impl Head {
    /// The head of a task from the layers that it has: the one before the classifier, and the
    /// classifier.
    ///
    /// # Errors
    /// [`HostError::Head`] if the task needs one that is not given.
    pub fn new(
        task: Task,
        pre: Option<Dense>,
        classifier: Option<Dense>,
    ) -> Result<Self, HostError> {
        let need = |layer: Option<Dense>, missing| layer.ok_or(HostError::Head { task, missing });
        Ok(match task {
            Task::SequenceClassification { pre: activation } => Head::SequenceClassification {
                pre: match activation {
                    Some(a) => Some((need(pre, "layer before its classifier")?, a)),
                    None => None,
                },
                out: need(classifier, "classifier")?,
            },
            Task::TokenClassification {} => Head::TokenClassification {
                out: need(classifier, "classifier")?,
            },
            Task::Embedding { pooling, normalize } => Head::Embedding { pooling, normalize },
        })
    }

    /// The task, and the layers for it: the inverse of [`Head::new`].
    pub fn parts(&self) -> (Task, Option<&Dense>, Option<&Dense>) {
        match self {
            Head::SequenceClassification { pre, out } => {
                let activation = pre.as_ref().map(|p| p.1);
                let task = Task::SequenceClassification { pre: activation };
                (task, pre.as_ref().map(|p| &p.0), Some(out))
            }
            Head::TokenClassification { out } => (Task::TokenClassification {}, None, Some(out)),
            &Head::Embedding { pooling, normalize } => {
                (Task::Embedding { pooling, normalize }, None, None)
            }
        }
    }

    /// What the head serves.
    pub fn task(&self) -> Task {
        self.parts().0
    }

    /// Number of classes, or `None` for an embedding.
    pub fn labels(&self) -> Option<usize> {
        self.parts().2.map(Dense::outputs)
    }

    /// Applies the head to `states`, row-major `[tokens][hidden]`, of one sequence without padding.
    ///
    /// # Errors
    /// No tokens, or not whole rows, or a width other than the head's; [`HostError::NotFinite`] for
    /// values that are no numbers, at any stage: an activation or a norm must not hide them.
    pub fn apply(&self, states: &[f32], hidden: usize) -> Result<HeadOutput, HostError> {
        let tokens = states.len().checked_div(hidden).unwrap_or(0);
        InputError::check("hidden states", tokens * hidden, states.len())?;
        let first = states
            .get(..hidden)
            .filter(|f| !f.is_empty())
            .ok_or(InputError::Empty)?;
        let (_, pre, classifier) = self.parts();
        for layer in pre.into_iter().chain(classifier) {
            layer.check(hidden)?;
        }
        Stage::Encoder.check(states)?;
        let output = match self {
            Head::SequenceClassification { pre, out } => HeadOutput::Logits(match pre {
                None => out.apply(first),
                Some((layer, activation)) => {
                    let mut pooled = layer.apply(first);
                    Stage::HeadLayer.check(&pooled)?;
                    pooled
                        .iter_mut()
                        .for_each(|v| *v = activate(*activation, *v));
                    out.apply(&pooled)
                }
            }),
            Head::TokenClassification { out } => HeadOutput::TokenLogits {
                values: states
                    .chunks_exact(hidden)
                    .flat_map(|row| out.apply(row))
                    .collect(),
                labels: out.outputs(),
            },
            Head::Embedding { pooling, normalize } => {
                let mut vector = pool(states, hidden, *pooling);
                Stage::Pooling.check(&vector)?;
                if *normalize {
                    self::normalize(&mut vector)?;
                }
                HeadOutput::Embedding(vector)
            }
        };
        Stage::Classifier.check(output.values())?;
        Ok(output)
    }
}

/// Index of the largest value, the first of equal ones; 0 for none.
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values.get(best).copied().unwrap_or(f32::NEG_INFINITY) {
            best = i;
        }
    }
    best
}

fn activate(activation: HeadActivation, v: f32) -> f32 {
    match activation {
        HeadActivation::Tanh => libm::tanhf(v),
        HeadActivation::Relu => v.max(0.0),
    }
}

/// Eight partial sums, joined in a fixed order: vectorised without leaving the order to the
/// compiler.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8
        .remainder()
        .iter()
        .zip(b8.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a8.zip(b8) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn pool(states: &[f32], hidden: usize, pooling: Pooling) -> Vec<f32> {
    let mut rows = states.chunks_exact(hidden);
    let mut vector = rows.next().unwrap_or_default().to_vec();
    if pooling == Pooling::Mean {
        let tokens = 1 + rows.len();
        for row in rows {
            vector.iter_mut().zip(row).for_each(|(v, r)| *v += r);
        }
        vector.iter_mut().for_each(|v| *v /= tokens as f32);
    }
    vector
}

/// Scales a vector to length 1.
fn normalize(vector: &mut [f32]) -> Result<(), HostError> {
    // The floor is PyTorch's: a zero vector stays zero.
    let norm = dot(vector, vector).sqrt().max(1e-12);
    Stage::Normalization.check(&[norm])?;
    vector.iter_mut().for_each(|v| *v /= norm);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(outputs: usize, inputs: usize) -> Dense {
        let value = |i: usize| (i as f32 * 0.37).sin();
        Dense {
            weight: (0..outputs * inputs).map(value).collect(),
            bias: (0..outputs).map(|i| 0.1 * i as f32).collect(),
        }
    }

    /// In f64 and in plain order.
    fn plain(layer: &Dense, x: &[f64]) -> Vec<f64> {
        let rows = layer.weight.chunks_exact(x.len()).zip(&layer.bias);
        rows.map(|(row, bias)| {
            let terms = row.iter().zip(x).map(|(w, x)| f64::from(*w) * x);
            f64::from(*bias) + terms.sum::<f64>()
        })
        .collect()
    }

    fn close(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-5,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn every_head_computes_what_its_formula_says() {
        const HIDDEN: usize = 19;
        let states: Vec<f32> = (0..3 * HIDDEN).map(|i| (i as f32 * 0.91).cos()).collect();
        let wide: Vec<f64> = states.iter().map(|v| f64::from(*v)).collect();
        let (pre, out) = (dense(HIDDEN, HIDDEN), dense(4, HIDDEN));

        let activation = HeadActivation::Tanh;
        let task = Task::SequenceClassification {
            pre: Some(activation),
        };
        let head = Head::new(task, Some(pre.clone()), Some(out.clone())).unwrap();
        let pooled: Vec<f64> = plain(&pre, &wide[..HIDDEN])
            .into_iter()
            .map(f64::tanh)
            .collect();
        let answer = head.apply(&states, HIDDEN).unwrap();
        assert!(matches!(answer, HeadOutput::Logits(_)));
        close(answer.values(), &plain(&out, &pooled));

        let head = Head::new(Task::TokenClassification {}, None, Some(out.clone())).unwrap();
        let rows = wide.chunks_exact(HIDDEN).flat_map(|row| plain(&out, row));
        close(
            head.apply(&states, HIDDEN).unwrap().values(),
            &rows.collect::<Vec<_>>(),
        );

        let task = Task::Embedding {
            pooling: Pooling::Mean,
            normalize: true,
        };
        let head = Head::new(task, None, None).unwrap();
        let mean = |i| (wide[i] + wide[i + HIDDEN] + wide[i + 2 * HIDDEN]) / 3.0;
        let mean: Vec<f64> = (0..HIDDEN).map(mean).collect();
        let length = mean.iter().map(|v| v * v).sum::<f64>().sqrt();
        let unit: Vec<f64> = mean.iter().map(|v| v / length).collect();
        close(head.apply(&states, HIDDEN).unwrap().values(), &unit);
        assert_eq!(head.parts(), (task, None, None));
    }

    #[test]
    fn layers_that_are_missing_or_of_another_width_are_refused() {
        let task = Task::SequenceClassification {
            pre: Some(HeadActivation::Relu),
        };
        let error = Head::new(task, None, Some(dense(2, 8))).unwrap_err();
        let text =
            "the model is for sequence classification, but has no layer before its classifier";
        assert_eq!(error.to_string(), text);
        let head = Head::new(task, Some(dense(8, 8)), Some(dense(2, 7))).unwrap();
        let error = head.apply(&[0.0; 16], 8).unwrap_err();
        assert_eq!(
            error.to_string(),
            "weight of a head's layer: 14 values, expected 16"
        );
        assert_eq!(head.apply(&[], 8), Err(InputError::Empty.into()));
    }

    #[test]
    fn what_is_no_number_is_no_answer() {
        const HIDDEN: usize = 8;
        let stage_of = |head: &Head, states: &[f32]| match head.apply(states, HIDDEN) {
            Err(HostError::NotFinite { stage, .. }) => stage,
            other => panic!("{other:?}"),
        };
        let huge = |outputs: usize| Dense {
            weight: vec![f32::MAX; outputs * HIDDEN],
            bias: vec![0.0; outputs],
        };
        let states = [1.0; 2 * HIDDEN];
        // tanh would make 1 of an infinity, and ReLU 0 of NaN.
        for activation in [HeadActivation::Tanh, HeadActivation::Relu] {
            let task = Task::SequenceClassification {
                pre: Some(activation),
            };
            let head = Head::new(task, Some(huge(HIDDEN)), Some(dense(2, HIDDEN))).unwrap();
            assert_eq!(stage_of(&head, &states), Stage::HeadLayer);
        }
        let head = Head::new(Task::TokenClassification {}, None, Some(huge(3))).unwrap();
        assert_eq!(stage_of(&head, &states), Stage::Classifier);
        assert_eq!(stage_of(&head, &[f32::NAN; HIDDEN]), Stage::Encoder);
        let embedding = |normalize| {
            let pooling = Pooling::Mean;
            let task = Task::Embedding { pooling, normalize };
            Head::new(task, None, None).unwrap()
        };
        let large = [f32::MAX; 2 * HIDDEN];
        assert_eq!(stage_of(&embedding(false), &large), Stage::Pooling);
        // A length of infinity would make zeros of it.
        let large = [1e30; HIDDEN];
        assert!(embedding(false).apply(&large, HIDDEN).is_ok());
        assert_eq!(stage_of(&embedding(true), &large), Stage::Normalization);
    }
}
