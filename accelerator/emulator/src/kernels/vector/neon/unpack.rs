//! Weights as the dot products take them, signed bytes, a line a word.
//!
//! - Whole: 8 terms of each channel, for products that take a channel at a time.
//! - In halves: terms 0..4 of all channels, then terms 4..8, for products of four terms a lane.

use std::arch::aarch64::*;

use crate::kernels::vector::detect::assert_neon;
use crate::kernels::vector::octet::{Line, Octet};

/// 4-bit weights, whole.
pub fn whole4(weights: &Octet<'_>, lines: &mut [Line]) {
    assert_neon();
    // SAFETY: NEON was detected above.
    unsafe { each(weights, lines, |weights, chunk| nibbles(weights, chunk)) };
}

/// 4-bit weights in halves.
pub fn halves4(weights: &Octet<'_>, lines: &mut [Line]) {
    assert_neon();
    // SAFETY: NEON was detected above.
    unsafe {
        each(weights, lines, |weights, chunk| {
            halve(nibbles(weights, chunk))
        })
    };
}

/// 8-bit codes, whole: as they lie.
pub fn whole8(weights: &Octet<'_>, lines: &mut [Line]) {
    for (chunk, line) in lines.iter_mut().enumerate() {
        line.0 = weights.places(chunk);
    }
}

/// 8-bit codes in halves.
pub fn halves8(weights: &Octet<'_>, lines: &mut [Line]) {
    assert_neon();
    // SAFETY: NEON was detected above.
    unsafe {
        each(weights, lines, |weights, chunk| {
            halve(codes(weights, chunk))
        })
    };
}

#[target_feature(enable = "neon")]
fn each(
    weights: &Octet<'_>,
    lines: &mut [Line],
    word: impl Fn(&Octet<'_>, usize) -> [int8x16_t; 4],
) {
    for (chunk, line) in lines.iter_mut().enumerate() {
        for (target, v) in line
            .0
            .as_chunks_mut::<16>()
            .0
            .iter_mut()
            .zip(word(weights, chunk))
        {
            // SAFETY: the target is 16 bytes.
            unsafe { vst1q_s8(target.as_mut_ptr().cast(), v) };
        }
    }
}

/// Two channels of 8 terms a vector.
#[target_feature(enable = "neon")]
#[inline]
fn nibbles(weights: &Octet<'_>, chunk: usize) -> [int8x16_t; 4] {
    let pairs: [u8; 32] = weights.places(chunk);
    // SAFETY: 32 bytes are two vectors.
    let pairs = unsafe { [vld1q_u8(pairs.as_ptr()), vld1q_u8(pairs.as_ptr().add(16))] };
    let [[a, b], [c, d]] = pairs.map(|pair| {
        let byte = vreinterpretq_s8_u8(pair);
        let even = vshrq_n_s8::<4>(vshlq_n_s8::<4>(byte));
        // The one code that leaves the packed multiplier's pre-adder and counts as +8:
        // `fqbert_numerics::packed::unpack_pair`.
        let wraps = vceqq_u8(vandq_u8(pair, vdupq_n_u8(0xf8)), vdupq_n_u8(0x88));
        let odd = vbslq_s8(wraps, vdupq_n_s8(8), vshrq_n_s8::<4>(byte));
        let (even, odd) = (vreinterpretq_s64_s8(even), vreinterpretq_s64_s8(odd));
        [
            vreinterpretq_s8_s64(vzip1q_s64(even, odd)),
            vreinterpretq_s8_s64(vzip2q_s64(even, odd)),
        ]
    });
    [a, b, c, d]
}

#[target_feature(enable = "neon")]
#[inline]
fn codes(weights: &Octet<'_>, chunk: usize) -> [int8x16_t; 4] {
    let codes: [u8; 64] = weights.places(chunk);
    // SAFETY: 64 bytes are four vectors.
    std::array::from_fn(|i| unsafe { vld1q_s8(codes.as_ptr().add(16 * i).cast()) })
}

#[target_feature(enable = "neon")]
#[inline]
fn halve(whole: [int8x16_t; 4]) -> [int8x16_t; 4] {
    let [a, b, c, d] = whole.map(|v| vreinterpretq_s32_s8(v));
    [
        vuzp1q_s32(a, b),
        vuzp1q_s32(c, d),
        vuzp2q_s32(a, b),
        vuzp2q_s32(c, d),
    ]
    .map(|v| vreinterpretq_s8_s32(v))
}
