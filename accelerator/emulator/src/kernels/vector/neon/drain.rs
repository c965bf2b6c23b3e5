//! The drain: requantization in 64-bit integers, and results in the words of a slab.

use std::arch::aarch64::*;

use fqbert_numerics::requant::{Requant, effective_shift};

use super::registers::load_sums;
use crate::kernels::vector::detect::assert_neon;
use crate::kernels::vector::octet::{OCTET, QUAD, RowSums};
use crate::kernels::vector::slab::{Format, Slab};

/// Requantization of an octet.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    bias: [i32; OCTET],
    multiplier: [i32; OCTET],
    /// Negative: `srshl` shifts to the left.
    shift: [i64; OCTET],
    /// Largest magnitude of a result.
    limit: i16,
}

impl Scale {
    /// Takes the records of the channels from place `start` of an octet on.
    pub fn new(params: &[Requant], start: usize, _largest: i64, limit: i16) -> Self {
        let mut scale = Self {
            bias: [0; OCTET],
            multiplier: [0; OCTET],
            shift: [-1; OCTET],
            limit,
        };
        for (place, p) in (start..OCTET).zip(params) {
            scale.bias[place] = p.bias;
            scale.multiplier[place] = p.multiplier.into();
            scale.shift[place] = -i64::from(effective_shift(p.shift));
        }
        scale
    }

    /// Four rows' sums to 16-bit results. Written out: `map` of an array stays a call.
    #[target_feature(enable = "neon")]
    #[inline]
    fn quad(&self, [a, b, c, d]: &[RowSums; QUAD]) -> [int16x8_t; QUAD] {
        [
            self.apply(&a.0),
            self.apply(&b.0),
            self.apply(&c.0),
            self.apply(&d.0),
        ]
    }

    /// Eight sums to eight 16-bit results.
    #[target_feature(enable = "neon")]
    #[inline]
    fn apply(&self, sums: &[i32; OCTET]) -> int16x8_t {
        let (sums, bias, multiplier) = (
            load_sums(sums),
            load_sums(&self.bias),
            load_sums(&self.multiplier),
        );
        let four = |half: usize| {
            // A sum saturated to 32 bits is beyond 27 bits as well.
            let v = vqaddq_s32(sums[half], bias[half]);
            let v = vminq_s32(v, vdupq_n_s32((1 << 26) - 1));
            let v = vmaxq_s32(v, vdupq_n_s32(-(1 << 26)));
            let low = vmull_s32(vget_low_s32(v), vget_low_s32(multiplier[half]));
            let high = vmull_high_s32(v, multiplier[half]);
            // SAFETY: the shifts are four pairs.
            let shifts = unsafe {
                let from = self.shift.as_ptr().add(4 * half);
                [vld1q_s64(from), vld1q_s64(from.add(2))]
            };
            // Rounded half up, and without overflow: the product has 43 bits.
            let low = vqmovn_s64(vrshlq_s64(low, shifts[0]));
            let high = vqmovn_s64(vrshlq_s64(high, shifts[1]));
            vqmovn_s32(vcombine_s32(low, high))
        };
        let y = vcombine_s16(four(0), four(1));
        let y = vminq_s16(y, vdupq_n_s16(self.limit));
        vmaxq_s16(y, vdupq_n_s16(-self.limit))
    }
}

/// Requantizes and writes the sums of a row tile with an octet of channels.
pub fn drain(place: &Slab<'_>, scale: &Scale, sums: &[RowSums], target: &mut [u8]) {
    assert_neon();
    assert!(sums.len() == place.rows);
    place.fill(target, |slab| {
        // SAFETY: NEON was detected above.
        unsafe { drain_rows(place, scale, sums, slab) };
    });
}

/// Four rows at a time, in a loop for each format.
#[target_feature(enable = "neon")]
fn drain_rows(place: &Slab<'_>, scale: &Scale, sums: &[RowSums], slab: &mut [u8]) {
    match place.format {
        Format::Act => to_rows(scale, sums, slab, |codes| codes),
        Format::Gelu(table) => to_rows(scale, sums, slab, |codes| look_up(table, codes)),
        Format::Res => {
            let word = place.rows * 4;
            for (quad, rows) in sums.as_chunks::<QUAD>().0.iter().enumerate() {
                let wide = scale.quad(rows);
                for (at, rows) in words(wide.map(|v| vreinterpretq_s32_s16(v)))
                    .into_iter()
                    .enumerate()
                {
                    store(slab, at * word + quad * 16, vreinterpretq_u8_s32(rows));
                }
            }
        }
        Format::Scores => {
            let word = place.rows * 2;
            for (quad, rows) in sums.as_chunks::<QUAD>().0.iter().enumerate() {
                let wide = scale.quad(rows);
                // Both codes of a word of a row in the lower half of a lane.
                let codes = wide.map(|v| vmovl_s16(vreinterpret_s16_s8(vmovn_s16(v))));
                let [a, b, c, d] = words(codes).map(|v| vmovn_s32(v));
                let pairs = [vcombine_s16(a, b), vcombine_s16(c, d)].map(|v| bytes(v));
                for (at, rows) in pairs.as_flattened().as_chunks::<8>().0.iter().enumerate() {
                    slab[at * word + quad * 8..][..8].copy_from_slice(rows);
                }
            }
        }
    }
}

/// Rows of 8 codes, one behind the other, each code as `map` makes it.
#[target_feature(enable = "neon")]
#[inline]
fn to_rows(
    scale: &Scale,
    sums: &[RowSums],
    slab: &mut [u8],
    map: impl Fn(uint8x16_t) -> uint8x16_t,
) {
    for (quad, rows) in sums.as_chunks::<QUAD>().0.iter().enumerate() {
        let [a, b, c, d] = scale.quad(rows);
        for (pair, [first, second]) in [[a, b], [c, d]].into_iter().enumerate() {
            // Results of 8 bits are in -127..=127.
            let codes = vmovn_high_s16(vmovn_s16(first), second);
            let at = (quad * QUAD + pair * 2) * OCTET;
            store(slab, at, map(vreinterpretq_u8_s8(codes)));
        }
    }
}

/// Four rows of four words to four words of four rows.
#[target_feature(enable = "neon")]
#[inline]
fn words([a, b, c, d]: [int32x4_t; QUAD]) -> [int32x4_t; 4] {
    let wide = |v| vreinterpretq_s64_s32(v);
    let (even, odd) = (
        [vtrn1q_s32(a, b), vtrn1q_s32(c, d)],
        [vtrn2q_s32(a, b), vtrn2q_s32(c, d)],
    );
    let ([even_a, even_c], [odd_a, odd_c]) = (even.map(wide), odd.map(wide));
    [
        vtrn1q_s64(even_a, even_c),
        vtrn1q_s64(odd_a, odd_c),
        vtrn2q_s64(even_a, even_c),
        vtrn2q_s64(odd_a, odd_c),
    ]
    .map(|v| vreinterpretq_s32_s64(v))
}

/// 16 bytes to a place of a slab.
#[target_feature(enable = "neon")]
#[inline]
fn store(slab: &mut [u8], at: usize, v: uint8x16_t) {
    let target = &mut slab[at..][..16];
    // SAFETY: the target is a vector.
    unsafe { vst1q_u8(target.as_mut_ptr(), v) };
}

#[target_feature(enable = "neon")]
#[inline]
fn bytes(v: int16x8_t) -> [u8; 16] {
    let mut out = [0; 16];
    // SAFETY: the array is a vector.
    unsafe { vst1q_u8(out.as_mut_ptr(), vreinterpretq_u8_s16(v)) };
    out
}

/// Entry `code + 128` of the table for each code.
#[target_feature(enable = "neon")]
#[inline]
fn look_up(table: &[u8; 256], codes: uint8x16_t) -> uint8x16_t {
    // SAFETY: a quarter of the table is four vectors.
    let quarter = |at: usize| unsafe { vld1q_u8_x4(table.as_ptr().add(64 * at)) };
    let index = veorq_u8(codes, vdupq_n_u8(0x80));
    let step = vdupq_n_u8(64);
    // An index beyond a quarter leaves what is there.
    let mut found = vqtbl4q_u8(quarter(0), index);
    let mut left = index;
    for at in 1..4 {
        left = vsubq_u8(left, step);
        found = vqtbx4q_u8(found, quarter(at), left);
    }
    found
}
