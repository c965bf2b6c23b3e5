//! Dot products with `sdot`: four products of bytes to each 32-bit lane.
//!
//! The instruction is written in assembly: its intrinsics are not stable in the oldest compiler
//! that this workspace supports.

use std::arch::aarch64::*;
use std::arch::asm;

use super::registers::{finish, line, terms};
use crate::kernels::vector::detect;
use crate::kernels::vector::dot::Dot;
use crate::kernels::vector::octet::{QUAD, RowSums};

/// Dot products of a row tile with weights in halves.
pub fn dot(d: &Dot<'_>, sums: &mut [RowSums]) {
    assert!(
        detect::neon_dot(),
        "the kernel was chosen on a CPU without the dot product"
    );
    d.check(1, sums);
    // SAFETY: NEON and the dot product were detected, and the operands checked, above.
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
/// The CPU has NEON and the dot product; `d` has passed its check with a line a word.
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

/// To each lane of `sums` the products of its four bytes of `weights` with bytes `4 * LANE..` of
/// `terms`.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn sdot<const LANE: usize>(sums: int32x4_t, weights: int8x16_t, terms: int8x16_t) -> int32x4_t {
    let mut out = sums;
    // SAFETY: an operation on registers alone, of an instruction that this function's features
    // have.
    unsafe {
        asm!("sdot {sums:v}.4s, {weights:v}.16b, {terms:v}.4b[{lane}]",
            sums = inout(vreg) out, weights = in(vreg) weights, terms = in(vreg) terms,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// Sums of `PAIRS` pairs of rows from row `first` on.
///
/// # Safety
/// `d` has passed its check with a line a word, and `first + 2 * PAIRS <= d.rows`.
#[target_feature(enable = "neon,dotprod")]
unsafe fn rows<const UNSIGNED: bool, const PAIRS: usize>(
    d: &Dot<'_>,
    first: usize,
    out: &mut [RowSums],
) {
    // Of each pair the two rows, of each row two halves.
    let mut sums = [[[vdupq_n_s32(0); 2]; 2]; PAIRS];
    let mut a = d.a.as_ptr().wrapping_add(first * 8);
    for chunk in 0..d.chunks {
        // SAFETY: as the caller guarantees, all words of all rows lie inside `a`, and a line for
        // each in `b`.
        let (weights, terms) = unsafe {
            let weights = line(d.b.as_ptr().add(chunk));
            (weights, terms::<UNSIGNED, PAIRS>(a))
        };
        // Wrapping: behind the last word there may be nothing.
        a = a.wrapping_add(d.stride);
        // All sums once before any a second time: each waits for itself.
        for (sums, terms) in sums.iter_mut().zip(terms) {
            for half in 0..2 {
                sums[0][half] = sdot::<0>(sums[0][half], weights[half], terms);
                sums[1][half] = sdot::<2>(sums[1][half], weights[half], terms);
            }
        }
        for (sums, terms) in sums.iter_mut().zip(terms) {
            for half in 0..2 {
                sums[0][half] = sdot::<1>(sums[0][half], weights[2 + half], terms);
                sums[1][half] = sdot::<3>(sums[1][half], weights[2 + half], terms);
            }
        }
    }
    finish(d, first, sums.as_flattened(), out);
}
