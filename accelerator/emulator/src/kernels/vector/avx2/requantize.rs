//! Requantization, exact in f64.
//!
//! `acc + bias` clamped to 27 bits times a 16-bit multiplier is 43 bits, a power of two scales it,
//! and one half added to a number of at most 40 fraction bits keeps it within 53 bits. Where no sum
//! can reach 27 bits and no factor is large, as in every model, the clamps fall away and bias and
//! rounding join in one constant: `bias * factor + 1/2` has at most 48 bits, or 41 below the point.

use std::arch::x86_64::*;

use fqbert_numerics::requant::{Requant, effective_shift};

use super::registers::load_four;
use crate::kernels::vector::octet::OCTET;

/// Largest bias of the short form: it and a dot product below 2^25 stay within 27 bits.
const SMALL_BIAS: i64 = 1 << 25;
/// Largest factor whose product with 27 bits stays within i32.
const SMALL_FACTOR: f64 = 16.0;

/// Requantization of an octet in f64.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub bias: [[f64; 4]; 2],
    /// `multiplier * 2^-shift`.
    pub factor: [[f64; 4]; 2],
    /// `bias * factor + 1/2`.
    pub offset: [[f64; 4]; 2],
    /// No clamp but the last one can act.
    pub simple: bool,
    /// Largest magnitude of a result.
    limit: i16,
}

impl Scale {
    /// Takes the records of the channels from place `start` of an octet on, whose sums are at most
    /// `largest` in magnitude.
    pub fn new(params: &[Requant], start: usize, largest: i64, limit: i16) -> Self {
        let mut scale = Self {
            bias: [[0.0; 4]; 2],
            factor: [[0.0; 4]; 2],
            offset: [[0.0; 4]; 2],
            simple: largest + SMALL_BIAS < 1 << 26,
            limit,
        };
        for (place, p) in (start..OCTET).zip(params) {
            let (half, lane) = (place / 4, place % 4);
            let bias = f64::from(p.bias);
            let power = f64::from_bits(u64::from(1023 - effective_shift(p.shift)) << 52);
            let factor = f64::from(p.multiplier) * power;
            scale.bias[half][lane] = bias;
            scale.factor[half][lane] = factor;
            scale.offset[half][lane] = bias * factor + 0.5;
            scale.simple &= i64::from(p.bias).abs() <= SMALL_BIAS && factor <= SMALL_FACTOR;
        }
        scale
    }

    /// Eight sums to eight 16-bit results.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    pub fn apply(&self, acc: __m256i) -> __m128i {
        let halves = [
            _mm256_castsi256_si128(acc),
            _mm256_extracti128_si256::<1>(acc),
        ];
        let [low, high] = if self.simple {
            [
                simple_four(halves[0], self, 0),
                simple_four(halves[1], self, 1),
            ]
        } else {
            [any_four(halves[0], self, 0), any_four(halves[1], self, 1)]
        };
        let limit = _mm_set1_epi16(self.limit);
        let least = _mm_set1_epi16(-self.limit);
        _mm_max_epi16(_mm_min_epi16(_mm_packs_epi32(low, high), limit), least)
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn simple_four(acc: __m128i, scale: &Scale, half: usize) -> __m128i {
    let (factor, offset) = (
        load_four(&scale.factor[half]),
        load_four(&scale.offset[half]),
    );
    let y = _mm256_fmadd_pd(_mm256_cvtepi32_pd(acc), factor, offset);
    _mm256_cvttpd_epi32(_mm256_floor_pd(y))
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn any_four(acc: __m128i, scale: &Scale, half: usize) -> __m128i {
    let (least, most) = (_mm256_set1_pd(-67_108_864.0), _mm256_set1_pd(67_108_863.0));
    let v = _mm256_add_pd(_mm256_cvtepi32_pd(acc), load_four(&scale.bias[half]));
    let v = _mm256_max_pd(_mm256_min_pd(v, most), least);
    let y = _mm256_fmadd_pd(v, load_four(&scale.factor[half]), _mm256_set1_pd(0.5));
    let y = _mm256_floor_pd(y);
    let (least, most) = (_mm256_set1_pd(-32768.0), _mm256_set1_pd(32767.0));
    _mm256_cvttpd_epi32(_mm256_max_pd(_mm256_min_pd(y, most), least))
}
