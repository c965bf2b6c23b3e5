//! Dot products with `sdot`: four products of bytes to each 32-bit lane.
//!
//! The instruction is written in assembly: its intrinsics are not stable in the oldest compiler
//! that this workspace supports.

use std::arch::aarch64::*;
use std::arch::asm;

use super::registers::{finish, signed, word};
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
    for first in (0..d.rows).step_by(QUAD) {
        // SAFETY: NEON and the dot product were detected, and the operands checked, above; there
        // are QUAD rows from `first` on.
        unsafe { quad(d, first, sums) };
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

/// Sums of the rows from `first` on.
///
/// # Safety
/// `d` has passed its check with a line a word, and `first + QUAD <= d.rows`.
#[target_feature(enable = "neon,dotprod")]
unsafe fn quad(d: &Dot<'_>, first: usize, out: &mut [RowSums]) {
    let mut sums = [[vdupq_n_s32(0); 2]; QUAD];
    for chunk in 0..d.chunks {
        // SAFETY: as the caller guarantees.
        let (weights, terms) = unsafe { word(d, first, chunk) };
        for pair in 0..2 {
            let terms = signed(terms[pair], d.a_unsigned);
            for half in 0..2 {
                let [low, high] = [weights[half], weights[2 + half]];
                let even = &mut sums[2 * pair][half];
                *even = sdot::<1>(sdot::<0>(*even, low, terms), high, terms);
                let odd = &mut sums[2 * pair + 1][half];
                *odd = sdot::<3>(sdot::<2>(*odd, low, terms), high, terms);
            }
        }
    }
    finish(d, first, &sums, out);
}
