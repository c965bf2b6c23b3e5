//! The arithmetic with AVX2 and FMA.
#![allow(
    unsafe_code,
    reason = "SIMD intrinsics: loads, stores and calls of functions with target features"
)]

mod dot;
mod matmul;
mod norm;
mod requantize;
mod slab;

use std::arch::x86_64::*;

pub use matmul::{Buffers, matmul};
pub use norm::{NormScales, layer_norm_tile};

/// Whether this CPU has what the functions here are compiled for.
pub fn is_detected() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Checked wherever safe code enters functions with target features: the kernel is chosen once, but nothing but this makes it sound.
fn assert_detected() {
    assert!(
        is_detected(),
        "the AVX2 kernel was chosen on a CPU without it"
    );
}

/// Plain numbers without padding, any bits of which are valid.
trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for i16 {}
impl Plain for i32 {}
impl Plain for i64 {}

#[target_feature(enable = "avx2")]
fn load<T: Plain, const N: usize>(from: &[T; N]) -> __m256i {
    const { assert!(size_of::<[T; N]>() == 32) };
    // SAFETY: the array is 32 bytes of plain numbers; the load needs no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store<T: Plain, const N: usize>(to: &mut [T; N], v: __m256i) {
    const { assert!(size_of::<[T; N]>() == 32) };
    // SAFETY: the array is 32 bytes of plain numbers; the store needs no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), v) };
}

#[target_feature(enable = "avx2")]
fn load_half(from: &[u8; 16]) -> __m128i {
    // SAFETY: the array is 16 bytes; the load needs no alignment.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn load_four(from: &[f64; 4]) -> __m256d {
    // SAFETY: the load reads the four numbers; it needs no alignment.
    unsafe { _mm256_loadu_pd(from.as_ptr()) }
}

#[target_feature(enable = "avx2")]
fn store_half(to: &mut [u8; 16], v: __m128i) {
    // SAFETY: the target is 16 bytes; the store needs no alignment.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), v) };
}
