//! The arithmetic with AVX-512 and its 8-bit dot product, in registers of 512 bits.
//!
//! Two neighbouring octets of channels are one piece of work ([`pair`]): 8 rows by 2 octets are 16
//! sums in registers, for which a word takes 2 loads of weights and 8 broadcasts of activations,
//! where 16 rows by one octet take 17 loads for as many products. From the sums to the words of the
//! destination nothing goes through memory.
#![allow(
    unsafe_code,
    reason = "SIMD intrinsics: loads, stores and calls of functions with target features"
)]

mod gelu;
mod norm;
mod pair;
mod products;
mod requantize;
mod softmax;
mod unpack;
mod words;

pub use norm::{ROWS as NORM_ROWS, norm_tile};
pub use pair::pair;
pub use softmax::softmax_tile;
pub use unpack::{code_sums, row_corrections, unpack4, unpack8};
