//! The scales of an encoder layer's sites.

use std::ops::Range;

use fqbert_checkpoint::FloatLinear;
use fqbert_host::ModelConfig;
use fqbert_model::LayerScales;
use fqbert_numerics::gelu::Activation;

use crate::error::QuantizeError;
use crate::options::{QuantizeOptions, RangeMethod};
use crate::ranges::{Seen, scale16};
use crate::refit::{self, CHUNK};
use crate::watch::{Statistics, Watched};

/// What a layer is quantized in.
pub(crate) struct Context<'a> {
    pub(crate) index: usize,
    pub(crate) config: &'a ModelConfig,
    pub(crate) options: &'a QuantizeOptions,
    /// The sequences' tokens, one sequence after another.
    pub(crate) sequences: &'a [Range<usize>],
    /// Whether 4-bit matrices are wanted beside.
    pub(crate) alternatives: bool,
}

/// The scale of the residual stream at a layer's input, `x16`.
pub(crate) fn input_scale16(s: &Statistics, config: &ModelConfig) -> f64 {
    to_f32(scale16(
        s.attn_residual,
        config.hidden,
        config.layer_norm_eps,
    ))
}

/// Scales are kept in f32; computing with what is kept leaves nothing to drift apart.
pub(crate) fn to_f32(scale: f64) -> f64 {
    f64::from((scale as f32).max(f32::MIN_POSITIVE))
}

/// The activation as the tables take it.
pub(crate) fn activation(config: &ModelConfig) -> Activation {
    match config.activation {
        fqbert_host::Activation::Gelu => Activation::GeluErf,
        fqbert_host::Activation::GeluTanh => Activation::GeluTanh,
        fqbert_host::Activation::Relu => Activation::Relu,
    }
}

/// Scales of a layer's sites, and what is taken off every code of the activation. `x8` and `x16`
/// are those of the layer before, `y16` is what the next one, which `next` is, takes.
pub(crate) fn scales(
    c: &Context<'_>,
    watched: &Watched,
    next: Option<&Watched>,
    [x8, x16, y16]: [f64; 3],
) -> Result<(LayerScales, i32), QuantizeError> {
    let (s, float, config, ranges) = (
        &watched.statistics,
        &watched.float,
        c.config,
        c.options.ranges,
    );
    let plain = |seen: &Seen| seen.scale8(ranges, |v| v);
    let tokens = c.sequences.last().map_or(0, |s| s.end);
    // Where a linear layer that will be fitted to the codes follows, its view counts.
    let feeds = |seen: &Seen, values: &[f32], to: &[&FloatLinear]| {
        if !c.options.fits_scales() {
            return Ok(plain(seen));
        }
        let k = config.hidden;
        refit::scale(seen.histogram.max_abs(), tokens, &refit::energy(to), |t| {
            Ok(values
                .get(t * k..(t + CHUNK).min(tokens) * k)
                .unwrap_or_default()
                .to_vec())
        })
    };
    let context = feeds(&s.context, &watched.context, &[&float.o])?;
    let attn8 = feeds(&s.attn_norm, &watched.attn_norm, &[&float.ffn_in])?;
    let y8 = match next {
        Some(n) => feeds(&s.out, &watched.out, &[&n.float.q, &n.float.k, &n.float.v])?,
        None => plain(&s.out),
    };
    // Codes that start at the activation's least value have twice the room above it.
    let least = (c.options.equalize && c.options.fits_scales()).then(|| least(config));
    let mid = if c.options.fits_scales() {
        let max = s.ffn_mid.histogram.max_abs();
        refit::scale_above(max, least, tokens, &refit::energy(&[&float.ffn_out]), |t| {
            float_mid(c, watched, t..(t + CHUNK).min(tokens))
        })?
    } else {
        plain(&s.ffn_mid)
    };
    let mid = to_f32(mid);
    let act = activation(config);
    // What the table makes of a code, without the rounding of its output.
    let zero = least.map_or(0, |least| refit::zero(mid, least));
    let through = |v: f64| (act.eval(v) / mid - f64::from(zero)).clamp(-127.0, 127.0) * mid;
    let scores = match ranges {
        RangeMethod::Mse => s.score_errors.best(),
        _ => plain(&s.scores),
    };
    let attn16 = scale16(s.ffn_residual, config.hidden, config.layer_norm_eps);
    let gelu_in = s.ffn_in.scale8(ranges, through);
    let (q, k, v) = (plain(&s.q), plain(&s.k), plain(&s.v));
    let all = [
        x8, x16, q, k, v, scores, context, attn8, attn16, gelu_in, mid, y8, y16,
    ];
    Ok((LayerScales::from_array(all.map(|s| to_f32(s) as f32)), zero))
}

/// The least value of the activation, from above.
fn least(config: &ModelConfig) -> f64 {
    let act = activation(config);
    (0..4000)
        .map(|i| act.eval(-f64::from(i) / 1000.0))
        .fold(0.0, f64::min)
}

/// The float model's values after the activation at tokens of a range, `[tokens][intermediate]`.
pub(crate) fn float_mid(
    c: &Context<'_>,
    watched: &Watched,
    tokens: Range<usize>,
) -> Result<Vec<f32>, QuantizeError> {
    let k = c.config.hidden;
    let x = watched
        .attn_norm
        .get(tokens.start * k..tokens.end * k)
        .unwrap_or_default();
    let y = watched.float.ffn_in.apply(x);
    let mut y = y.map_err(|source| QuantizeError::Shape {
        layer: c.index,
        source,
    })?;
    y.iter_mut()
        .for_each(|v| *v = c.config.activation.apply(*v));
    Ok(y)
}
