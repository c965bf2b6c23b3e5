//! The arithmetic with VNNI: `vpdpbusd` adds four products of unsigned with signed bytes to a
//! 32-bit sum, exact and without an intermediate width, so a dot product is a load, a broadcast and
//! that instruction.
//!
//! - 4-bit weights are the unsigned side, plus 8 as for AVX2; `8 * sum(a)` is taken off.
//! - 8-bit codes are the signed side. Signed activations are made unsigned by adding 128 (flipping
//!   their top bit); 128 times the sum of the channel's codes is taken off. Probabilities are
//!   unsigned as they are.
//!
//! The dot products are written once over [`Lanes`], the registers of an instruction set; another
//! implementation of it, in plain integers, tests them on a CPU without VNNI. All else is AVX2's.
#![allow(
    unsafe_code,
    reason = "SIMD intrinsics: loads, stores and calls of functions with target features"
)]

mod dot;
mod registers;
#[cfg(test)]
pub mod tests;

use super::avx2::{self, drain, sum_rows, unpack4};
use super::path::{Dot, Line, Octet, Path, RowSums};
use registers::{Avx, Avx512};

/// VEX-coded, 256 bits: Alder Lake, Zen 5 and later.
pub static AVX: Path = path(dot4_avx, dot8_avx);
/// EVEX-coded, 512 bits: Ice Lake, Zen 4 and later.
pub static AVX512: Path = path(dot4_avx512, dot8_avx512);

/// The paths differ in their dot products.
const fn path(dot4: fn(&Dot<'_>, &mut [RowSums]), dot8: fn(&Dot<'_>, &mut [RowSums])) -> Path {
    Path {
        code_lines: 1,
        row_factor: 8,
        channel_factors: [128, 0],
        sum_rows,
        unpack4,
        unpack8,
        dot4,
        dot8,
        drain,
    }
}

/// Whether this CPU has AVX-VNNI.
pub fn is_avx_detected() -> bool {
    avx2::is_detected() && is_x86_feature_detected!("avxvnni")
}

/// Whether this CPU has AVX-512 with VNNI.
pub fn is_avx512_detected() -> bool {
    avx2::is_detected()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

/// 8-bit codes in the order of [`unpack4`], a line a word.
fn unpack8(weights: &Octet<'_>, lines: &mut [Line]) {
    for (chunk, Line(line)) in lines.iter_mut().enumerate() {
        let codes = weights.places::<64>(chunk);
        let (first, second) = line.split_at_mut(32);
        let targets = first
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .zip(second.as_chunks_mut::<8>().0);
        for (two, (first, second)) in codes.as_chunks::<16>().0.iter().zip(targets) {
            let (even, odd) = (&two[..8], &two[8..]);
            first[..4].copy_from_slice(&even[..4]);
            first[4..].copy_from_slice(&odd[4..]);
            second[..4].copy_from_slice(&odd[..4]);
            second[4..].copy_from_slice(&even[4..]);
        }
    }
}

/// A path's dot product: checks, then the generic one with the path's features.
macro_rules! entry {
    ($name:ident, $features:literal, $detected:ident, $inner:ident, $lanes:ty) => {
        fn $name(d: &Dot<'_>, sums: &mut [RowSums]) {
            #[target_feature(enable = $features)]
            unsafe fn inner(d: &Dot<'_>, sums: &mut [RowSums]) {
                // SAFETY: this function has the features, its caller has checked the operands.
                unsafe { dot::$inner::<$lanes>(d, sums) }
            }
            assert!($detected(), "the kernel was chosen on a CPU without it");
            d.check(1, sums);
            // SAFETY: the features were detected, and the operands checked, above.
            unsafe { inner(d, sums) }
        }
    };
}

entry!(dot4_avx, "avx2,avxvnni", is_avx_detected, dot4, Avx);
entry!(dot8_avx, "avx2,avxvnni", is_avx_detected, dot8, Avx);
entry!(
    dot4_avx512,
    "avx2,avx512f,avx512bw,avx512vnni",
    is_avx512_detected,
    dot4,
    Avx512
);
entry!(
    dot8_avx512,
    "avx2,avx512f,avx512bw,avx512vnni",
    is_avx512_detected,
    dot8,
    Avx512
);
