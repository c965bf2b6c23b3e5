//! From the output of the last encoder layer to the answer. Runs on the CPU in the product too.

use crate::error::InputError;
use crate::linear::Linear;

/// How the vectors of all tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first token's.
    Cls,
}

/// Activation of the layer before a classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeadActivation {
    /// BERT's pooler, RoBERTa's dense layer.
    Tanh,
    /// DistilBERT's pre-classifier.
    Relu,
}

/// What turns hidden states into the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Head {
    /// First token, perhaps a layer with activation, then the classifier.
    SequenceClassification {
        /// BERT's pooler, RoBERTa's `classifier.dense`, DistilBERT's `pre_classifier`.
        pre: Option<(Linear, HeadActivation)>,
        /// Hidden to labels.
        out: Linear,
    },
    /// A classifier on every token.
    TokenClassification {
        /// Hidden to labels.
        out: Linear,
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
    /// Applies the head to `hidden_states`, row-major `[tokens][hidden]`, of one sequence without
    /// padding.
    ///
    /// # Errors
    /// No tokens, or not whole rows, or a width other than the head's.
    pub fn apply(&self, hidden_states: &[f32], hidden: usize) -> Result<HeadOutput, InputError> {
        let tokens = hidden_states.len().checked_div(hidden).unwrap_or(0);
        InputError::check("hidden states", tokens * hidden, hidden_states.len())?;
        let first = hidden_states
            .get(..hidden)
            .filter(|f| !f.is_empty())
            .ok_or(InputError::Empty)?;
        match self {
            Head::SequenceClassification { pre, out } => {
                let logits = match pre {
                    None => row(out, first)?,
                    Some((linear, activation)) => {
                        let mut pooled = row(linear, first)?;
                        for v in &mut pooled {
                            *v = match activation {
                                HeadActivation::Tanh => v.tanh(),
                                HeadActivation::Relu => v.max(0.0),
                            };
                        }
                        row(out, &pooled)?
                    }
                };
                Ok(HeadOutput::Logits(logits))
            }
            Head::TokenClassification { out } => {
                InputError::check("classifier width", out.inputs(), hidden)?;
                let values = out.apply(hidden_states)?;
                Ok(HeadOutput::TokenLogits {
                    values,
                    labels: out.outputs(),
                })
            }
            Head::Embedding { pooling, normalize } => {
                let mut vector = first.to_vec();
                if *pooling == Pooling::Mean {
                    for row in hidden_states.chunks_exact(hidden).skip(1) {
                        vector.iter_mut().zip(row).for_each(|(v, r)| *v += r);
                    }
                    vector.iter_mut().for_each(|v| *v /= tokens as f32);
                }
                if *normalize {
                    let norm = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
                    // The floor is PyTorch's: a zero vector stays zero.
                    vector.iter_mut().for_each(|v| *v /= norm.max(1e-12));
                }
                Ok(HeadOutput::Embedding(vector))
            }
        }
    }

    /// Number of classes, or `None` for an embedding.
    pub fn labels(&self) -> Option<usize> {
        match self {
            Head::SequenceClassification { out, .. } | Head::TokenClassification { out } => {
                Some(out.outputs())
            }
            Head::Embedding { .. } => None,
        }
    }
}

/// Applies a layer to exactly one row.
fn row(linear: &Linear, x: &[f32]) -> Result<Vec<f32>, InputError> {
    InputError::check("head width", linear.inputs(), x.len())?;
    linear.apply(x)
}
