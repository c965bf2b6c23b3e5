//! One encoder layer: its matrices in the order of execution, each knowing the integers that come
//! before it.

use std::ops::Range;

use fqbert_checkpoint::{FloatLinear, LayerNorm};
use fqbert_host::ModelConfig;
use fqbert_model::{LayerScales, Linear, QuantizedLayer};
use fqbert_numerics::layernorm::{self, LayerNormParams};
use fqbert_numerics::requant::Requant;
use fqbert_numerics::softmax::exp_table;

use crate::equalize::give_back;
use crate::error::QuantizeError;
use crate::fit::{Fitted, Input, Target, measure};
use crate::integer::{self, Heads};
use crate::options::Scheme;
use crate::progress::{Progress, step};
use crate::scales::{Context, activation, float_mid};
use crate::watch::Watched;

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

/// Quantizes a watched layer and moves the stream through it. `x` is the float model's input of
/// the layer, `[tokens][hidden]`; `scales` and `zero` are what [`crate::scales::scales`] gives.
pub(crate) fn quantize_layer(
    c: &Context<'_>,
    watched: &Watched,
    x: &[f32],
    stream: &mut Stream,
    (scales, zero): (LayerScales, i32),
    progress: &mut dyn Progress,
) -> Result<Done, QuantizeError> {
    let (float, hidden) = (&watched.float, c.config.hidden);
    let s = &scales;
    let (exp_table, gelu_table) = tables(c.config, s, zero);
    let (scores, context) = attention_factors(c, s)?;

    let input = Input {
        codes: &stream.x8,
        scale: s.x8.into(),
        float: &|t| Ok(rows(x, t, hidden)),
    };
    let qkv = [
        (Linear::Q, &float.q, s.q),
        (Linear::K, &float.k, s.k),
        (Linear::V, &float.v, s.v),
    ];
    let known = measure(c.index, &qkv.map(|m| m.1), &input, c.options)?;
    let fit = |i, (which, float, scale): (Linear, &FloatLinear, f32)| {
        let target = Target {
            which,
            float,
            scale_out: scale.into(),
        };
        known.fit(i, &target, c.options, c.alternatives)
    };
    let qkv = [fit(0, qkv[0])?, fit(1, qkv[1])?, fit(2, qkv[2])?];
    let [q8, k8, v8] = qkv.each_ref().map(|m| run(m, &stream.x8));
    let heads = Heads {
        q: &q8,
        k: &k8,
        v: &v8,
        heads: c.config.heads,
        hidden,
    };
    let context8 = integer::attention(&heads, c.sequences, &exp_table, scores, context);
    step(progress)?;

    let input = Input {
        codes: &context8,
        scale: s.context.into(),
        float: &|t| Ok(rows(&watched.context, t, hidden)),
    };
    let o = fit_alone(c, &input, (Linear::O, &float.o, s.x16))?;
    let scales_of_norm = [s.x16, s.attn16, s.attn8];
    let ln_attn = norm(c, "attention norm", &float.ln_attn, scales_of_norm)?;
    let (attn16, attn8) = integer::add_norm(&stream.x16, &run16(&o, &context8), &ln_attn);
    step(progress)?;

    let ([ffn_in, ffn_out], mid) =
        feed_forward(c, watched, (s, zero), &attn8, &gelu_table, progress)?;
    let ln_out = norm(c, "output norm", &float.ln_out, [s.attn16, s.y16, s.y8])?;
    (stream.x16, stream.x8) = integer::add_norm(&attn16, &run16(&ffn_out, &mid), &ln_out);
    step(progress)?;

    let [q, k, v] = qkv;
    Ok(done(
        [q, k, v, o, ffn_in, ffn_out],
        [ln_attn, ln_out],
        (scores, context),
        (exp_table, gelu_table),
        scales,
    ))
}

/// The two matrices of the feed-forward block on its integer input `attn8`, and the codes between
/// them. `zero` is what the activation's table takes off every code.
fn feed_forward(
    c: &Context<'_>,
    watched: &Watched,
    (s, zero): (&LayerScales, i32),
    attn8: &[i8],
    gelu_table: &[i8; 256],
    progress: &mut dyn Progress,
) -> Result<([Fitted; 2], Vec<i8>), QuantizeError> {
    let float = &watched.float;
    let input = Input {
        codes: attn8,
        scale: s.attn8.into(),
        float: &|t| Ok(rows(&watched.attn_norm, t, c.config.hidden)),
    };
    let ffn_in = fit_alone(c, &input, (Linear::FfnIn, &float.ffn_in, s.gelu_in))?;
    let mut mid = run(&ffn_in, attn8);
    integer::activate(&mut mid, gelu_table);
    step(progress)?;

    let offset = (f64::from(zero) * f64::from(s.mid)) as f32;
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
        scale: s.mid.into(),
        float: &float_mid,
    };
    let ffn_out = fit_alone(c, &input, (Linear::FfnOut, &float_ffn_out, s.attn16))?;
    Ok(([ffn_in, ffn_out], mid))
}

/// Fits a matrix that shares its input with no other, to the scale of its output.
fn fit_alone(
    c: &Context<'_>,
    input: &Input<'_>,
    (which, float, scale_out): (Linear, &FloatLinear, f32),
) -> Result<Fitted, QuantizeError> {
    let target = Target {
        which,
        float,
        scale_out: scale_out.into(),
    };
    let known = measure(c.index, &[float], input, c.options)?;
    known.fit(0, &target, c.options, c.alternatives)
}

fn run(f: &Fitted, x: &[i8]) -> Vec<i8> {
    integer::linear(&f.linear, x, Requant::apply_i8)
}

fn run16(f: &Fitted, x: &[i8]) -> Vec<i16> {
    integer::linear(&f.linear, x, Requant::apply_i16)
}

/// The rows of `tokens` of `values` `[tokens][width]`.
fn rows(values: &[f32], tokens: Range<usize>, width: usize) -> Vec<f32> {
    values
        .get(tokens.start * width..tokens.end * width)
        .unwrap_or_default()
        .to_vec()
}

/// A layer of the six matrices in their order, and its twin in 4 bits if all of them have one.
fn done(
    fitted: [Fitted; 6],
    [ln_attn, ln_out]: [LayerNormParams; 2],
    (scores, context): (Requant, Requant),
    (exp_table, gelu_table): ([u16; 256], [i8; 256]),
    scales: LayerScales,
) -> Done {
    let figures = fitted
        .each_ref()
        .map(|f| (f.bits.count(), f.weight_sqnr_db, f.mean_clip))
        .to_vec();
    let [q, k, v, o, ffn_in, ffn_out] = fitted;
    let layer = QuantizedLayer {
        q: q.linear,
        k: k.linear,
        v: v.linear,
        o: o.linear,
        ffn_in: ffn_in.linear,
        ffn_out: ffn_out.linear,
        scores,
        context,
        exp_table,
        gelu_table,
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
    Done {
        layer,
        alternative,
        figures,
    }
}

/// Exponential and activation tables, `zero` taken off every code of the second.
pub(crate) fn tables(
    config: &ModelConfig,
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
    scales: [f32; 3],
) -> Result<LayerNormParams, QuantizeError> {
    let n = c.config.hidden;
    let eps = f64::from(float.eps());
    let [input, y16, y8] = scales.map(f64::from);
    layernorm::quantize(float.gamma(), float.beta(), eps, n, input, y16, y8).map_err(|source| {
        QuantizeError::LayerNorm {
            layer: c.index,
            norm: name,
            source,
        }
    })
}
