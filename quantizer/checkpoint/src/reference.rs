//! The float forward pass, with a hook on every activation.
//!
//! This is the yardstick: what the checkpoint computes in f32 with the activation functions of
//! its training. The quantizer watches it to choose ranges, and accuracy is compared with it.
//! Many sequences are run in groups, their tokens as the rows of one matrix: with a sentence's
//! dozen rows a matrix product spends its time on arranging the weights. Results depend neither on
//! the grouping nor on the number of threads, as every sum is over one row in the same order.

use std::ops::Range;

use fqbert_host::{HeadOutput, HostError, InputError, ModelConfig, Tokens};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::linear::{matrix, matrix_mut};
use crate::weights::{Checkpoint, EncoderLayer};

/// Tokens at which a group of sequences is full: arranging the weights is then a small part of the
/// work, and there are still enough groups to share among threads.
const GROUP_TOKENS: usize = 512;

/// A place in the model where activations can be watched. `n` is the number of tokens, `h` the
/// hidden width, `m` the intermediate width, `a` the number of heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// Embeddings after their layer norm, `[n][h]`; reported once, as of layer 0.
    EmbeddingOut,
    /// Input of the layer, `[n][h]`.
    LayerInput,
    /// Query projection, `[n][h]`.
    Q,
    /// Key projection, `[n][h]`.
    K,
    /// Value projection, `[n][h]`.
    V,
    /// Scores before the softmax, scaled by `1/sqrt(head width)`: `[a * n][n]`, head by head.
    Scores,
    /// Softmax of the scores, `[a * n][n]`, head by head.
    Probs,
    /// Probabilities times values, heads side by side, `[n][h]`.
    Context,
    /// Attention output projection, before the residual, `[n][h]`.
    AttnOut,
    /// Layer input plus attention output: input of the first norm, `[n][h]`.
    AttnSum,
    /// Output of the first norm, `[n][h]`.
    AttnNorm,
    /// First feed-forward layer, before the activation, `[n][m]`.
    FfnIn,
    /// After the activation, `[n][m]`.
    FfnMid,
    /// Second feed-forward layer, before the residual, `[n][h]`.
    FfnOut,
    /// First norm's output plus feed-forward output: input of the second norm, `[n][h]`.
    FfnSum,
    /// Output of the second norm and of the layer, `[n][h]`.
    LayerOut,
}

/// Watches activations as they are computed.
pub trait Observer {
    /// Called once for each site of each layer, in order of computation, with row-major `values`
    /// `[rows][cols]`.
    fn observe(&mut self, layer: usize, site: Site, values: &[f32], rows: usize, cols: usize);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn observe(&mut self, _: usize, _: Site, _: &[f32], _: usize, _: usize) {}
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn observe(&mut self, layer: usize, site: Site, values: &[f32], rows: usize, cols: usize) {
        (**self).observe(layer, site, values, rows, cols);
    }
}

impl Checkpoint {
    /// Runs one sequence without padding.
    ///
    /// # Errors
    /// A sequence that is empty or too long, or an id outside its table; answers that are no
    /// numbers.
    pub fn forward(&self, ids: &[u32], type_ids: &[u32]) -> Result<HeadOutput, HostError> {
        self.forward_observed(ids, type_ids, &mut NoObserver)
    }

    /// Runs one sequence and shows `observer` every activation.
    ///
    /// # Errors
    /// As [`Checkpoint::forward`].
    pub fn forward_observed<O: Observer + ?Sized>(
        &self,
        ids: &[u32],
        type_ids: &[u32],
        observer: &mut O,
    ) -> Result<HeadOutput, HostError> {
        let embedded = self.embeddings.embed(ids, type_ids)?;
        let hidden_states = self.encode(embedded, observer)?;
        self.head.apply(&hidden_states, self.config.hidden)
    }

    /// Runs the encoder on embedded tokens `[tokens][hidden]` of one sequence; the result has the
    /// same shape.
    ///
    /// # Errors
    /// [`InputError::Length`] if `embedded` is not whole rows, [`InputError::Empty`] if it is
    /// empty.
    pub fn encode<O: Observer + ?Sized>(
        &self,
        embedded: Vec<f32>,
        observer: &mut O,
    ) -> Result<Vec<f32>, InputError> {
        let hidden = self.config.hidden;
        let rows = embedded.len().checked_div(hidden).unwrap_or(0);
        InputError::check("embedded tokens", rows * hidden, embedded.len())?;
        if rows == 0 {
            return Err(InputError::Empty);
        }
        self.encode_group(embedded, &[rows], &mut [observer])
    }

    /// Runs many sequences in parallel; results in their order.
    ///
    /// # Errors
    /// As [`Checkpoint::forward`], of a sequence that fails.
    pub fn forward_batch(&self, sequences: &[Tokens]) -> Result<Vec<HeadOutput>, HostError> {
        let outputs = self.forward_batch_observed(sequences, |_| NoObserver)?;
        Ok(outputs.into_iter().map(|(output, _)| output).collect())
    }

    /// Runs many sequences in parallel, each with its own observer from `observer(index)`. The
    /// observers come back in the order of the sequences, so that statistics which depend on
    /// order, such as moving averages, are merged the same way whatever the number of threads.
    ///
    /// # Errors
    /// As [`Checkpoint::forward`], of a sequence that fails.
    pub fn forward_batch_observed<O: Observer + Send>(
        &self,
        sequences: &[Tokens],
        observer: impl Fn(usize) -> O + Sync,
    ) -> Result<Vec<(HeadOutput, O)>, HostError> {
        let groups: Vec<_> = groups(sequences)
            .into_par_iter()
            .map(|group| {
                let sequences = sequences.get(group.clone()).unwrap_or_default();
                let mut observers: Vec<O> = group.map(&observer).collect();
                let mut embedded = Vec::new();
                for s in sequences {
                    embedded.extend(self.embeddings.embed(&s.ids, &s.type_ids)?);
                }
                let lengths: Vec<usize> = sequences.iter().map(|s| s.ids.len()).collect();
                let states = self.encode_group(embedded, &lengths, &mut observers)?;
                let hidden = self.config.hidden;
                let outputs: Vec<_> = parts(&states, &lengths, hidden)
                    .map(|states| self.head.apply(states, hidden))
                    .collect::<Result<_, _>>()?;
                Ok(outputs.into_iter().zip(observers).collect::<Vec<_>>())
            })
            .collect::<Result<_, HostError>>()?;
        Ok(groups.into_iter().flatten().collect())
    }

    /// Runs the encoder on the rows of several sequences, of the given lengths one after the
    /// other, with an observer for each.
    fn encode_group<O: Observer>(
        &self,
        embedded: Vec<f32>,
        lengths: &[usize],
        observers: &mut [O],
    ) -> Result<Vec<f32>, InputError> {
        let mut group = Group {
            config: &self.config,
            lengths,
            observers,
        };
        group.watch(0, Site::EmbeddingOut, &embedded);
        let mut x = embedded;
        for (index, layer) in self.layers.iter().enumerate() {
            x = group.layer(index, layer, x)?;
        }
        Ok(x)
    }
}

/// Consecutive sequences up to about [`GROUP_TOKENS`] tokens.
fn groups(sequences: &[Tokens]) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (index, s) in sequences.iter().enumerate() {
        tokens += s.ids.len();
        if tokens >= GROUP_TOKENS {
            groups.push(start..index + 1);
            (start, tokens) = (index + 1, 0);
        }
    }
    if start < sequences.len() {
        groups.push(start..sequences.len());
    }
    groups
}

/// The rows of each sequence.
fn parts<'v>(
    mut values: &'v [f32],
    lengths: &[usize],
    cols: usize,
) -> impl Iterator<Item = &'v [f32]> {
    lengths.iter().map(move |rows| {
        let (part, rest) = values.split_at((rows * cols).min(values.len()));
        values = rest;
        part
    })
}

/// The sequences that are computed together.
struct Group<'a, O> {
    config: &'a ModelConfig,
    lengths: &'a [usize],
    observers: &'a mut [O],
}

impl<O: Observer> Group<'_, O> {
    /// Shows each sequence's rows of `values` to its observer.
    fn watch(&mut self, layer: usize, site: Site, values: &[f32]) {
        let cols = match site {
            Site::FfnIn | Site::FfnMid => self.config.intermediate,
            _ => self.config.hidden,
        };
        for ((observer, part), rows) in self
            .observers
            .iter_mut()
            .zip(parts(values, self.lengths, cols))
            .zip(self.lengths)
        {
            observer.observe(layer, site, part, *rows, cols);
        }
    }

    /// Shows each sequence's `[heads * tokens][tokens]` to its observer.
    fn watch_square(&mut self, layer: usize, site: Site, values: &[Vec<f32>]) {
        for ((observer, part), &tokens) in self.observers.iter_mut().zip(values).zip(self.lengths) {
            observer.observe(layer, site, part, self.config.heads * tokens, tokens);
        }
    }

    fn layer(
        &mut self,
        index: usize,
        layer: &EncoderLayer,
        x: Vec<f32>,
    ) -> Result<Vec<f32>, InputError> {
        self.watch(index, Site::LayerInput, &x);
        let q = layer.q.apply(&x)?;
        self.watch(index, Site::Q, &q);
        let k = layer.k.apply(&x)?;
        self.watch(index, Site::K, &k);
        let v = layer.v.apply(&x)?;
        self.watch(index, Site::V, &v);
        let context = self.attention(index, &q, &k, &v)?;
        self.watch(index, Site::Context, &context);

        let mut attention = layer.o.apply(&context)?;
        self.watch(index, Site::AttnOut, &attention);
        add(&mut attention, &x);
        self.watch(index, Site::AttnSum, &attention);
        layer.ln_attn.apply(&mut attention);
        self.watch(index, Site::AttnNorm, &attention);

        let mut mid = layer.ffn_in.apply(&attention)?;
        self.watch(index, Site::FfnIn, &mid);
        let activation = self.config.activation;
        mid.par_chunks_mut(self.config.intermediate.max(1))
            .for_each(|row| row.iter_mut().for_each(|v| *v = activation.apply(*v)));
        self.watch(index, Site::FfnMid, &mid);
        let mut out = layer.ffn_out.apply(&mid)?;
        self.watch(index, Site::FfnOut, &out);
        add(&mut out, &attention);
        self.watch(index, Site::FfnSum, &out);
        layer.ln_out.apply(&mut out);
        self.watch(index, Site::LayerOut, &out);
        Ok(out)
    }

    /// Attention of each sequence within itself: the context, heads side by side.
    fn attention(
        &mut self,
        index: usize,
        q: &[f32],
        k: &[f32],
        v: &[f32],
    ) -> Result<Vec<f32>, InputError> {
        let (config, hidden) = (self.config, self.config.hidden);
        let of_each = |values| parts(values, self.lengths, hidden).collect::<Vec<_>>();
        let (q, k, v) = (of_each(q), of_each(k), of_each(v));
        let mut probs = q
            .into_par_iter()
            .zip(k)
            .zip(self.lengths)
            .map(|((q, k), &rows)| scores(q, k, rows, config))
            .collect::<Result<Vec<_>, _>>()?;
        self.watch_square(index, Site::Scores, &probs);
        probs
            .par_iter_mut()
            .zip(self.lengths)
            .for_each(|(probs, &rows)| {
                probs.chunks_mut(rows).for_each(softmax);
            });
        self.watch_square(index, Site::Probs, &probs);
        let contexts = probs
            .par_iter()
            .zip(v)
            .zip(self.lengths)
            .map(|((probs, v), &rows)| context(probs, v, rows, config))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(contexts.concat())
    }
}

/// `q * k^T / sqrt(d)` of each head, `[heads * rows][rows]`.
fn scores(q: &[f32], k: &[f32], rows: usize, config: &ModelConfig) -> Result<Vec<f32>, InputError> {
    let (q, k) = (
        matrix(q, rows, config.hidden)?,
        matrix(k, rows, config.hidden)?,
    );
    let d = config.head_dim();
    let scale = 1.0 / (d as f32).sqrt();
    let mut scores = vec![0.0; config.heads * rows * rows];
    scores
        .par_chunks_mut(rows * rows)
        .enumerate()
        .try_for_each(|(head, out)| {
            let (q, k) = (columns(&q, head, d), columns(&k, head, d));
            general_mat_mul(scale, &q, &k.t(), 0.0, &mut matrix_mut(out, rows, rows)?);
            Ok(())
        })?;
    Ok(scores)
}

/// `probs * v` of each head, heads side by side, `[rows][hidden]`.
fn context(
    probs: &[f32],
    v: &[f32],
    rows: usize,
    config: &ModelConfig,
) -> Result<Vec<f32>, InputError> {
    let d = config.head_dim();
    let v = matrix(v, rows, config.hidden)?;
    let mut context = vec![0.0; rows * config.hidden];
    let mut out = matrix_mut(&mut context, rows, config.hidden)?;
    let parts: Vec<_> = out
        .axis_chunks_iter_mut(Axis(1), d)
        .zip(probs.chunks(rows * rows))
        .collect();
    parts
        .into_par_iter()
        .enumerate()
        .try_for_each(|(head, (mut out, probs))| {
            general_mat_mul(
                1.0,
                &matrix(probs, rows, rows)?,
                &columns(&v, head, d),
                0.0,
                &mut out,
            );
            Ok(())
        })?;
    Ok(context)
}

/// The columns of one head.
fn columns<'a>(all: &'a ArrayView2<'_, f32>, head: usize, d: usize) -> ArrayView2<'a, f32> {
    all.slice(s![.., head * d..(head + 1) * d])
}

fn softmax(row: &mut [f32]) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for v in row.iter_mut() {
        *v = (*v - max).exp();
        sum += *v;
    }
    row.iter_mut().for_each(|v| *v /= sum);
}

fn add(out: &mut [f32], other: &[f32]) {
    out.iter_mut().zip(other).for_each(|(o, v)| *o += v);
}
