//! The encoder of a quantized model as plain matrices, with no device in sight.
//!
//! Written after `docs/numerics.md` on the scalar kernels of `fqbert-numerics`; knows nothing of
//! tiles, memories or instructions. Slow, and what every device's result is compared against.

use fqbert_numerics::dot::{context, linear, linear_i16, scores};
use fqbert_numerics::gelu::lookup;
use fqbert_numerics::layernorm::{LayerNormParams, layernorm_row};
use fqbert_numerics::packed::K_MAX;
use fqbert_numerics::residual_add;
use fqbert_numerics::softmax::softmax_row;

use crate::linear::QuantizedLinear;
use crate::model::{QuantizedLayer, QuantizedModel};

/// The input of an encoder, row-major `[tokens][hidden]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderInput {
    /// 8-bit embeddings at scale `x8` of the first layer.
    pub x8: Vec<i8>,
    /// The same at scale `x16`.
    pub x16: Vec<i16>,
    /// Keys `lo..hi` that each token attends to: one entry per token. `(0, length)` for tokens of a
    /// padded sequence.
    pub ranges: Vec<(u16, u16)>,
}

/// Every value that one layer computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerTrace {
    /// Queries, `[tokens][hidden]`.
    pub q: Vec<i8>,
    /// Keys.
    pub k: Vec<i8>,
    /// Values.
    pub v: Vec<i8>,
    /// Scores, `[heads][tokens][tokens]`.
    pub scores: Vec<i8>,
    /// Probabilities, as scores.
    pub probs: Vec<u8>,
    /// Context, `[tokens][hidden]`.
    pub context: Vec<i8>,
    /// Attention branch before the residual add.
    pub attn_branch: Vec<i16>,
    /// Attention layer norm, 16 bits.
    pub attn16: Vec<i16>,
    /// Attention layer norm, 8 bits.
    pub attn8: Vec<i8>,
    /// After GELU, `[tokens][intermediate]`.
    pub mid: Vec<i8>,
    /// Feed-forward branch before the residual add.
    pub ffn_branch: Vec<i16>,
    /// Output of the layer, 16 bits.
    pub y16: Vec<i16>,
    /// Output of the layer, 8 bits.
    pub y8: Vec<i8>,
}

/// The shape of an input disagrees with the model or itself.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what}: {found} values for {tokens} tokens, expected {expected}")]
pub struct EncoderInputError {
    /// Which field.
    pub what: &'static str,
    /// Its length.
    pub found: usize,
    /// Tokens, counted from the ranges.
    pub tokens: usize,
    /// The length it must have.
    pub expected: usize,
}

impl QuantizedModel {
    /// Runs the encoder and returns `y16` of the last layer, `[tokens][hidden]`.
    ///
    /// # Errors
    /// [`EncoderInputError`] if a field has the wrong length, or there are more than 4096 tokens
    /// (the longest dot product).
    pub fn reference(&self, input: &EncoderInput) -> Result<Vec<i16>, EncoderInputError> {
        let mut last = None;
        self.reference_layers(input, |_, trace| last = Some(trace))?;
        Ok(last.map_or_else(|| input.x16.clone(), |t| t.y16))
    }

    /// Runs the encoder and hands every layer's values to `visit` as they are made.
    ///
    /// # Errors
    /// As [`QuantizedModel::reference`].
    pub fn reference_layers(
        &self,
        input: &EncoderInput,
        mut visit: impl FnMut(usize, LayerTrace),
    ) -> Result<(), EncoderInputError> {
        let tokens = input.ranges.len();
        if tokens > K_MAX {
            return Err(EncoderInputError {
                what: "ranges",
                found: tokens,
                tokens,
                expected: K_MAX,
            });
        }
        let expected = tokens * self.config.hidden;
        for (what, found) in [("x8", input.x8.len()), ("x16", input.x16.len())] {
            if found != expected {
                return Err(EncoderInputError {
                    what,
                    found,
                    tokens,
                    expected,
                });
            }
        }
        let (mut x8, mut x16) = (input.x8.clone(), input.x16.clone());
        for (i, layer) in self.layers.iter().enumerate() {
            let trace = run_layer(layer, self.config.heads, &x8, &x16, &input.ranges);
            x8.clone_from(&trace.y8);
            x16.clone_from(&trace.y16);
            visit(i, trace);
        }
        Ok(())
    }
}

/// One layer over checked inputs.
fn run_layer(
    layer: &QuantizedLayer,
    heads: usize,
    x8: &[i8],
    x16: &[i16],
    ranges: &[(u16, u16)],
) -> LayerTrace {
    let tokens = ranges.len();
    let q = dense(&layer.q, x8, tokens);
    let k = dense(&layer.k, x8, tokens);
    let v = dense(&layer.v, x8, tokens);

    let hidden = layer.q.weights.outputs();
    let head_dim = hidden / heads;
    let mut all_scores = Vec::with_capacity(heads * tokens * tokens);
    let mut probs = Vec::with_capacity(heads * tokens * tokens);
    let mut ctx = vec![0i8; tokens * hidden];
    for head in 0..heads {
        let part = |m: &[i8]| -> Vec<i8> {
            let rows = m.chunks_exact(hidden);
            rows.flat_map(|row| &row[head * head_dim..(head + 1) * head_dim])
                .copied()
                .collect()
        };
        let s = scores(&part(&q), tokens, head_dim, &part(&k), tokens, layer.scores);
        let mut p = vec![0u8; s.len()];
        for ((row, out), &(lo, hi)) in s
            .chunks_exact(tokens)
            .zip(p.chunks_exact_mut(tokens))
            .zip(ranges)
        {
            softmax_row(row, lo.into()..hi.into(), &layer.exp_table, out);
        }
        let c = context(&p, tokens, tokens, &part(&v), head_dim, &[layer.context]);
        for (row, c) in ctx.chunks_exact_mut(hidden).zip(c.chunks_exact(head_dim)) {
            row[head * head_dim..(head + 1) * head_dim].copy_from_slice(c);
        }
        all_scores.extend(s);
        probs.extend(p);
    }

    let attn_branch = branch(&layer.o, &ctx, tokens);
    let (attn16, attn8) = add_norm(&layer.ln_attn, x16, &attn_branch);
    let mut mid = dense(&layer.ffn_in, &attn8, tokens);
    mid.iter_mut()
        .for_each(|x| *x = lookup(&layer.gelu_table, *x));
    let ffn_branch = branch(&layer.ffn_out, &mid, tokens);
    let (y16, y8) = add_norm(&layer.ln_out, &attn16, &ffn_branch);
    LayerTrace {
        q,
        k,
        v,
        scores: all_scores,
        probs,
        context: ctx,
        attn_branch,
        attn16,
        attn8,
        mid,
        ffn_branch,
        y16,
        y8,
    }
}

fn dense(l: &QuantizedLinear, x: &[i8], tokens: usize) -> Vec<i8> {
    let w = &l.weights;
    linear(x, tokens, w.inputs(), &w.to_codes(), w.outputs(), &l.params)
}

fn branch(l: &QuantizedLinear, x: &[i8], tokens: usize) -> Vec<i16> {
    let w = &l.weights;
    linear_i16(x, tokens, w.inputs(), &w.to_codes(), w.outputs(), &l.params)
}

fn add_norm(norm: &LayerNormParams, x: &[i16], branch: &[i16]) -> (Vec<i16>, Vec<i8>) {
    let n = norm.gamma.len();
    let sum: Vec<i16> = x
        .iter()
        .zip(branch)
        .map(|(a, b)| residual_add(*a, *b))
        .collect();
    let (mut y16, mut y8) = (vec![0; sum.len()], vec![0; sum.len()]);
    for ((row, y16), y8) in sum
        .chunks_exact(n)
        .zip(y16.chunks_exact_mut(n))
        .zip(y8.chunks_exact_mut(n))
    {
        layernorm_row(row, norm, y16, y8);
    }
    (y16, y8)
}
