//! The arithmetic with AVX2 and FMA.
#![allow(
    unsafe_code,
    reason = "SIMD intrinsics: loads, stores and calls of functions with target features"
)]

mod dot;
mod norm;
mod requantize;
mod slab;
mod softmax;
mod unpack;

use std::arch::x86_64::*;

use super::path::Path;

pub use norm::{NormScales, norm_quads};
pub use requantize::Scale;
pub use slab::drain;
pub use softmax::softmax_tile;
pub use unpack::{sum_rows, unpack4};

/// AVX2: 16-bit sums of pairs of products.
pub static PATH: Path = Path {
    code_lines: 2,
    row_factor: unpack::ROW_FACTOR,
    channel_factors: [0, 0],
    sum_rows,
    unpack4,
    unpack8: unpack::unpack8,
    dot4: dot::dot4,
    dot8: dot::dot8,
    drain,
};

/// Whether this CPU has what the functions here are compiled for.
pub fn is_detected() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Checked wherever safe code enters functions with target features: the kernel is chosen once, but
/// nothing but this makes it sound.
pub fn assert_detected() {
    assert!(
        is_detected(),
        "the AVX2 kernel was chosen on a CPU without it"
    );
}

/// Sums of an octet, two lanes a channel: lane `2 i` of the first vector and lane `2 i + 1` of the
/// second one are channel `2 i`, the others channel `2 i + 1`, as [`unpack4`] places the terms.
#[target_feature(enable = "avx2")]
#[inline]
pub fn join(first: __m256i, second: __m256i) -> __m256i {
    _mm256_add_epi32(first, _mm256_shuffle_epi32::<0b10_11_00_01>(second))
}

/// Plain numbers without padding, any bits of which are valid.
pub trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for i16 {}
impl Plain for i32 {}
impl Plain for i64 {}

#[target_feature(enable = "avx2")]
pub fn load<T: Plain, const N: usize>(from: &[T; N]) -> __m256i {
    const { assert!(size_of::<[T; N]>() == 32) };
    // SAFETY: the array is 32 bytes of plain numbers; the load needs no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
pub fn store<T: Plain, const N: usize>(to: &mut [T; N], v: __m256i) {
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
