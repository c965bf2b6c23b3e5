//! Loads of NEON registers, and the sums of rows to where they belong.

use std::arch::aarch64::*;

use crate::kernels::vector::dot::Dot;
use crate::kernels::vector::octet::{Line, RowSums};

/// The top bit of every byte flipped if `UNSIGNED`. Of the constant's type, since a question in the
/// loop would be an operation on each vector.
#[target_feature(enable = "neon")]
#[inline]
pub fn signed<const UNSIGNED: bool>(v: int8x16_t) -> int8x16_t {
    if UNSIGNED {
        veorq_s8(v, vdupq_n_s8(-128))
    } else {
        v
    }
}

/// A line of weights.
///
/// # Safety
/// The line can be read.
#[target_feature(enable = "neon")]
#[inline]
pub unsafe fn line(from: *const Line) -> [int8x16_t; 4] {
    let from = from.cast::<i8>();
    // SAFETY: as the caller guarantees; a line is four vectors.
    unsafe {
        [
            vld1q_s8(from),
            vld1q_s8(from.add(16)),
            vld1q_s8(from.add(32)),
            vld1q_s8(from.add(48)),
        ]
    }
}

/// The terms of `PAIRS` pairs of rows, signed.
///
/// # Safety
/// `16 * PAIRS` bytes can be read.
#[target_feature(enable = "neon")]
#[inline]
pub unsafe fn terms<const UNSIGNED: bool, const PAIRS: usize>(
    from: *const u8,
) -> [int8x16_t; PAIRS] {
    std::array::from_fn(|pair| {
        // SAFETY: as the caller guarantees.
        signed::<UNSIGNED>(unsafe { vld1q_s8(from.add(16 * pair).cast()) })
    })
}

#[target_feature(enable = "neon")]
#[inline]
pub fn load_sums(from: &[i32; 8]) -> [int32x4_t; 2] {
    // SAFETY: the array is two vectors.
    unsafe { [vld1q_s32(from.as_ptr()), vld1q_s32(from.as_ptr().add(4))] }
}

/// The sums of rows from `first` on, two vectors a row, less the zero-point corrections.
#[target_feature(enable = "neon")]
#[inline]
pub fn finish(d: &Dot<'_>, first: usize, rows: &[[int32x4_t; 2]], out: &mut [RowSums]) {
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
