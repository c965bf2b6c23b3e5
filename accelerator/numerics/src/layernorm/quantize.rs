//! Float parameters of a layer norm to integers.

use super::row::{LayerNormParams, N_MAX, N_MIN, N_STEP, Z_FRACTION_BITS};
use crate::requant::{Requant, RequantError};
use thiserror::Error;

/// A layer norm that cannot be quantized.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum LayerNormError {
    /// The hidden size is one the accelerator does not take.
    #[error(
        "layer norm over {n} channels: \
         the accelerator takes multiples of {N_STEP} from {N_MIN} to {N_MAX}"
    )]
    Size {
        /// The hidden size asked for.
        n: usize,
    },
    /// gamma or beta has not one value per channel.
    #[error(
        "layer norm over {n} channels has {len} values of {name}: the checkpoint is inconsistent"
    )]
    Length {
        /// `gamma` or `beta`.
        name: &'static str,
        /// Values found.
        len: usize,
        /// Values wanted.
        n: usize,
    },
    /// gamma or beta holds an infinity or a NaN.
    #[error("layer norm {name}[{channel}] is {value}: the checkpoint is damaged or diverged")]
    NotFinite {
        /// `gamma` or `beta`.
        name: &'static str,
        /// The channel.
        channel: usize,
        /// The value.
        value: f32,
    },
    /// A scale is not a finite number above zero, or eps is negative or not finite.
    #[error("layer norm {name} is {value}: it must be finite and {bound}; check the calibration")]
    Scale {
        /// `eps`, `s_in`, `s_res` or `s_y8`.
        name: &'static str,
        /// The value.
        value: f64,
        /// What it must be.
        bound: &'static str,
    },
    /// An output scale is too small for the values.
    #[error("layer norm output {name}: {source}")]
    Output {
        /// `y16` or `y8`.
        name: &'static str,
        /// Which factor, and the largest.
        source: RequantError,
    },
}

/// Quantizes a layer norm of `n` channels.
///
/// `eps` is the float epsilon; `s_in` is the scale of the row that is normalised, `s_res` that of
/// the residual add that takes `y16`, and `s_y8` that of the activation that takes `y8`.
///
/// # Errors
/// See [`LayerNormError`].
pub fn quantize(
    gamma: &[f32],
    beta: &[f32],
    eps: f64,
    n: usize,
    s_in: f64,
    s_res: f64,
    s_y8: f64,
) -> Result<LayerNormParams, LayerNormError> {
    if !(N_MIN..=N_MAX).contains(&n) || !n.is_multiple_of(N_STEP) {
        return Err(LayerNormError::Size { n });
    }
    let max_gamma = max_abs("gamma", gamma, n)?;
    let max_beta = max_abs("beta", beta, n)?;
    if !(eps >= 0.0 && eps.is_finite()) {
        return Err(LayerNormError::Scale {
            name: "eps",
            value: eps,
            bound: "at least 0",
        });
    }
    for (name, value) in [("s_in", s_in), ("s_res", s_res), ("s_y8", s_y8)] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(LayerNormError::Scale {
                name,
                value,
                bound: "above 0",
            });
        }
    }

    // The second bound keeps |beta| <= 2^25 where gamma is all but zero.
    let s_gamma = match (max_gamma / 127.0).max(max_beta * libm::ldexp(1.0, -14)) {
        s if s > 0.0 => s,
        _ => 1.0,
    };
    let z_unit = f64::from(1u32 << Z_FRACTION_BITS);
    let gamma = gamma
        .iter()
        .map(|&g| libm::rint(f64::from(g) / s_gamma) as i8)
        .collect();
    let beta = beta
        .iter()
        .map(|&b| libm::rint(f64::from(b) * z_unit / s_gamma) as i32)
        .collect();

    let (inv, q) = mean_reciprocal(n);
    let n = n as f64;
    let eps = libm::rint(eps * (n * n) / (s_in * s_in)).max(1.0) as u32;

    let output = |name, factor| {
        Requant::from_scale(factor, 0).map_err(|source| LayerNormError::Output { name, source })
    };
    let y16 = output("y16", s_gamma / z_unit / s_res)?;
    let y8 = output("y8", s_res / s_y8)?;
    Ok(LayerNormParams {
        gamma,
        beta,
        inv,
        q,
        eps,
        m16: y16.multiplier,
        s16: y16.shift,
        m8: y8.multiplier,
        s8: y8.shift,
    })
}

/// `(inv, q)` of a row of `n`: `inv = round(2^(q+4) / n)`, 2^20..2^21.
///
/// 0 is taken as 1; a row is at most [`N_MAX`].
pub fn mean_reciprocal(n: usize) -> (u32, u8) {
    let n = n.clamp(1, N_MAX);
    let q = 16 + n.next_power_of_two().ilog2();
    let inv = ((1u64 << (q + 4)) as f64 / n as f64).round_ties_even();
    (inv as u32, q as u8)
}

fn max_abs(name: &'static str, values: &[f32], n: usize) -> Result<f64, LayerNormError> {
    if values.len() != n {
        return Err(LayerNormError::Length {
            name,
            len: values.len(),
            n,
        });
    }
    if let Some(channel) = values.iter().position(|v| !v.is_finite()) {
        return Err(LayerNormError::NotFinite {
            name,
            channel,
            value: values[channel],
        });
    }
    Ok(values
        .iter()
        .fold(0.0, |max: f64, &v| max.max(f64::from(v).abs())))
}
