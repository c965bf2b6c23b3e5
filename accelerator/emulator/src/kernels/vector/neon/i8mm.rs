//! Dot products with `smmla`: two rows of 8 bytes by two channels of 8 bytes to four 32-bit sums.
//! The layout of an activation word suits it as it is: two rows are 16 contiguous bytes.
//!
//! The instruction is written in assembly: its intrinsics are not stable.

use std::arch::aarch64::*;
use std::arch::asm;

use super::registers::{finish, signed, word};
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
    for first in (0..d.rows).step_by(QUAD) {
        // SAFETY: NEON and the matrix product were detected, and the operands checked, above; there
        // are QUAD rows from `first` on.
        unsafe { quad(d, first, sums) };
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

/// Sums of the rows from `first` on.
///
/// # Safety
/// `d` has passed its check with a line a word, and `first + QUAD <= d.rows`.
#[target_feature(enable = "neon,i8mm")]
unsafe fn quad(d: &Dot<'_>, first: usize, out: &mut [RowSums]) {
    let mut sums = [[vdupq_n_s32(0); 4]; 2];
    for chunk in 0..d.chunks {
        // SAFETY: as the caller guarantees.
        let (channels, rows) = unsafe { word(d, first, chunk) };
        for pair in 0..2 {
            let rows = signed(rows[pair], d.a_unsigned);
            for two in 0..4 {
                sums[pair][two] = smmla(sums[pair][two], rows, channels[two]);
            }
        }
    }
    // [row 0: two channels | row 1: two channels] to rows of eight.
    let mut rows = [[vdupq_n_s32(0); 2]; QUAD];
    for pair in 0..2 {
        let by_two = sums[pair].map(|v| vreinterpretq_s64_s32(v));
        for half in 0..2 {
            let (a, b) = (by_two[2 * half], by_two[2 * half + 1]);
            rows[2 * pair][half] = vreinterpretq_s32_s64(vzip1q_s64(a, b));
            rows[2 * pair + 1][half] = vreinterpretq_s32_s64(vzip2q_s64(a, b));
        }
    }
    finish(d, first, &rows, out);
}
