//! The arithmetic with AVX2 and FMA.
#![allow(
    unsafe_code,
    reason = "SIMD intrinsics: loads, stores and calls of functions with target features"
)]

mod dot;
mod layer_norm;
mod norm;
pub mod registers;
pub mod requantize;
mod slab;
mod softmax;
mod unpack;

use super::instruction_set::InstructionSet;

pub use layer_norm::{KeptNorm, layer_norm};
pub use slab::drain;
pub use softmax::softmax_tile;
pub use unpack::{row_corrections, unpack4};

/// AVX2: 16-bit sums of pairs of products.
pub static AVX2: InstructionSet = InstructionSet {
    code_lines: 2,
    weight_zero_point: unpack::ZERO_POINT,
    activation_zero_points: [0, 0],
    row_corrections,
    unpack4,
    unpack8: unpack::unpack8,
    dot4: dot::dot4,
    dot8: dot::dot8,
    drain,
};
