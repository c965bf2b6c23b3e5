//! Dot products with `smmla`: two rows of 8 bytes by two channels of 8 bytes to four 32-bit sums.
//! The layout of an activation word suits it as it is: two rows are 16 contiguous bytes.
//!
//! The instruction is written in assembly: its intrinsics are not stable.

use std::arch::aarch64::*;
use std::arch::asm;

use super::registers::{finish, line, terms};
use crate::kernels::vector::detect;
use crate::kernels::vector::dot::Dot;
use crate::kernels::vector::octet::{QUAD, RowSums};

/// Dot products of a row tile with whole weights.
pub fn dot(d: &Dot<'_>, sums: &mut [RowSums]) {
    assert!(
        detect::neon_i8mm(),
        "the kernel was chosen on a CPU without the matrix product"
    );
    d.check(1, sums);
    // SAFETY: NEON and the matrix product were detected, and the operands checked, above.
    unsafe {
        if d.a_unsigned {
            each_group::<true>(d, sums);
        } else {
            each_group::<false>(d, sums);
        }
    }
}

/// Two quads of rows at once, which share the loads of weights, then one.
///
/// # Safety
/// The CPU has NEON and the matrix product; `d` has passed its check with a line a word.
unsafe fn each_group<const UNSIGNED: bool>(d: &Dot<'_>, sums: &mut [RowSums]) {
    let mut first = 0;
    // SAFETY: as the caller guarantees; the rows from `first` on are below `d.rows`.
    unsafe {
        while first + 2 * QUAD <= d.rows {
            rows::<UNSIGNED, QUAD>(d, first, sums);
            first += 2 * QUAD;
        }
        if first < d.rows {
            rows::<UNSIGNED, { QUAD / 2 }>(d, first, sums);
        }
    }
}

/// To `sums` the products of two rows with two channels: lanes 0 and 1 are the first row's.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn smmla(sums: int32x4_t, rows: int8x16_t, channels: int8x16_t) -> int32x4_t {
    let mut out = sums;
    // SAFETY: an operation on registers alone, of an instruction that this function's features
    // have.
    unsafe {
        asm!("smmla {sums:v}.4s, {rows:v}.16b, {channels:v}.16b",
            sums = inout(vreg) out, rows = in(vreg) rows, channels = in(vreg) channels,
            options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// Sums of `PAIRS` pairs of rows from row `first` on.
///
/// # Safety
/// `d` has passed its check with a line a word, and `first + 2 * PAIRS <= d.rows`.
#[target_feature(enable = "neon,i8mm")]
unsafe fn rows<const UNSIGNED: bool, const PAIRS: usize>(
    d: &Dot<'_>,
    first: usize,
    out: &mut [RowSums],
) {
    let mut sums = [[vdupq_n_s32(0); 4]; PAIRS];
    let mut a = d.a.as_ptr().wrapping_add(first * 8);
    for chunk in 0..d.chunks {
        // SAFETY: as the caller guarantees, all words of all rows lie inside `a`, and a line for
        // each in `b`.
        let (channels, rows) = unsafe {
            let channels = line(d.b.as_ptr().add(chunk));
            (channels, terms::<UNSIGNED, PAIRS>(a))
        };
        // Wrapping: behind the last word there may be nothing.
        a = a.wrapping_add(d.stride);
        for (sums, rows) in sums.iter_mut().zip(rows) {
            for (sum, channels) in sums.iter_mut().zip(channels) {
                *sum = smmla(*sum, rows, channels);
            }
        }
    }
    // [row 0: two channels | row 1: two channels] to rows of eight.
    let rows = sums.map(|sums| {
        let [a, b, c, d] = sums.map(|v| vreinterpretq_s64_s32(v));
        let row = |low, high| [vreinterpretq_s32_s64(low), vreinterpretq_s32_s64(high)];
        [
            row(vzip1q_s64(a, b), vzip1q_s64(c, d)),
            row(vzip2q_s64(a, b), vzip2q_s64(c, d)),
        ]
    });
    finish(d, first, rows.as_flattened(), out);
}
