//! The arithmetic with VNNI: `vpdpbusd` adds four products of unsigned with signed bytes to a
//! 32-bit sum, exact and without an intermediate width, so a dot product is a load, a broadcast and
//! that instruction.
//!
//! - 4-bit weights are the unsigned side, plus 8 as for AVX2; the zero-point correction
//!   `8 * sum(a)` is subtracted.
//! - 8-bit codes are the signed side. Signed activations are made unsigned by adding 128 (flipping
//!   their top bit); the zero-point correction is 128 times the sum of the channel's codes.
//!   Probabilities are unsigned as they are.
//!
//! The dot products are written once over [`Lanes`], the registers of an instruction set; another
//! implementation of it, in plain integers, tests them on a CPU without VNNI. All else is AVX2's
//! or that of [`avx512`], which takes octets in pairs; of an odd number the last is for these.
#![allow(
    unsafe_code,
    reason = "SIMD intrinsics: loads, stores and calls of functions with target features"
)]

mod dot;
mod registers;
#[cfg(test)]
pub mod tests;

use super::avx2::{drain, row_corrections, unpack4};
use super::avx512;
use super::detect;
use super::dot::Dot;
use super::instruction_set::InstructionSet;
use super::octet::{Line, Octet, RowSums};
use registers::{Avx, Avx512};

/// VEX-coded, 256 bits: Alder Lake, Zen 5 and later.
pub static AVX: InstructionSet = with(dot4_avx, dot8_avx);
/// EVEX-coded, 512 bits: Ice Lake, Zen 4 and later.
pub static AVX512: InstructionSet = InstructionSet {
    row_corrections: avx512::row_corrections,
    unpack4: avx512::unpack4,
    unpack8: avx512::unpack8,
    code_sums: avx512::code_sums,
    pair: Some(avx512::pair),
    ..with(dot4_avx512, dot8_avx512)
};

/// A function of [`InstructionSet`].
type DotProduct = fn(&Dot<'_>, &mut [RowSums]);

/// The instruction sets differ in their dot products.
const fn with(dot4: DotProduct, dot8: DotProduct) -> InstructionSet {
    InstructionSet {
        code_lines: 1,
        weight_zero_point: 8,
        activation_zero_points: [128, 0],
        row_corrections,
        unpack4,
        unpack8,
        code_sums: |octet, lines| octet.code_sums(lines),
        dot4,
        dot8,
        drain,
        pair: None,
    }
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

/// A dot product of an instruction set: checks, then the generic one with its features.
macro_rules! entry {
    ($name:ident, $features:literal, $detected:ident, $inner:ident, $lanes:ty) => {
        fn $name(d: &Dot<'_>, sums: &mut [RowSums]) {
            #[target_feature(enable = $features)]
            unsafe fn inner(d: &Dot<'_>, sums: &mut [RowSums]) {
                // SAFETY: this function has the features, its caller has checked the operands.
                unsafe { dot::$inner::<$lanes>(d, sums) }
            }
            assert!(
                detect::$detected(),
                "the kernel was chosen on a CPU without it"
            );
            d.check(1, sums);
            // SAFETY: the features were detected, and the operands checked, above.
            unsafe { inner(d, sums) }
        }
    };
}

entry!(dot4_avx, "avx2,avxvnni", avx_vnni, dot4, Avx);
entry!(dot8_avx, "avx2,avxvnni", avx_vnni, dot8, Avx);
entry!(
    dot4_avx512,
    "avx2,avx512f,avx512bw,avx512vl,avx512vnni",
    avx512_vnni,
    dot4,
    Avx512
);
entry!(
    dot8_avx512,
    "avx2,avx512f,avx512bw,avx512vl,avx512vnni",
    avx512_vnni,
    dot8,
    Avx512
);
