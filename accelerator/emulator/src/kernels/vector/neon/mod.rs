//! The arithmetic on aarch64: NEON alone, with the dot product of Armv8.2, or with the 8-bit matrix
//! product of Armv8.6.
//!
//! All three multiply signed with signed bytes, so 4-bit weights are just small codes.
//! Probabilities are made signed by subtracting 128 (flipping their top bit): their zero point is
//! -128.
#![allow(
    unsafe_code,
    reason = "SIMD intrinsics: loads, stores and calls of functions with target features"
)]

mod base;
mod dotprod;
pub mod drain;
mod i8mm;
mod registers;
mod unpack;

use super::instruction_set::InstructionSet;
use super::octet::{Line, Octet};

/// What every Armv8 has.
pub static NEON: InstructionSet = InstructionSet {
    dot4: base::dot4,
    dot8: base::dot8,
    ..common(unpack::whole4, unpack::whole8)
};

/// With `sdot`.
pub static DOT: InstructionSet = InstructionSet {
    dot4: dotprod::dot,
    dot8: dotprod::dot,
    ..common(unpack::halves4, unpack::halves8)
};

/// With `smmla`.
pub static I8MM: InstructionSet = InstructionSet {
    dot4: i8mm::dot,
    dot8: i8mm::dot,
    ..common(unpack::whole4, unpack::whole8)
};

type Unpack = fn(&Octet<'_>, &mut [Line]);

const fn common(unpack4: Unpack, unpack8: Unpack) -> InstructionSet {
    InstructionSet {
        code_lines: 1,
        weight_zero_point: 0,
        activation_zero_points: [0, -128],
        // Never asked for: the zero point is 0.
        row_corrections: |_, _, corrections| corrections.fill(0),
        unpack4,
        unpack8,
        dot4: base::dot4,
        dot8: base::dot8,
        drain: drain::drain,
    }
}
