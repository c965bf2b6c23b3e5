//! Layer norm of a row in f64, four elements at a time.
//!
//! Every product and rounding of `docs/numerics.md`, section 7, is exact in f64: the widest value is the 43-bit product of requantization, a
//! power of two only moves its point (at most 40 places), and one half added to it stays within 53 bits. So `floor(v * 2^-s + 1/2)` is the
//! rounding shift.

use fqbert_numerics::layernorm::{LayerNormParams, RowStatistics};
use fqbert_numerics::requant::effective_shift;

use super::assert_detected;

/// Parameters of a layer norm in f64.
#[derive(Debug)]
pub struct NormScales {
    gamma: Vec<f64>,
    beta: Vec<f64>,
    /// `m16 * 2^-s16` and `m8 * 2^-s8`.
    wide: f64,
    narrow: f64,
    inv: u32,
    q: u8,
    eps: u32,
}

impl NormScales {
    /// The same parameters, converted once for all rows.
    pub fn new(p: &LayerNormParams) -> Self {
        let factor = |multiplier: u16, shift: u8| {
            f64::from(multiplier) / (1u64 << effective_shift(shift)) as f64
        };
        Self {
            gamma: p.gamma.iter().map(|g| f64::from(*g)).collect(),
            beta: p.beta.iter().map(|b| f64::from(*b)).collect(),
            wide: factor(p.m16, p.s16),
            narrow: factor(p.m8, p.s8),
            inv: p.inv,
            q: p.q,
            eps: p.eps,
        }
    }
}

/// Residual add of `branch` to `stream`, and `fqbert_numerics::layernorm::layernorm_row` of the sum.
pub fn layer_norm_row(
    stream: &mut [i16],
    branch: &[i16],
    p: &NormScales,
    y16: &mut [i16],
    y8: &mut [i8],
) {
    assert_detected();
    // SAFETY: AVX2 was detected above.
    unsafe { row(stream, branch, p, y16, y8) }
}

#[target_feature(enable = "avx2")]
fn row(x: &mut [i16], branch: &[i16], p: &NormScales, y16: &mut [i16], y8: &mut [i8]) {
    for (x, b) in x.iter_mut().zip(branch) {
        *x = x.saturating_add(*b).max(-i16::MAX);
    }
    let x: &[i16] = x;
    let statistics = RowStatistics::of(x, p.inv, p.q, p.eps);
    let mu = statistics.mu as f64;
    let rho = statistics.rho as f64 / (1u64 << statistics.shift) as f64;
    let elements = x.iter().zip(&p.gamma).zip(&p.beta).zip(y16).zip(y8);
    for ((((x, gamma), beta), y16), y8) in elements {
        let z = clamp(
            round((16.0 * f64::from(*x) - mu) * rho),
            -131_071.0,
            131_071.0,
        );
        let h = clamp(z * gamma + beta, -67_108_864.0, 67_108_863.0);
        let wide = clamp(round(h * p.wide), -32767.0, 32767.0);
        let narrow = clamp(round(wide * p.narrow), -127.0, 127.0);
        // SAFETY: both are whole numbers between the bounds above, never NaN.
        (*y16, *y8) = unsafe {
            (
                wide.to_int_unchecked::<i32>() as i16,
                narrow.to_int_unchecked::<i32>() as i8,
            )
        };
    }
}

/// Half up.
#[inline(always)]
fn round(v: f64) -> f64 {
    (v + 0.5).floor()
}

/// One `vmaxpd` and one `vminpd`, which `f64::clamp` with its NaN is not.
#[inline(always)]
fn clamp(v: f64, least: f64, most: f64) -> f64 {
    let v = if v > least { v } else { least };
    if v < most { v } else { most }
}
