//! One row: its statistics, and what becomes of each element.

use super::rsqrt::rsqrt;
use crate::requant::{effective_shift, rshift, sat8, sat16, sat27};

/// Smallest hidden size of a layer norm.
pub(super) const N_MIN: usize = 8;
/// Largest hidden size of a layer norm.
pub const N_MAX: usize = 4096;
/// The hidden size is a multiple of this.
pub(super) const N_STEP: usize = 8;
/// Fraction bits of a normalised value.
pub(super) const Z_FRACTION_BITS: u32 = 11;

/// Bits of the reciprocal of N that the accelerator reads.
const INV_BITS: u32 = 21;
/// The normalised value fits the 18-bit port of a DSP48E2 symmetrically.
const Z_MAX: i64 = (1 << 17) - 1;
/// The mean times 16 is held in 20 bits.
const MU_MAX: i64 = (1 << 19) - 1;

/// Parameters of one layer norm; [`quantize`](super::quantize) makes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LayerNormParams {
    /// Per channel, scale `s_gamma`.
    pub gamma: Vec<i8>,
    /// Per channel, scale `s_gamma * 2^-11`.
    pub beta: Vec<i32>,
    /// `round(2^(q+4) / N)`, 2^20..2^21; the accelerator reads 21 bits.
    pub inv: u32,
    /// 19..=28; the accelerator reads it as a shift of section 3.
    pub q: u8,
    /// `eps * N^2 / s_in^2`, at least 1.
    pub eps: u32,
    /// Multiplier to the scale of the next residual add.
    pub m16: u16,
    /// Shift of `m16`.
    pub s16: u8,
    /// Multiplier from there to the scale of the next activation.
    pub m8: u16,
    /// Shift of `m8`.
    pub s8: u8,
}

/// What a row contributes to each of its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowStatistics {
    /// `N * sum of squares - sum^2 + eps`: N^2 times the variance plus eps, below 2^54.
    pub variance: i64,
    /// The mean times 16, 20 bits signed.
    pub mu: i64,
    /// Reciprocal deviation, 2^14..2^16.
    pub rho: i64,
    /// Shift of `(16 * x - mu) * rho`, 1..=23.
    pub shift: u32,
}

impl RowStatistics {
    /// Mean and reciprocal deviation of a row.
    ///
    /// # Panics
    /// If the row has no or more than [`N_MAX`] elements.
    pub fn of(x: &[i16], inv: u32, q: u8, eps: u32) -> Self {
        assert!(
            (1..=N_MAX).contains(&x.len()),
            "row of {} elements, 1 to {N_MAX}",
            x.len()
        );
        let sum = x.iter().map(|&x| i64::from(x)).sum();
        let squares = x.iter().map(|&x| i64::from(x) * i64::from(x)).sum();
        Self::of_sums(x.len(), sum, squares, inv, q, eps)
    }

    /// The same, of `n` elements with these sums of themselves and of their squares.
    pub fn of_sums(n: usize, sum: i64, squares: i64, inv: u32, q: u8, eps: u32) -> Self {
        let n = n as i64;
        let variance = n * squares - sum * sum + i64::from(eps);

        // One 48-bit P register; parameters that belong to N never wrap it.
        let q = effective_shift(q);
        let product = sum * i64::from(inv & ((1 << INV_BITS) - 1)) + (1 << (q - 1));
        let mu = (((product << 16) >> 16) >> q).clamp(-MU_MAX, MU_MAX);

        let (r, k) = rsqrt(variance as u64);
        let bits = n.ilog2() + 1;
        let rho = rshift(n * i64::from(r), bits);
        let shift = (16 + k - bits as i32).max(1) as u32;
        Self {
            variance,
            mu,
            rho,
            shift,
        }
    }

    /// The normalised value of one element, 11 fraction bits, 18 bits signed.
    pub fn normalise(&self, x: i16) -> i64 {
        let centred = 16 * i64::from(x) - self.mu;
        rshift(centred * self.rho, self.shift).clamp(-Z_MAX, Z_MAX)
    }
}

/// Normalises one row: `y16` at the scale of the next residual add, `y8` at that of the next
/// activation.
///
/// Total over values: parameters that the model reader would refuse (`q`, `s16`, `s8` outside
/// their range, `inv` that is not that of N, `eps` of 0) are taken as the document says.
///
/// # Panics
/// If the slices and the parameters differ in length, or it is 0 or more than [`N_MAX`].
pub fn layernorm_row(x: &[i16], p: &LayerNormParams, y16: &mut [i16], y8: &mut [i8]) {
    let n = x.len();
    assert!(
        [p.gamma.len(), p.beta.len(), y16.len(), y8.len()] == [n; 4],
        "a row of {n} with {} gammas, {} betas and outputs of {} and {}",
        p.gamma.len(),
        p.beta.len(),
        y16.len(),
        y8.len()
    );
    let row = RowStatistics::of(x, p.inv, p.q, p.eps);
    let (s16, s8) = (effective_shift(p.s16), effective_shift(p.s8));
    for c in 0..n {
        let z = row.normalise(x[c]);
        let h = sat27(z * i64::from(p.gamma[c]) + i64::from(p.beta[c]));
        y16[c] = sat16(rshift(h * i64::from(p.m16), s16));
        y8[c] = sat8(rshift(i64::from(y16[c]) * i64::from(p.m8), s8));
    }
}
