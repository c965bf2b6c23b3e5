//! One linear layer, or several on the same input: float weights to codes, biases and factors.

use fqbert_checkpoint::FloatLinear;
use fqbert_contract::geometry::Mode;
use fqbert_model::{Linear, QuantizedLinear};
use fqbert_numerics::requant::Requant;

use crate::error::QuantizeError;
use crate::options::{QuantizeOptions, Rounding, Scheme, WeightBits};
use crate::weights::{Coded, Moments, Residual, compensate, per_channel, per_tensor};

/// Tokens whose products are taken in f32 before they are added in f64.
const TOKENS: usize = 512;
/// Biases are kept below this many steps by raising the channel's weight scale, half of what the
/// requantization holds (docs/numerics.md, section 3).
const BIAS_ROOM: f64 = (1u32 << 25) as f64;
/// What the requantization holds.
const BIAS_LIMIT: f64 = (1u32 << 26) as f64 - 1.0;
/// Least ratio of an accumulator step to an output step: finer is of no use and costs bits of the
/// multiplier.
const FINEST: f64 = 1.0 / (1u32 << 20) as f64;

/// A linear layer to be fitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) which: Linear,
    pub(crate) float: &'a FloatLinear,
    /// Scale of its output.
    pub(crate) scale_out: f64,
}

/// The input that the layers share.
pub(crate) struct Input<'a> {
    /// Codes that the quantized stages before give, `[tokens][inputs]`.
    pub(crate) codes: &'a [i8],
    /// Their scale.
    pub(crate) scale: f64,
    /// The float model's values at tokens of a range.
    pub(crate) float: &'a dyn Fn(std::ops::Range<usize>) -> Result<Vec<f32>, QuantizeError>,
}

/// A fitted layer and what the report says of its weights.
#[derive(Debug)]
pub(crate) struct Fitted {
    pub(crate) linear: QuantizedLinear,
    /// The same in 4 bits, if that was wanted too.
    pub(crate) four: Option<QuantizedLinear>,
    pub(crate) bits: WeightBits,
    pub(crate) weight_sqnr_db: f64,
    pub(crate) mean_clip: f64,
}

/// What calibration says of an input and of the layers that take it.
pub(crate) struct Known {
    layer: usize,
    scale_in: f64,
    moments: Moments,
    /// Of each layer, for compensation only.
    residuals: Vec<Residual>,
}

/// Measures an input and the residuals of the layers on it.
pub(crate) fn measure(
    layer: usize,
    floats: &[&FloatLinear],
    input: &Input<'_>,
    options: &QuantizeOptions,
) -> Result<Known, QuantizeError> {
    let k = floats.first().map_or(0, |f| f.inputs());
    let compensated = options.rounding == Rounding::Compensated;
    let mut moments = Moments::new(k, compensated);
    let mut residuals: Vec<Residual> = floats
        .iter()
        .filter(|_| compensated)
        .map(|f| Residual::new(f.outputs(), k))
        .collect();
    for (chunk, codes) in input.codes.chunks(TOKENS * k.max(1)).enumerate() {
        let x: Vec<f32> = codes
            .iter()
            .map(|c| (f64::from(*c) * input.scale) as f32)
            .collect();
        moments.add(&x);
        if !compensated {
            continue;
        }
        let start = chunk * TOKENS;
        let mut difference = (input.float)(start..start + x.len() / k.max(1))?;
        difference.iter_mut().zip(&x).for_each(|(d, x)| *d -= x);
        for (float, residual) in floats.iter().zip(&mut residuals) {
            // W * difference + b, of which only the product is wanted.
            let mut r = float
                .apply(&difference)
                .map_err(|source| QuantizeError::Shape { layer, source })?;
            for row in r.chunks_exact_mut(float.outputs().max(1)) {
                row.iter_mut().zip(float.bias()).for_each(|(r, b)| *r -= b);
            }
            residual.add(&r, &x, k);
        }
    }
    Ok(Known {
        layer,
        scale_in: input.scale,
        moments,
        residuals,
    })
}

impl Known {
    /// Fits the layer that was number `index` of those measured; `four` whether it is wanted in 4
    /// bits beside.
    pub(crate) fn fit(
        &self,
        index: usize,
        target: &Target<'_>,
        options: &QuantizeOptions,
        four: bool,
    ) -> Result<Fitted, QuantizeError> {
        let bits = options.weight_bits(self.layer, target.which);
        let mut fitted = self.fit_bits(index, target, options, bits)?;
        if four {
            let other = self.fit_bits(index, target, options, WeightBits::Four)?;
            fitted.four = Some(other.linear);
        }
        Ok(fitted)
    }

    fn fit_bits(
        &self,
        index: usize,
        target: &Target<'_>,
        options: &QuantizeOptions,
        bits: WeightBits,
    ) -> Result<Fitted, QuantizeError> {
        let (limit, w) = (bits.limit(), target.float.weight());
        let fine = target.scale_out * FINEST / self.scale_in;
        let floor = |least: f64| (least as f32).max(f32::MIN_POSITIVE);
        let (coded, correction) = if options.scheme == Scheme::Paper {
            (
                per_tensor(w, target.float.outputs(), floor(fine), limit),
                None,
            )
        } else {
            let room = |b: &f32| f64::from(b.abs()) / (self.scale_in * BIAS_ROOM);
            let floors: Vec<f32> = target
                .float
                .bias()
                .iter()
                .map(|b| floor(room(b).max(fine)))
                .collect();
            match self.residuals.get(index) {
                Some(residual) => {
                    let (coded, bias) = compensate(w, &self.moments, residual, &floors, limit);
                    (coded, Some(bias))
                }
                None => (per_channel(w, &self.moments.second(), &floors, limit), None),
            }
        };
        assemble(
            self.layer,
            target,
            self.scale_in,
            coded,
            correction,
            bits,
            options.scheme,
        )
    }
}

/// Codes and scales to the layer that the accelerator runs.
fn assemble(
    layer: usize,
    target: &Target<'_>,
    scale_in: f64,
    coded: Coded,
    correction: Option<Vec<f64>>,
    bits: WeightBits,
    scheme: Scheme,
) -> Result<Fitted, QuantizeError> {
    let (n, k) = (target.float.outputs(), target.float.inputs());
    let mut params = Vec::with_capacity(n);
    for (channel, (bias, scale)) in target.float.bias().iter().zip(&coded.scales).enumerate() {
        let correction = correction
            .as_ref()
            .and_then(|c| c.get(channel))
            .copied()
            .unwrap_or(0.0);
        let bias = f64::from(*bias) + correction;
        let step = scale_in * f64::from(*scale);
        let steps = (bias / step).round_ties_even();
        if steps.is_nan() || steps.abs() > BIAS_LIMIT {
            let linear = target.which.name();
            return Err(QuantizeError::Bias {
                layer,
                linear,
                channel,
                bias,
                steps,
                step,
            });
        }
        let factor = step / target.scale_out;
        let requant = match scheme {
            Scheme::Paper => Requant::from_scale_8bit(factor, steps as i32),
            Scheme::W4A8 | Scheme::W8A8 => Requant::from_scale(factor, steps as i32),
        };
        let requant = requant.map_err(|source| QuantizeError::Factor {
            layer,
            what: format!("{} channel {channel}", target.which.name()),
            source,
        })?;
        params.push(requant);
    }
    let weight_sqnr_db = weight_sqnr(target.float.weight(), &coded, k);
    let mean_clip = coded.clips.iter().map(|c| f64::from(*c)).sum::<f64>() / n.max(1) as f64;
    let mut scales = coded.scales;
    if scheme == Scheme::Paper {
        scales.truncate(1);
    }
    let mode = match bits {
        WeightBits::Four => Mode::W4,
        WeightBits::Eight => Mode::W8,
    };
    let linear = QuantizedLinear::new(mode, n, k, &coded.codes, params, scales)?;
    Ok(Fitted {
        linear,
        four: None,
        bits,
        weight_sqnr_db,
        mean_clip,
    })
}

/// Of the codes against the checkpoint's weights, in dB.
fn weight_sqnr(w: &[f32], coded: &Coded, k: usize) -> f64 {
    let rows = w
        .chunks_exact(k.max(1))
        .zip(coded.codes.chunks_exact(k.max(1)));
    let (mut signal, mut noise) = (0.0, 0.0);
    for ((w, codes), scale) in rows.zip(&coded.scales) {
        for (w, code) in w.iter().zip(codes) {
            let (w, code) = (f64::from(*w), f64::from(*code) * f64::from(*scale));
            signal += w * w;
            noise += (w - code) * (w - code);
        }
    }
    crate::report::decibels(signal, noise)
}
