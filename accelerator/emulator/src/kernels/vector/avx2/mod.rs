//! The arithmetic with AVX2 and FMA.
#![allow(
    unsafe_code,
    reason = "SIMD intrinsics: loads, stores and calls of functions with target features"
)]

mod dot;
mod layer_norm;
pub mod norm;
pub mod registers;
pub mod requantize;
mod slab;
mod softmax;
mod unpack;

pub use dot::{dot4, dot8};
pub use layer_norm::{KeptNorm, layer_norm, norm_tile};
pub use slab::drain;
pub use softmax::softmax_tile;
pub use unpack::{ZERO_POINT, row_corrections, unpack4, unpack8};
