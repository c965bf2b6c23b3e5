//! The drain: requantization in 64-bit integers, and results in the words of a slab.

use std::arch::aarch64::*;

use fqbert_numerics::requant::{Requant, effective_shift};

use super::registers::load_sums;
use crate::kernels::vector::detect::assert_neon;
use crate::kernels::vector::octet::{OCTET, RowSums};
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

#[target_feature(enable = "neon")]
fn drain_rows(place: &Slab<'_>, scale: &Scale, sums: &[RowSums], slab: &mut [u8]) {
    for (row, RowSums(sums)) in sums.iter().enumerate() {
        let wide = scale.apply(sums);
        // Results of 8 bits are in -127..=127.
        let narrow = vreinterpret_u8_s8(vmovn_s16(wide));
        match place.format {
            Format::Act => {
                slab[row * OCTET..][..OCTET].copy_from_slice(&bytes(narrow));
            }
            Format::Gelu(table) => {
                slab[row * OCTET..][..OCTET].copy_from_slice(&bytes(look_up(table, narrow)));
            }
            Format::Res => {
                let mut results = [0i16; OCTET];
                // SAFETY: the array is a vector.
                unsafe { vst1q_s16(results.as_mut_ptr(), wide) };
                for (word, two) in results.as_chunks::<2>().0.iter().enumerate() {
                    let at = (word * place.rows + row) * 4;
                    slab[at..at + 2].copy_from_slice(&two[0].to_le_bytes());
                    slab[at + 2..at + 4].copy_from_slice(&two[1].to_le_bytes());
                }
            }
            Format::Scores => {
                for (word, two) in bytes(narrow).as_chunks::<2>().0.iter().enumerate() {
                    let at = (word * place.rows + row) * 2;
                    slab[at..at + 2].copy_from_slice(two);
                }
            }
        }
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn bytes(v: uint8x8_t) -> [u8; 8] {
    let mut out = [0; 8];
    // SAFETY: the array is a vector.
    unsafe { vst1_u8(out.as_mut_ptr(), v) };
    out
}

/// Entry `code + 128` of the table for each code.
#[target_feature(enable = "neon")]
#[inline]
fn look_up(table: &[u8; 256], codes: uint8x8_t) -> uint8x8_t {
    // SAFETY: a quarter of the table is four vectors.
    let quarter = |at: usize| unsafe { vld1q_u8_x4(table.as_ptr().add(64 * at)) };
    let index = veor_u8(codes, vdup_n_u8(0x80));
    let step = vdup_n_u8(64);
    // An index beyond a quarter leaves what is there.
    let mut found = vqtbl4_u8(quarter(0), index);
    let mut left = index;
    for at in 1..4 {
        left = vsub_u8(left, step);
        found = vqtbx4_u8(found, quarter(at), left);
    }
    found
}
