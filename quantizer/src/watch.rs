//! Runs one float layer on the calibration data and keeps what scales are chosen from.

use std::ops::Range;

use fqbert_checkpoint::{Assumed, Checkpoint, EncoderLayer, Observer, Site};
use fqbert_host::{EmbeddingTables, Embeddings, Head, InputError, ModelConfig, Pooling, Table};
use rayon::prelude::*;

use crate::error::QuantizeError;
use crate::ranges::Seen;
use crate::scores::ScoreErrors;

/// Sequences whose statistics are held apart until they are merged in order.
const BATCH: usize = 16;

/// Statistics of one layer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statistics {
    pub(crate) q: Seen,
    pub(crate) k: Seen,
    pub(crate) v: Seen,
    pub(crate) scores: Seen,
    pub(crate) score_errors: ScoreErrors,
    pub(crate) context: Seen,
    pub(crate) attn_norm: Seen,
    pub(crate) ffn_in: Seen,
    pub(crate) ffn_mid: Seen,
    pub(crate) out: Seen,
    /// Largest magnitude of input, attention branch and their sum.
    pub(crate) attn_residual: f32,
    /// Largest magnitude of attention norm, feed-forward branch and their sum.
    pub(crate) ffn_residual: f32,
}

impl Statistics {
    fn merge(&mut self, other: Statistics) {
        self.q.merge(other.q);
        self.k.merge(other.k);
        self.v.merge(other.v);
        self.scores.merge(other.scores);
        self.score_errors.merge(&other.score_errors);
        self.context.merge(other.context);
        self.attn_norm.merge(other.attn_norm);
        self.ffn_in.merge(other.ffn_in);
        self.ffn_mid.merge(other.ffn_mid);
        self.out.merge(other.out);
        self.attn_residual = self.attn_residual.max(other.attn_residual);
        self.ffn_residual = self.ffn_residual.max(other.ffn_residual);
    }
}

/// A layer that has been watched: statistics, and the values that later stages aim at, each
/// `[tokens][hidden]`.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) float: EncoderLayer,
    pub(crate) statistics: Statistics,
    pub(crate) context: Vec<f32>,
    pub(crate) attn_norm: Vec<f32>,
    pub(crate) out: Vec<f32>,
}

/// Watches `layer` on inputs `x` `[tokens][hidden]`, which hold `sequences` one after another.
pub(crate) fn watch(
    index: usize,
    layer: EncoderLayer,
    config: &ModelConfig,
    x: &[f32],
    sequences: &[Range<usize>],
) -> Result<Watched, QuantizeError> {
    let shape = |source| QuantizeError::Shape {
        layer: index,
        source,
    };
    let hidden = config.hidden;
    let one = one_layer(layer, config).map_err(shape)?;
    let mut statistics = Statistics::default();
    let (mut context, mut attn_norm, mut out) = (Vec::new(), Vec::new(), Vec::new());
    // Long sequences have many scores; a part of them is enough to choose one scale.
    let scores: usize = sequences
        .iter()
        .map(|s| s.len() * s.len() * config.heads)
        .sum();
    let every = scores.div_ceil(ScoreErrors::ENOUGH).max(1);
    for (batch, ranges) in sequences.chunks(BATCH).enumerate() {
        let results: Vec<Result<OneSequence, InputError>> = ranges
            .par_iter()
            .enumerate()
            .map(|(i, tokens)| {
                let mut one_sequence = OneSequence::new((batch * BATCH + i).is_multiple_of(every));
                let values = x
                    .get(tokens.start * hidden..tokens.end * hidden)
                    .unwrap_or_default();
                one.encode(values.to_vec(), &mut one_sequence)?;
                Ok(one_sequence)
            })
            .collect();
        for (i, result) in results.into_iter().enumerate() {
            let sequence = result.map_err(shape)?;
            if let Some(site) = sequence.bad {
                let index_of = batch * BATCH + i + 1;
                return Err(QuantizeError::NotFinite {
                    layer: index,
                    site: name(site),
                    index: index_of,
                });
            }
            statistics.merge(sequence.statistics);
            context.extend(sequence.context);
            attn_norm.extend(sequence.attn_norm);
            out.extend(sequence.out);
        }
    }
    let float = one
        .layers
        .into_iter()
        .next()
        .ok_or_else(|| shape(InputError::Empty))?;
    Ok(Watched {
        float,
        statistics,
        context,
        attn_norm,
        out,
    })
}

/// A checkpoint of this layer alone, whose encoder takes values instead of token ids.
fn one_layer(layer: EncoderLayer, config: &ModelConfig) -> Result<Checkpoint, InputError> {
    let zeros = || vec![0.0; config.hidden];
    let tables = EmbeddingTables {
        word: Table::F32(zeros()),
        position: Table::F32(zeros()),
        token_type: Table::F32(Vec::new()),
        gamma: zeros(),
        beta: zeros(),
    };
    let embeddings = Embeddings::new(tables, config.layer_norm_eps, 0)?;
    Ok(Checkpoint {
        config: config.clone(),
        embeddings,
        layers: vec![layer],
        head: Head::Embedding {
            pooling: Pooling::Cls,
            normalize: false,
        },
        ignored: Vec::new(),
        assumed: Assumed::default(),
    })
}

/// Name of a site, as reports use it.
pub(crate) fn name(site: Site) -> &'static str {
    match site {
        Site::EmbeddingOut => "embeddings",
        Site::LayerInput => "input",
        Site::Q => "q",
        Site::K => "k",
        Site::V => "v",
        Site::Scores => "scores",
        Site::Probs => "probs",
        Site::Context => "context",
        Site::AttnOut => "attn_out",
        Site::AttnSum => "attn_sum",
        Site::AttnNorm => "attn_norm",
        Site::FfnIn => "ffn_in",
        Site::FfnMid => "ffn_mid",
        Site::FfnOut => "ffn_out",
        Site::FfnSum => "ffn_sum",
        Site::LayerOut => "out",
    }
}

/// Observes one sequence.
struct OneSequence {
    statistics: Statistics,
    context: Vec<f32>,
    attn_norm: Vec<f32>,
    out: Vec<f32>,
    scores: Option<Vec<f32>>,
    bad: Option<Site>,
}

impl OneSequence {
    fn new(with_scores: bool) -> Self {
        OneSequence {
            statistics: Statistics::default(),
            context: Vec::new(),
            attn_norm: Vec::new(),
            out: Vec::new(),
            scores: with_scores.then(Vec::new),
            bad: None,
        }
    }
}

impl Observer for OneSequence {
    fn observe(&mut self, _: usize, site: Site, values: &[f32], _: usize, cols: usize) {
        if self.bad.is_some() {
            return;
        }
        let s = &mut self.statistics;
        let residual = |largest: &mut f32| match crate::histogram::max_abs(values) {
            Some(max) => {
                *largest = largest.max(max);
                true
            }
            None => false,
        };
        let finite = match site {
            Site::EmbeddingOut => true,
            Site::LayerInput | Site::AttnOut | Site::AttnSum => residual(&mut s.attn_residual),
            Site::FfnOut | Site::FfnSum => residual(&mut s.ffn_residual),
            Site::Q => s.q.add(values),
            Site::K => s.k.add(values),
            Site::V => s.v.add(values),
            Site::Scores => {
                if let Some(scores) = &mut self.scores {
                    scores.extend_from_slice(values);
                }
                s.scores.add(values)
            }
            Site::Probs => {
                if let Some(scores) = &self.scores {
                    s.score_errors.add(scores, values, cols);
                }
                true
            }
            Site::Context => {
                self.context.extend_from_slice(values);
                s.context.add(values)
            }
            Site::AttnNorm => {
                self.attn_norm.extend_from_slice(values);
                s.attn_norm.add(values) && residual(&mut s.ffn_residual)
            }
            Site::FfnIn => s.ffn_in.add(values),
            Site::FfnMid => s.ffn_mid.add(values),
            Site::LayerOut => {
                self.out.extend_from_slice(values);
                s.out.add(values)
            }
        };
        if !finite {
            self.bad = Some(site);
        }
    }
}
