//! What runs on the CPU: embeddings before the accelerator, the task head after it (paper, section
//! III).
//!
//! All of it is plain f32 arithmetic in a fixed order with `libm`'s functions, so that the answer
//! is the same bit for bit on every machine: a laptop's emulation can stand for a board.

use fqbert_checkpoint::{Embeddings, HeadOutput, LayerNorm, WordTable};
use fqbert_model::{Dense, HeadActivation, Pooling, QuantizedModel, Table, Task};

use crate::batch::Tokens;
use crate::error::HostError;

/// Embeddings and head of a model.
pub struct Host {
    embeddings: Embeddings,
    scale_x8: f32,
    scale_x16: f32,
    scale_y16: f32,
    task: Task,
    pre: Option<Dense>,
    classifier: Option<Dense>,
    hidden: usize,
}

/// The accelerator's input for some tokens, `[tokens][hidden]`.
pub struct QuantizedInput {
    /// At the scale of the first layer's matrices.
    pub x8: Vec<i8>,
    /// At the scale of the residual stream.
    pub x16: Vec<i16>,
}

/// `fqbert_numerics::host`'s quantization to -`limit`..=`limit`, a whole number of at most 22 bits,
/// without a call per value: adding 1.5 * 2^23 leaves no place for fractions, so the addition
/// itself rounds half to even.
fn quantize(v: f32, scale: f32, limit: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    (v / scale).clamp(-limit, limit) + SHIFT - SHIFT
}

fn to_f32(table: &Table) -> Vec<f32> {
    match table {
        Table::F16(v) => v.iter().map(|x| x.to_f32()).collect(),
        Table::F32(v) => v.clone(),
    }
}

impl Host {
    /// Takes what the host needs out of a model.
    pub fn new(model: &QuantizedModel) -> Result<Self, HostError> {
        let e = &model.embeddings;
        let word = match &e.word {
            Table::F16(v) => WordTable::F16(v.clone()),
            Table::F32(v) => WordTable::F32(v.clone()),
        };
        let norm = LayerNorm::new(e.gamma.clone(), e.beta.clone(), model.config.layer_norm_eps)?;
        let embeddings = Embeddings::new(
            word,
            to_f32(&e.position),
            to_f32(&e.token_type),
            norm,
            model.config.position_offset,
        )?;
        let (scale_x8, scale_x16) = model.input_scales();
        Ok(Self {
            embeddings,
            scale_x8,
            scale_x16,
            scale_y16: model.output_scale(),
            task: model.config.task,
            pre: model.head_pre.clone(),
            classifier: model.classifier.clone(),
            hidden: model.config.hidden,
        })
    }

    /// Channels of the residual stream.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// Token ids to the accelerator's input.
    pub fn embed(&self, tokens: &Tokens) -> Result<QuantizedInput, HostError> {
        let values = self.embeddings.embed(&tokens.ids, &tokens.type_ids)?;
        Ok(QuantizedInput {
            x8: values
                .iter()
                .map(|v| quantize(*v, self.scale_x8, 127.0) as i8)
                .collect(),
            x16: values
                .iter()
                .map(|v| quantize(*v, self.scale_x16, 32767.0) as i16)
                .collect(),
        })
    }

    /// Hidden states of one sequence, `[tokens][hidden]`, from the accelerator's 16-bit output.
    pub fn hidden_states(&self, y16: &[i16]) -> Vec<f32> {
        y16.iter().map(|v| f32::from(*v) * self.scale_y16).collect()
    }

    /// Applies the head to the hidden states of one sequence, at least one token.
    pub fn head(&self, states: &[f32]) -> Result<HeadOutput, HostError> {
        let first = states
            .get(..self.hidden)
            .ok_or(fqbert_checkpoint::InputError::Empty)?;
        let classifier = self.classifier.as_ref();
        match (self.task, classifier) {
            (Task::SequenceClassification { pre: activation }, Some(out)) => {
                let pooled = match (activation, &self.pre) {
                    (Some(activation), Some(dense)) => apply(dense, first)
                        .into_iter()
                        .map(|v| activate(activation, v))
                        .collect(),
                    _ => first.to_vec(),
                };
                Ok(HeadOutput::Logits(apply(out, &pooled)))
            }
            (Task::TokenClassification {}, Some(out)) => Ok(HeadOutput::TokenLogits {
                values: states
                    .chunks_exact(self.hidden)
                    .flat_map(|row| apply(out, row))
                    .collect(),
                labels: out.bias.len(),
            }),
            (Task::Embedding { pooling, normalize }, _) => Ok(HeadOutput::Embedding(pool(
                states,
                self.hidden,
                pooling,
                normalize,
            ))),
            (task, None) => Err(HostError::Task {
                has: task_name(task).into(),
                wanted: "classification",
            }),
        }
    }
}

/// The name of a task for messages.
pub(crate) fn task_name(task: Task) -> &'static str {
    match task {
        Task::SequenceClassification { .. } => "sequence classification",
        Task::TokenClassification {} => "token classification",
        Task::Embedding { .. } => "embeddings",
    }
}

fn activate(activation: HeadActivation, v: f32) -> f32 {
    match activation {
        HeadActivation::Tanh => libm::tanhf(v),
        HeadActivation::Relu => v.max(0.0),
    }
}

/// One row through a dense layer.
fn apply(dense: &Dense, x: &[f32]) -> Vec<f32> {
    dense
        .weight
        .chunks_exact(x.len().max(1))
        .zip(&dense.bias)
        .map(|(row, bias)| bias + dot(row, x))
        .collect()
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

fn pool(states: &[f32], hidden: usize, pooling: Pooling, normalize: bool) -> Vec<f32> {
    let mut rows = states.chunks_exact(hidden);
    let mut vector = rows.next().unwrap_or_default().to_vec();
    if pooling == Pooling::Mean {
        let tokens = 1 + rows.len();
        for row in rows {
            vector.iter_mut().zip(row).for_each(|(v, r)| *v += r);
        }
        vector.iter_mut().for_each(|v| *v /= tokens as f32);
    }
    if normalize {
        // The floor is PyTorch's: a zero vector stays zero.
        let norm = dot(&vector, &vector).sqrt().max(1e-12);
        vector.iter_mut().for_each(|v| *v /= norm);
    }
    vector
}

#[cfg(test)]
mod tests {
    use fqbert_numerics::host::{quantize_i8, quantize_i16};
    use proptest::prelude::*;

    use super::quantize;

    fn same(v: f32, scale: f32) {
        assert_eq!(
            quantize(v, scale, 127.0) as i8,
            quantize_i8(v, scale),
            "{v} / {scale}"
        );
        assert_eq!(
            quantize(v, scale, 32767.0) as i16,
            quantize_i16(v, scale),
            "{v} / {scale}"
        );
    }

    #[test]
    fn halves_and_ends_are_the_references() {
        for half in -70_000..70_000 {
            same(half as f32 / 2.0, 1.0);
        }
        for v in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-45] {
            for scale in [1.0, 0.0, f32::NAN, f32::MIN_POSITIVE, 1e30] {
                same(v, scale);
            }
        }
    }

    proptest! {
        #[test]
        fn any_value_is_the_references(v in any::<f32>(), w in -200.0f32..200.0, scale in 1e-6f32..4.0) {
            same(v, scale);
            same(w, scale);
        }
    }
}
