//! The float forward pass, with a hook on every activation.
//!
//! This is the yardstick: what the checkpoint computes in f32 with the activation functions of
//! its training. The quantizer watches it to choose ranges, and accuracy is compared with it.
//! Results do not depend on the number of threads.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::config::BertConfig;
use crate::error::InputError;
use crate::head::HeadOutput;
use crate::linear::{matrix, matrix_mut};
use crate::weights::{Checkpoint, EncoderLayer};

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

/// One tokenized text without padding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Token types, one for each id.
    pub type_ids: Vec<u32>,
}

impl Checkpoint {
    /// Runs one sequence without padding.
    ///
    /// # Errors
    /// A sequence that is empty or too long, or an id outside its table.
    pub fn forward(&self, ids: &[u32], type_ids: &[u32]) -> Result<HeadOutput, InputError> {
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
    ) -> Result<HeadOutput, InputError> {
        let embedded = self.embeddings.embed(ids, type_ids)?;
        let hidden_states = self.encode(embedded, observer)?;
        self.head.apply(&hidden_states, self.config.hidden)
    }

    /// Runs the encoder on embedded tokens `[tokens][hidden]`; the result has the same shape.
    ///
    /// # Errors
    /// [`InputError::Length`] if `embedded` is not whole rows, [`InputError::Empty`] if it is empty.
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
        observer.observe(0, Site::EmbeddingOut, &embedded, rows, hidden);
        let mut x = embedded;
        for (index, layer) in self.layers.iter().enumerate() {
            let mut watch = |site, values: &[f32]| {
                let cols = match site {
                    Site::Scores | Site::Probs => rows,
                    Site::FfnIn | Site::FfnMid => self.config.intermediate,
                    _ => hidden,
                };
                let rows = values.len().checked_div(cols).unwrap_or(0);
                observer.observe(index, site, values, rows, cols);
            };
            x = layer_forward(layer, &self.config, x, rows, &mut watch)?;
        }
        Ok(x)
    }

    /// Runs many sequences in parallel; results in their order.
    ///
    /// # Errors
    /// As [`Checkpoint::forward`], of the first sequence that fails.
    pub fn forward_batch(&self, sequences: &[Sequence]) -> Result<Vec<HeadOutput>, InputError> {
        sequences
            .par_iter()
            .map(|s| self.forward(&s.ids, &s.type_ids))
            .collect()
    }

    /// Runs many sequences in parallel, each with its own observer from `observer(index)`. The
    /// observers come back in the order of the sequences, so that statistics which depend on
    /// order, such as moving averages, are merged the same way whatever the number of threads.
    ///
    /// # Errors
    /// As [`Checkpoint::forward`], of the first sequence that fails.
    pub fn forward_batch_observed<O: Observer + Send>(
        &self,
        sequences: &[Sequence],
        observer: impl Fn(usize) -> O + Sync,
    ) -> Result<Vec<(HeadOutput, O)>, InputError> {
        sequences
            .par_iter()
            .enumerate()
            .map(|(index, s)| {
                let mut observer = observer(index);
                let output = self.forward_observed(&s.ids, &s.type_ids, &mut observer)?;
                Ok((output, observer))
            })
            .collect()
    }
}

fn layer_forward(
    layer: &EncoderLayer,
    config: &BertConfig,
    x: Vec<f32>,
    rows: usize,
    watch: &mut impl FnMut(Site, &[f32]),
) -> Result<Vec<f32>, InputError> {
    watch(Site::LayerInput, &x);
    let q = layer.q.apply(&x)?;
    watch(Site::Q, &q);
    let k = layer.k.apply(&x)?;
    watch(Site::K, &k);
    let v = layer.v.apply(&x)?;
    watch(Site::V, &v);

    let mut probs = scores(&q, &k, rows, config)?;
    watch(Site::Scores, &probs);
    probs.par_chunks_mut(rows).for_each(softmax);
    watch(Site::Probs, &probs);
    let context = context(&probs, &v, rows, config)?;
    watch(Site::Context, &context);

    let mut attention = layer.o.apply(&context)?;
    watch(Site::AttnOut, &attention);
    add(&mut attention, &x);
    watch(Site::AttnSum, &attention);
    layer.ln_attn.apply(&mut attention);
    watch(Site::AttnNorm, &attention);

    let mut mid = layer.ffn_in.apply(&attention)?;
    watch(Site::FfnIn, &mid);
    mid.par_chunks_mut(config.intermediate.max(1))
        .for_each(|row| {
            row.iter_mut()
                .for_each(|v| *v = config.activation.apply(*v))
        });
    watch(Site::FfnMid, &mid);
    let mut out = layer.ffn_out.apply(&mid)?;
    watch(Site::FfnOut, &out);
    add(&mut out, &attention);
    watch(Site::FfnSum, &out);
    layer.ln_out.apply(&mut out);
    watch(Site::LayerOut, &out);
    Ok(out)
}

/// `q * k^T / sqrt(d)` of each head, `[heads * rows][rows]`.
fn scores(q: &[f32], k: &[f32], rows: usize, config: &BertConfig) -> Result<Vec<f32>, InputError> {
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
    config: &BertConfig,
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
