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

pub mod base;
pub mod dotprod;
pub mod drain;
pub mod i8mm;
mod registers;
pub mod unpack;
