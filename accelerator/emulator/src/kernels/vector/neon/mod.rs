//! The arithmetic on aarch64: NEON alone, with the dot product of Armv8.2, or with the 8-bit matrix
//! product of Armv8.6.
//!
//! All three multiply signed with signed bytes, so 4-bit weights are just small codes.
//! Probabilities are made signed by taking off 128 (flipping their top bit); 128 times the sum of
//! the channel's codes is added back.
#![allow(
    unsafe_code,
    reason = "SIMD intrinsics: loads, stores and calls of functions with target features"
)]

mod base;
mod dotprod;
mod drain;
mod i8mm;
mod unpack;

use std::arch::aarch64::*;

use super::path::{Dot, Path, QUAD, RowSums};

pub use drain::Scale;

/// What every Armv8 has.
pub static NEON: Path = Path {
    dot4: base::dot4,
    dot8: base::dot8,
    ..common(unpack::whole4, unpack::whole8)
};

/// With `sdot`.
pub static DOT: Path = Path {
    dot4: dotprod::dot,
    dot8: dotprod::dot,
    ..common(unpack::halves4, unpack::halves8)
};

/// With `smmla`.
pub static I8MM: Path = Path {
    dot4: i8mm::dot,
    dot8: i8mm::dot,
    ..common(unpack::whole4, unpack::whole8)
};

type Unpack = fn(&super::path::Octet<'_>, &mut [super::path::Line]);

const fn common(unpack4: Unpack, unpack8: Unpack) -> Path {
    Path {
        code_lines: 1,
        row_factor: 0,
        channel_factors: [0, -128],
        // Never asked for: the factor is 0.
        sum_rows: |_, _, sums| sums.fill(0),
        unpack4,
        unpack8,
        dot4: base::dot4,
        dot8: base::dot8,
        drain: drain::drain,
    }
}

/// Whether this CPU has NEON, as every aarch64 that runs Linux does.
pub fn is_detected() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
}

/// Whether this CPU has the dot product.
pub fn is_dot_detected() -> bool {
    is_detected() && std::arch::is_aarch64_feature_detected!("dotprod")
}

/// Whether this CPU has the matrix product.
pub fn is_i8mm_detected() -> bool {
    is_detected() && std::arch::is_aarch64_feature_detected!("i8mm")
}

/// Checked wherever safe code enters functions with target features: the kernel is chosen once, but
/// nothing but this makes it sound.
fn assert_detected() {
    assert!(
        is_detected(),
        "the NEON kernel was chosen on a CPU without it"
    );
}

/// The top bit of every byte flipped if `unsigned`.
#[target_feature(enable = "neon")]
#[inline]
fn signed(v: int8x16_t, unsigned: bool) -> int8x16_t {
    veorq_s8(v, vdupq_n_s8(if unsigned { -128 } else { 0 }))
}

#[target_feature(enable = "neon")]
#[inline]
fn load_sums(from: &[i32; 8]) -> [int32x4_t; 2] {
    // SAFETY: the array is two vectors.
    unsafe { [vld1q_s32(from.as_ptr()), vld1q_s32(from.as_ptr().add(4))] }
}

/// The sums of rows `first..first + QUAD`, two vectors a row, less what is to be taken off.
#[target_feature(enable = "neon")]
#[inline]
fn finish(d: &Dot<'_>, first: usize, rows: &[[int32x4_t; 2]; QUAD], out: &mut [RowSums]) {
    let by_channel = load_sums(&d.by_channel.0);
    for (row, halves) in (first..).zip(rows) {
        let by_row = vdupq_n_s32(d.by_row[row]);
        let target = &mut out[row].0;
        for half in 0..2 {
            let off = vaddq_s32(by_channel[half], by_row);
            let sum = vsubq_s32(halves[half], off);
            // SAFETY: the target is two vectors.
            unsafe { vst1q_s32(target.as_mut_ptr().add(4 * half), sum) };
        }
    }
}
