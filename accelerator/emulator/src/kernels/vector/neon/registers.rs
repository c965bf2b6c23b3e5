//! Loads of NEON registers, and the sums of rows to where they belong.

use std::arch::aarch64::*;

use crate::kernels::vector::dot::Dot;
use crate::kernels::vector::octet::{QUAD, RowSums};

/// The top bit of every byte flipped if `unsigned`.
#[target_feature(enable = "neon")]
#[inline]
pub fn signed(v: int8x16_t, unsigned: bool) -> int8x16_t {
    veorq_s8(v, vdupq_n_s8(if unsigned { -128 } else { 0 }))
}

/// Word `chunk`: a line of weights, and the terms of the rows from `first` on, two rows a vector.
///
/// # Safety
/// `d` has passed its check with a line a word, `chunk < d.chunks` and `first + QUAD <= d.rows`.
#[target_feature(enable = "neon")]
#[inline]
pub unsafe fn word(d: &Dot<'_>, first: usize, chunk: usize) -> ([int8x16_t; 4], [int8x16_t; 2]) {
    // SAFETY: as the caller guarantees, all words of all rows lie inside `a`, and a line for each
    // in `b`.
    unsafe {
        let b: *const i8 = d.b.as_ptr().add(chunk).cast();
        let a: *const i8 = d.a.as_ptr().add(chunk * d.stride + first * 8).cast();
        (
            [
                vld1q_s8(b),
                vld1q_s8(b.add(16)),
                vld1q_s8(b.add(32)),
                vld1q_s8(b.add(48)),
            ],
            [vld1q_s8(a), vld1q_s8(a.add(16))],
        )
    }
}

#[target_feature(enable = "neon")]
#[inline]
pub fn load_sums(from: &[i32; 8]) -> [int32x4_t; 2] {
    // SAFETY: the array is two vectors.
    unsafe { [vld1q_s32(from.as_ptr()), vld1q_s32(from.as_ptr().add(4))] }
}

/// The sums of rows `first..first + QUAD`, two vectors a row, less the zero-point corrections.
#[target_feature(enable = "neon")]
#[inline]
pub fn finish(d: &Dot<'_>, first: usize, rows: &[[int32x4_t; 2]; QUAD], out: &mut [RowSums]) {
    let by_channel = load_sums(&d.channel_corrections.0);
    for (row, halves) in (first..).zip(rows) {
        let by_row = vdupq_n_s32(d.row_corrections[row]);
        let target = &mut out[row].0;
        for half in 0..2 {
            let correction = vaddq_s32(by_channel[half], by_row);
            let sum = vsubq_s32(halves[half], correction);
            // SAFETY: the target is two vectors.
            unsafe { vst1q_s32(target.as_mut_ptr().add(4 * half), sum) };
        }
    }
}
