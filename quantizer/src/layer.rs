//! One encoder layer: the scales of its sites, then its matrices in the order of execution, each
//! knowing the integers that come before it.

use std::ops::Range;

use fqbert_checkpoint::{BertConfig, LayerNorm, Linear as Float};
use fqbert_model::{LayerScales, Linear, QuantizedLayer};
use fqbert_numerics::gelu::Activation;
use fqbert_numerics::layernorm::{self, LayerNormParams};
use fqbert_numerics::requant::Requant;
use fqbert_numerics::softmax::exp_table;

use crate::QuantizeError;
use crate::equalize::give_back;
use crate::fit::{Fitted, Input, Job, measure};
use crate::options::{QuantizeOptions, RangeMethod, Scheme};
use crate::progress::Progress;
use crate::ranges::{Seen, scale16};
use crate::refit::{self, CHUNK};
use crate::stages::{self, Heads};
use crate::watch::{Statistics, Watched};

/// Steps of progress that a layer reports.
pub(crate) const STEPS: usize = 4;

/// Integers that flow from layer to layer, `[tokens][hidden]`.
pub(crate) struct Stream {
    pub(crate) x8: Vec<i8>,
    pub(crate) x16: Vec<i16>,
}

/// A quantized layer and its six matrices' figures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Done {
    pub(crate) layer: QuantizedLayer,
    /// The same with each matrix in 4 bits, if that was wanted: to be taken one matrix at a time,
    /// since each was fitted to what [`Done::layer`] gives it.
    pub(crate) alternative: Option<QuantizedLayer>,
    /// Bits, weight SQNR in dB and mean clip, in the order of [`Linear::ALL`].
    pub(crate) figures: Vec<(u8, f64, f64)>,
}

/// What a layer is quantized in.
pub(crate) struct Context<'a> {
    pub(crate) index: usize,
    pub(crate) config: &'a BertConfig,
    pub(crate) options: &'a QuantizeOptions,
    /// The sequences' tokens, one sequence after another.
    pub(crate) sequences: &'a [Range<usize>],
    /// Whether 4-bit matrices are wanted beside.
    pub(crate) alternatives: bool,
}

/// The scale of the residual stream at a layer's input, `x16`.
pub(crate) fn input_scale16(s: &Statistics, config: &BertConfig) -> f64 {
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

pub(crate) fn activation(config: &BertConfig) -> Activation {
    match config.activation {
        fqbert_checkpoint::Activation::Gelu => Activation::GeluErf,
        fqbert_checkpoint::Activation::GeluTanh => Activation::GeluTanh,
        fqbert_checkpoint::Activation::Relu => Activation::Relu,
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
    let feeds = |seen: &Seen, values: &[f32], to: &[&Float]| {
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
fn least(config: &BertConfig) -> f64 {
    let act = activation(config);
    (0..4000)
        .map(|i| act.eval(-f64::from(i) / 1000.0))
        .fold(0.0, f64::min)
}

/// The float model's values after the activation at tokens of a range, `[tokens][intermediate]`.
fn float_mid(
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

/// Quantizes a watched layer and moves the stream through it. `x` is the float model's input of
/// the layer, `[tokens][hidden]`; `scales` and `zero` are what [`scales`] gives.
pub(crate) fn quantize_layer(
    c: &Context<'_>,
    watched: &Watched,
    x: &[f32],
    stream: &mut Stream,
    (scales, zero): (LayerScales, i32),
    progress: &mut dyn Progress,
) -> Result<Done, QuantizeError> {
    let (float, hidden) = (&watched.float, c.config.hidden);
    let s = |v: f32| f64::from(v);
    let mut step = || {
        if progress.step() {
            Ok(())
        } else {
            Err(QuantizeError::Cancelled)
        }
    };
    let rows = |values: &[f32], tokens: Range<usize>, width: usize| {
        values
            .get(tokens.start * width..tokens.end * width)
            .unwrap_or_default()
            .to_vec()
    };

    let fit = |input: &Input<'_>, which: &[(Linear, &Float, f32)]| {
        let floats: Vec<&Float> = which.iter().map(|w| w.1).collect();
        let known = measure(c.index, &floats, input, c.options)?;
        Ok::<_, QuantizeError>(
            move |i: usize, (which, float, scale): (Linear, &Float, f32)| {
                known.fit(
                    i,
                    &Job {
                        which,
                        float,
                        scale_out: s(scale),
                    },
                    c.options,
                    c.alternatives,
                )
            },
        )
    };
    let input = Input {
        codes: &stream.x8,
        scale: s(scales.x8),
        float: &|t| Ok(rows(x, t, hidden)),
    };
    let (q, k, v) = (
        (Linear::Q, &float.q, scales.q),
        (Linear::K, &float.k, scales.k),
        (Linear::V, &float.v, scales.v),
    );
    let known = fit(&input, &[q, k, v])?;
    let (q, k, v) = (known(0, q)?, known(1, k)?, known(2, v)?);
    let tables = tables(c.config, &scales, zero);
    let (scores, context) = attention_factors(c, &scales)?;
    let run = |f: &Fitted, x: &[i8]| stages::linear(&f.linear, x, Requant::apply_i8);
    let run16 = |f: &Fitted, x: &[i8]| stages::linear(&f.linear, x, Requant::apply_i16);
    let (q8, k8, v8) = (
        run(&q, &stream.x8),
        run(&k, &stream.x8),
        run(&v, &stream.x8),
    );
    let heads = Heads {
        q: &q8,
        k: &k8,
        v: &v8,
        heads: c.config.heads,
        hidden,
    };
    let context8 = stages::attention(&heads, c.sequences, &tables.0, scores, context);
    step()?;

    let input = Input {
        codes: &context8,
        scale: s(scales.context),
        float: &|t| Ok(rows(&watched.context, t, hidden)),
    };
    let o = (Linear::O, &float.o, scales.x16);
    let o = fit(&input, &[o])?(0, o)?;
    let ln_attn = norm(
        c,
        "attention norm",
        &float.ln_attn,
        scales.x16,
        scales.attn16,
        scales.attn8,
    )?;
    let (attn16, attn8) = stages::add_norm(&stream.x16, &run16(&o, &context8), &ln_attn);
    step()?;

    let input = Input {
        codes: &attn8,
        scale: s(scales.attn8),
        float: &|t| Ok(rows(&watched.attn_norm, t, hidden)),
    };
    let ffn_in = (Linear::FfnIn, &float.ffn_in, scales.gelu_in);
    let ffn_in = fit(&input, &[ffn_in])?(0, ffn_in)?;
    let mut mid = run(&ffn_in, &attn8);
    stages::activate(&mut mid, &tables.1);
    step()?;

    let offset = (f64::from(zero) * s(scales.mid)) as f32;
    let float_mid = |t: Range<usize>| {
        let mut y = float_mid(c, watched, t)?;
        y.iter_mut().for_each(|v| *v -= offset);
        Ok(y)
    };
    let float_ffn_out =
        give_back(&float.ffn_out, offset).map_err(|source| QuantizeError::Shape {
            layer: c.index,
            source,
        })?;
    let input = Input {
        codes: &mid,
        scale: s(scales.mid),
        float: &float_mid,
    };
    let ffn_out = (Linear::FfnOut, &float_ffn_out, scales.attn16);
    let ffn_out = fit(&input, &[ffn_out])?(0, ffn_out)?;
    let ln_out = norm(
        c,
        "output norm",
        &float.ln_out,
        scales.attn16,
        scales.y16,
        scales.y8,
    )?;
    (stream.x16, stream.x8) = stages::add_norm(&attn16, &run16(&ffn_out, &mid), &ln_out);
    step()?;

    let figures = [&q, &k, &v, &o, &ffn_in, &ffn_out]
        .map(|f| (f.bits.count(), f.weight_sqnr_db, f.mean_clip))
        .to_vec();
    let layer = QuantizedLayer {
        q: q.linear,
        k: k.linear,
        v: v.linear,
        o: o.linear,
        ffn_in: ffn_in.linear,
        ffn_out: ffn_out.linear,
        scores,
        context,
        exp_table: tables.0,
        gelu_table: tables.1,
        ln_attn,
        ln_out,
        scales,
    };
    let alternative = match (q.four, k.four, v.four, o.four, ffn_in.four, ffn_out.four) {
        (Some(q), Some(k), Some(v), Some(o), Some(ffn_in), Some(ffn_out)) => Some(QuantizedLayer {
            q,
            k,
            v,
            o,
            ffn_in,
            ffn_out,
            ..layer.clone()
        }),
        _ => None,
    };
    Ok(Done {
        layer,
        alternative,
        figures,
    })
}

/// Exponential and activation tables, `zero` taken off every code of the second.
pub(crate) fn tables(
    config: &BertConfig,
    scales: &LayerScales,
    zero: i32,
) -> ([u16; 256], [i8; 256]) {
    let (gelu_in, mid) = (f64::from(scales.gelu_in), f64::from(scales.mid));
    let act = activation(config);
    let table = std::array::from_fn(|i| {
        let code = (act.eval((i as f64 - 128.0) * gelu_in) / mid).round_ties_even();
        (code - f64::from(zero)).clamp(-127.0, 127.0) as i8
    });
    (exp_table(f64::from(scales.scores)), table)
}

/// Requantization of scores, `1 / sqrt(head width)` included, and of the context.
fn attention_factors(
    c: &Context<'_>,
    scales: &LayerScales,
) -> Result<(Requant, Requant), QuantizeError> {
    let s = |v: f32| f64::from(v);
    let root = (c.config.head_dim() as f64).sqrt();
    let factor = |what: &str, factor: f64| {
        let requant = match c.options.scheme {
            Scheme::Paper => Requant::from_scale_8bit(factor, 0),
            Scheme::W4A8 | Scheme::W8A8 => Requant::from_scale(factor, 0),
        };
        requant.map_err(|source| QuantizeError::Factor {
            layer: c.index,
            what: what.into(),
            source,
        })
    };
    Ok((
        factor(
            "scores",
            s(scales.q) * s(scales.k) / root / s(scales.scores),
        )?,
        factor("context", s(scales.v) / 255.0 / s(scales.context))?,
    ))
}

fn norm(
    c: &Context<'_>,
    name: &'static str,
    float: &LayerNorm,
    input: f32,
    y16: f32,
    y8: f32,
) -> Result<LayerNormParams, QuantizeError> {
    let n = c.config.hidden;
    let eps = f64::from(float.eps());
    let [input, y16, y8] = [input, y16, y8].map(f64::from);
    layernorm::quantize(float.gamma(), float.beta(), eps, n, input, y16, y8).map_err(|source| {
        QuantizeError::LayerNorm {
            layer: c.index,
            norm: name,
            source,
        }
    })
}
