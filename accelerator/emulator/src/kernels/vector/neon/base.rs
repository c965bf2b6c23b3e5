//! Dot products with the base instructions, on whole weights.
//!
//! - 4-bit weights: a product is at most 8 * 128 = 2^10 in magnitude, so 31 of them stay within i16
//!   in the lanes of `smlal`, then `sadalp` widens to i32.
//! - 8-bit codes: a product takes all 16 bits, and each is widened.
//!
//! A vector holds the 8 terms of two rows, another those of two channels. `smlal` multiplies the
//! first row with the first channel and `smlal2` the second with the second; with the channels
//! changed over, the other two.

use std::arch::aarch64::*;

use super::registers::{finish, terms};
use crate::kernels::vector::detect::assert_neon;
use crate::kernels::vector::dot::Dot;
use crate::kernels::vector::octet::{QUAD, RowSums};

/// Steps of a 16-bit sum, see above.
const STEPS: usize = 31;
/// Pairs of rows and of channels that are computed together: sixteen sums.
const PAIRS: usize = 2;

/// Of pairs of rows and of channels: the first row with both channels, then the second row.
type Sums<T> = [[[[T; 2]; 2]; PAIRS]; PAIRS];

/// Dot products of a row tile with 4-bit weights.
pub fn dot4(d: &Dot<'_>, sums: &mut [RowSums]) {
    each_quad(d, sums, |d, first, channel| {
        // SAFETY: as `each_quad` guarantees.
        unsafe { half4(d, first, channel) }
    });
}

/// Dot products of a row tile with 8-bit codes.
pub fn dot8(d: &Dot<'_>, sums: &mut [RowSums]) {
    each_quad(d, sums, |d, first, channel| {
        // SAFETY: as `each_quad` guarantees.
        unsafe {
            if d.a_unsigned {
                half8::<true>(d, first, channel)
            } else {
                half8::<false>(d, first, channel)
            }
        }
    });
}

/// `half` gives the sums of the rows from a row on with the 4 channels from a place on. It is
/// called where NEON was detected and the operands checked, with rows and channels that there are.
fn each_quad(
    d: &Dot<'_>,
    sums: &mut [RowSums],
    half: impl Fn(&Dot<'_>, usize, usize) -> [int32x4_t; QUAD],
) {
    assert_neon();
    d.check(1, sums);
    for first in (0..d.rows).step_by(QUAD) {
        let rows = [half(d, first, 0), half(d, first, 2 * PAIRS)];
        let joined: [_; QUAD] = std::array::from_fn(|row| [rows[0][row], rows[1][row]]);
        // SAFETY: NEON was detected above.
        unsafe { finish(d, first, &joined, sums) };
    }
}

/// The operands of a word: rows, channels, and channels changed over.
///
/// # Safety
/// 32 bytes can be read at `a` and at `b`.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn operands<const UNSIGNED: bool>(a: *const u8, b: *const u8) -> [[int8x16_t; PAIRS]; 3] {
    // SAFETY: as the caller guarantees.
    let (rows, channels) = unsafe { (terms::<UNSIGNED, PAIRS>(a), terms::<false, PAIRS>(b)) };
    [rows, channels, channels.map(|v| vextq_s8::<8>(v, v))]
}

/// Sums of the rows from `first` on with the 4-bit weights of the channels from place `channel` on.
///
/// # Safety
/// `d` has passed its check with a line a word, there are QUAD rows and 4 channels.
#[target_feature(enable = "neon")]
#[inline(never)]
unsafe fn half4(d: &Dot<'_>, first: usize, channel: usize) -> [int32x4_t; QUAD] {
    let mut sums: Sums<int32x4_t> = [[[[vdupq_n_s32(0); 2]; 2]; PAIRS]; PAIRS];
    let mut a = d.a.as_ptr().wrapping_add(first * 8);
    let mut chunk = 0;
    while chunk < d.chunks {
        let end = (chunk + STEPS).min(d.chunks);
        let mut short: Sums<int16x8_t> = [[[[vdupq_n_s16(0); 2]; 2]; PAIRS]; PAIRS];
        while chunk < end {
            // SAFETY: as the caller guarantees, all words of all rows lie inside `a`, and a line
            // for each in `b`.
            let word = unsafe {
                let b = d.b.as_ptr().add(chunk).cast::<u8>().add(8 * channel);
                operands::<false>(a, b)
            };
            multiply_add(&mut short, &word);
            // Wrapping: behind the last word there may be nothing.
            a = a.wrapping_add(d.stride);
            chunk += 1;
        }
        widen(&mut sums, &short);
    }
    joined(&sums)
}

/// Adds the products of a word's operands to `sums`.
#[target_feature(enable = "neon")]
#[inline]
fn multiply_add(sums: &mut Sums<int16x8_t>, operands: &[[int8x16_t; PAIRS]; 3]) {
    let [rows, channels, changed] = operands;
    for (sums, row) in sums.iter_mut().zip(rows) {
        let low = vget_low_s8(*row);
        for ([first, second], (same, other)) in sums.iter_mut().zip(channels.iter().zip(changed)) {
            first[0] = vmlal_s8(first[0], low, vget_low_s8(*same));
            second[1] = vmlal_high_s8(second[1], *row, *same);
            first[1] = vmlal_s8(first[1], low, vget_low_s8(*other));
            second[0] = vmlal_high_s8(second[0], *row, *other);
        }
    }
}

/// The same with 8-bit codes.
///
/// # Safety
/// As for [`half4`].
#[target_feature(enable = "neon")]
#[inline(never)]
unsafe fn half8<const UNSIGNED: bool>(
    d: &Dot<'_>,
    first: usize,
    channel: usize,
) -> [int32x4_t; QUAD] {
    let mut sums: Sums<int32x4_t> = [[[[vdupq_n_s32(0); 2]; 2]; PAIRS]; PAIRS];
    let mut a = d.a.as_ptr().wrapping_add(first * 8);
    for chunk in 0..d.chunks {
        // SAFETY: as in `half4`.
        let [rows, channels, changed] = unsafe {
            let b = d.b.as_ptr().add(chunk).cast::<u8>().add(8 * channel);
            operands::<UNSIGNED>(a, b)
        };
        // Wrapping: behind the last word there may be nothing.
        a = a.wrapping_add(d.stride);
        for row in 0..PAIRS {
            for at in 0..PAIRS {
                let (low, row_) = (vget_low_s8(rows[row]), rows[row]);
                let [first, second] = &mut sums[row][at];
                first[0] = vpadalq_s16(first[0], vmull_s8(low, vget_low_s8(channels[at])));
                second[1] = vpadalq_s16(second[1], vmull_high_s8(row_, channels[at]));
                first[1] = vpadalq_s16(first[1], vmull_s8(low, vget_low_s8(changed[at])));
                second[0] = vpadalq_s16(second[0], vmull_high_s8(row_, changed[at]));
            }
        }
    }
    joined(&sums)
}

/// 16-bit sums to those of 32 bits.
#[target_feature(enable = "neon")]
#[inline]
fn widen(sums: &mut Sums<int32x4_t>, short: &Sums<int16x8_t>) {
    let sums = sums
        .as_flattened_mut()
        .as_flattened_mut()
        .as_flattened_mut();
    let short = short.as_flattened().as_flattened().as_flattened();
    for (sum, short) in sums.iter_mut().zip(short) {
        *sum = vpadalq_s16(*sum, *short);
    }
}

/// A vector of the sums with 4 channels for each row.
#[target_feature(enable = "neon")]
#[inline]
fn joined(sums: &Sums<int32x4_t>) -> [int32x4_t; QUAD] {
    std::array::from_fn(|row| {
        let [a, b] = [0, 1].map(|at| {
            let [even, odd] = sums[row / 2][at][row % 2];
            vpaddq_s32(even, odd)
        });
        vpaddq_s32(a, b)
    })
}
