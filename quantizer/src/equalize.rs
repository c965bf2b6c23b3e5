//! Evens out the ranges of channels that share one activation scale, where float does not notice.
//!
//! A query channel times t and the same key channel divided by t leave every score as it is; a
//! value channel times u and the columns of the output projection divided by u leave the attention
//! block as it is. With one weight scale for each output channel the first costs the weights
//! nothing at all, and the 8-bit codes of all channels are used alike.

use fqbert_checkpoint::{EncoderLayer, InputError, Linear};

/// Tokens taken at a time.
const TOKENS: usize = 512;
/// Factors are kept within this and its reciprocal: a dead channel shall not blow up its partner.
const LARGEST: f32 = 16.0;
/// Of the difference between value channels, the part that is evened out: the rest would be moved
/// into the columns of the output projection, whose channels then span more.
const VALUE_SHARE: f32 = 0.5;

/// The layer with evened-out channels, judged by inputs `x` `[tokens][hidden]`.
pub(crate) fn equalize(layer: EncoderLayer, x: &[f32]) -> Result<EncoderLayer, InputError> {
    let q = rms(&layer.q, x)?;
    let k = rms(&layer.k, x)?;
    let v = rms(&layer.v, x)?;
    let keys: Vec<f32> = q
        .iter()
        .zip(&k)
        .map(|(q, k)| bounded((q / k).sqrt()))
        .collect();
    let queries: Vec<f32> = keys.iter().map(|t| 1.0 / t).collect();
    let mean = (v.iter().map(|v| v * v).sum::<f32>() / v.len().max(1) as f32).sqrt();
    let values: Vec<f32> = v
        .iter()
        .map(|v| bounded((mean / v).powf(VALUE_SHARE)))
        .collect();
    Ok(EncoderLayer {
        q: scale_outputs(&layer.q, &queries)?,
        k: scale_outputs(&layer.k, &keys)?,
        v: scale_outputs(&layer.v, &values)?,
        o: scale_inputs(&layer.o, &values)?,
        ..layer
    })
}

/// A factor that can be used; 1 where there was nothing to compare.
fn bounded(t: f32) -> f32 {
    if t.is_finite() && t > 0.0 {
        t.clamp(1.0 / LARGEST, LARGEST)
    } else {
        1.0
    }
}

/// Root of the mean square of each output.
fn rms(linear: &Linear, x: &[f32]) -> Result<Vec<f32>, InputError> {
    let mut sums = vec![0.0f64; linear.outputs()];
    for x in x.chunks(TOKENS * linear.inputs().max(1)) {
        let y = linear.apply(x)?;
        for row in y.chunks_exact(sums.len().max(1)) {
            sums.iter_mut()
                .zip(row)
                .for_each(|(s, v)| *s += f64::from(*v) * f64::from(*v));
        }
    }
    let tokens = x.len().checked_div(linear.inputs()).unwrap_or(0).max(1) as f64;
    Ok(sums
        .into_iter()
        .map(|s| (s / tokens).sqrt() as f32)
        .collect())
}

fn scale_outputs(linear: &Linear, factors: &[f32]) -> Result<Linear, InputError> {
    let k = linear.inputs().max(1);
    let rows = linear.weight().chunks_exact(k).zip(factors);
    let weight = rows
        .flat_map(|(row, f)| row.iter().map(move |w| w * f))
        .collect();
    let bias = linear
        .bias()
        .iter()
        .zip(factors)
        .map(|(b, f)| b * f)
        .collect();
    Linear::new(weight, bias, linear.inputs())
}

/// Divides the columns, for inputs that come multiplied.
fn scale_inputs(linear: &Linear, factors: &[f32]) -> Result<Linear, InputError> {
    let rows = linear.weight().chunks_exact(linear.inputs().max(1));
    let weight = rows
        .flat_map(|row| row.iter().zip(factors).map(|(w, f)| w / f))
        .collect();
    Linear::new(weight, linear.bias().to_vec(), linear.inputs())
}
