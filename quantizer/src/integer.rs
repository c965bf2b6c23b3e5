//! The integer layer in its stages, as the accelerator computes them, on many sequences at once.
//!
//! The quantizer chooses the weights of each stage knowing the integers that the stages before it
//! really give. The numerics are `fqbert-numerics`; [`encode`] chains the stages of a finished
//! model, and the crate's tests compare it with `fqbert_model::reference` code by code.

use std::ops::Range;

use fqbert_model::{QuantizedLayer, QuantizedLinear, QuantizedModel};
use fqbert_numerics::layernorm::{LayerNormParams, layernorm_row};
use fqbert_numerics::requant::Requant;
use fqbert_numerics::softmax::softmax_row;
use fqbert_numerics::{dot, gelu, residual_add};
use rayon::prelude::*;

use crate::gemm::codes_nt;

/// Tokens of a linear layer whose 32-bit sums are held at a time.
const TOKENS: usize = 1024;

/// `x` `[tokens][in]` to `[tokens][out]`, requantized by `apply`.
pub(crate) fn linear<Y: Send>(
    layer: &QuantizedLinear,
    x: &[i8],
    apply: impl Fn(&Requant, i32) -> Y + Sync,
) -> Vec<Y> {
    let (n, k) = (layer.weights.outputs(), layer.weights.inputs());
    let w: Vec<f32> = layer
        .weights
        .to_codes()
        .into_iter()
        .map(f32::from)
        .collect();
    let mut y = Vec::with_capacity(x.len() / k.max(1) * n);
    for x in x.chunks(TOKENS * k.max(1)) {
        let x: Vec<f32> = x.iter().map(|c| f32::from(*c)).collect();
        let sums = codes_nt(&x, &w, k, n);
        let rows: Vec<Vec<Y>> = sums
            .par_chunks(n)
            .map(|row| {
                layer
                    .params
                    .iter()
                    .zip(row)
                    .map(|(p, acc)| apply(p, *acc))
                    .collect()
            })
            .collect();
        y.extend(rows.into_iter().flatten());
    }
    y
}

/// Queries, keys and values, each `[tokens][hidden]`.
#[derive(Debug)]
pub(crate) struct Heads<'a> {
    pub(crate) q: &'a [i8],
    pub(crate) k: &'a [i8],
    pub(crate) v: &'a [i8],
    pub(crate) heads: usize,
    pub(crate) hidden: usize,
}

/// Attention of each sequence within itself: context `[tokens][hidden]`.
pub(crate) fn attention(
    all: &Heads<'_>,
    sequences: &[Range<usize>],
    exp_table: &[u16; 256],
    scores: Requant,
    context: Requant,
) -> Vec<i8> {
    let d = all.hidden.checked_div(all.heads).unwrap_or(0);
    let parts: Vec<Vec<i8>> = sequences
        .par_iter()
        .map(|tokens| {
            let n = tokens.len();
            let mut out = vec![0i8; n * all.hidden];
            for head in 0..all.heads {
                let columns = head * d..(head + 1) * d;
                let part = |m: &[i8]| -> Vec<i8> {
                    m[tokens.start * all.hidden..tokens.end * all.hidden]
                        .chunks_exact(all.hidden)
                        .flat_map(|row| row[columns.clone()].iter().copied())
                        .collect()
                };
                let s = dot::scores(&part(all.q), n, d, &part(all.k), n, scores);
                let mut p = vec![0u8; s.len()];
                for (row, out) in s.chunks_exact(n).zip(p.chunks_exact_mut(n)) {
                    softmax_row(row, 0..n, exp_table, out);
                }
                let c = dot::context(&p, n, n, &part(all.v), d, &[context]);
                for (row, c) in out.chunks_exact_mut(all.hidden).zip(c.chunks_exact(d)) {
                    row[columns.clone()].copy_from_slice(c);
                }
            }
            out
        })
        .collect();
    parts.concat()
}

/// Passes codes through the activation's table.
pub(crate) fn activate(x: &mut [i8], table: &[i8; 256]) {
    x.par_iter_mut().for_each(|c| *c = gelu::lookup(table, *c));
}

/// Adds the branch to the stream and normalises: `(y16, y8)`, `[tokens][channels]` as the inputs.
pub(crate) fn add_norm(
    stream: &[i16],
    branch: &[i16],
    norm: &LayerNormParams,
) -> (Vec<i16>, Vec<i8>) {
    let n = norm.gamma.len().max(1);
    let mut y16 = vec![0i16; stream.len()];
    let mut y8 = vec![0i8; stream.len()];
    y16.par_chunks_mut(n)
        .zip(y8.par_chunks_mut(n))
        .zip(stream.par_chunks(n).zip(branch.par_chunks(n)))
        .for_each(|((y16, y8), (a, b))| {
            let x: Vec<i16> = a.iter().zip(b).map(|(a, b)| residual_add(*a, *b)).collect();
            layernorm_row(&x, norm, y16, y8);
        });
    (y16, y8)
}

/// Runs the encoder of `model` on many sequences at once: the codes that
/// `QuantizedModel::reference` gives for each, through full-speed matrix products.
///
/// `x8` and `x16` are `[tokens][hidden]`, the sequences one after another as `sequences` says; the
/// result is the last layer's 16-bit output. Sequences that do not lie within the tokens, or leave
/// some out, give `None`.
pub fn encode(
    model: &QuantizedModel,
    x8: &[i8],
    x16: &[i16],
    sequences: &[Range<usize>],
) -> Option<Vec<i16>> {
    let hidden = model.config.hidden;
    let mut tokens = 0;
    for s in sequences {
        if s.start != tokens || s.end < s.start {
            return None;
        }
        tokens = s.end;
    }
    let values = tokens.checked_mul(hidden)?;
    if hidden == 0 || [x8.len(), x16.len()] != [values; 2] {
        return None;
    }
    let (mut x8, mut x16) = (x8.to_vec(), x16.to_vec());
    for layer in &model.layers {
        (x8, x16) = run_layer(layer, model.config.heads, &x8, &x16, sequences);
    }
    Some(x16)
}

/// One layer: the 8-bit and 16-bit stream, `[tokens][hidden]`, before it to after it.
pub(crate) fn run_layer(
    layer: &QuantizedLayer,
    heads: usize,
    x8: &[i8],
    x16: &[i16],
    sequences: &[Range<usize>],
) -> (Vec<i8>, Vec<i16>) {
    let run = |l, x: &[i8]| linear(l, x, Requant::apply_i8);
    let run16 = |l, x: &[i8]| linear(l, x, Requant::apply_i16);
    let (q, k, v) = (run(&layer.q, x8), run(&layer.k, x8), run(&layer.v, x8));
    let all = Heads {
        q: &q,
        k: &k,
        v: &v,
        heads,
        hidden: layer.q.weights.outputs(),
    };
    let context = attention(
        &all,
        sequences,
        &layer.exp_table,
        layer.scores,
        layer.context,
    );
    let branch = run16(&layer.o, &context);
    let (attn16, attn8) = add_norm(x16, &branch, &layer.ln_attn);
    let mut mid = run(&layer.ffn_in, &attn8);
    activate(&mut mid, &layer.gelu_table);
    let branch = run16(&layer.ffn_out, &mid);
    let (y16, y8) = add_norm(&attn16, &branch, &layer.ln_out);
    (y8, y16)
}
