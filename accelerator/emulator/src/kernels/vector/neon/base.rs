//! Dot products with the base instructions, on whole weights.
//!
//! - 4-bit weights: a product is at most 8 * 128 = 2^10 in magnitude, so 31 of them stay within i16
//!   in the lanes of `smlal`, then `sadalp` widens to i32.
//! - 8-bit codes: a product takes all 16 bits, and each is widened.

use std::arch::aarch64::*;

use super::registers::{finish, signed};
use crate::kernels::vector::detect::assert_neon;
use crate::kernels::vector::dot::Dot;
use crate::kernels::vector::octet::{QUAD, RowSums};

/// Steps of a 16-bit sum, see above.
const STEPS: usize = 31;
/// Channels computed together: with four rows, sixteen sums.
const CHANNELS: usize = 4;

/// Dot products of a row tile with 4-bit weights.
pub fn dot4(d: &Dot<'_>, sums: &mut [RowSums]) {
    each_quad::<STEPS>(d, sums);
}

/// Dot products of a row tile with 8-bit codes.
pub fn dot8(d: &Dot<'_>, sums: &mut [RowSums]) {
    each_quad::<1>(d, sums);
}

fn each_quad<const STEPS: usize>(d: &Dot<'_>, sums: &mut [RowSums]) {
    assert_neon();
    d.check(1, sums);
    for first in (0..d.rows).step_by(QUAD) {
        // SAFETY: NEON was detected, and the operands checked, above; there are QUAD rows from
        // `first` on.
        unsafe {
            let rows = [
                half::<STEPS>(d, first, 0),
                half::<STEPS>(d, first, CHANNELS),
            ];
            let joined = std::array::from_fn(|row| [rows[0][row], rows[1][row]]);
            finish(d, first, &joined, sums);
        }
    }
}

/// Sums of the rows from `first` on with the channels from place `channel` on.
///
/// # Safety
/// `d` has passed its check with a line a word, and `first + QUAD <= d.rows`.
#[target_feature(enable = "neon")]
unsafe fn half<const STEPS: usize>(d: &Dot<'_>, first: usize, channel: usize) -> [int32x4_t; QUAD] {
    let mut sums = [[vdupq_n_s32(0); CHANNELS]; QUAD];
    let mut chunk = 0;
    while chunk < d.chunks {
        let end = (chunk + STEPS).min(d.chunks);
        let mut short = [[vdupq_n_s16(0); CHANNELS]; QUAD];
        while chunk < end {
            // SAFETY: as the caller guarantees, all words of all rows lie inside `a`, and a line
            // for each in `b`.
            let (channels, rows) = unsafe {
                let b: *const i8 = d.b.as_ptr().add(chunk).cast();
                let a: *const i8 = d.a.as_ptr().add(chunk * d.stride + first * 8).cast();
                (
                    [
                        vld1q_s8(b.add(8 * channel)),
                        vld1q_s8(b.add(8 * channel + 16)),
                    ],
                    [vld1q_s8(a), vld1q_s8(a.add(16))],
                )
            };
            let channels = eights(channels);
            let rows = eights(rows.map(|v| signed(v, d.a_unsigned)));
            for row in 0..QUAD {
                for at in 0..CHANNELS {
                    short[row][at] = vmlal_s8(short[row][at], rows[row], channels[at]);
                }
            }
            chunk += 1;
        }
        for row in 0..QUAD {
            for at in 0..CHANNELS {
                sums[row][at] = vpadalq_s16(sums[row][at], short[row][at]);
            }
        }
    }
    sums.map(|[a, b, c, d]| vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)))
}

#[target_feature(enable = "neon")]
#[inline]
fn eights([a, b]: [int8x16_t; 2]) -> [int8x8_t; 4] {
    [
        vget_low_s8(a),
        vget_high_s8(a),
        vget_low_s8(b),
        vget_high_s8(b),
    ]
}
