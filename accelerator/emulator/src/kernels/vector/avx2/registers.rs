//! Loads, stores and sums of AVX2 registers.

use std::arch::x86_64::*;

/// Sums of an octet, two lanes a channel: lane `2 i` of the first vector and lane `2 i + 1` of the
/// second one are channel `2 i`, the others channel `2 i + 1`, as
/// [`unpack4`](super::unpack::unpack4) places the terms.
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
#[inline]
pub fn load<T: Plain, const N: usize>(from: &[T; N]) -> __m256i {
    const { assert!(size_of::<[T; N]>() == 32) };
    // SAFETY: the array is 32 bytes of plain numbers; the load needs no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
pub fn store<T: Plain, const N: usize>(to: &mut [T; N], v: __m256i) {
    const { assert!(size_of::<[T; N]>() == 32) };
    // SAFETY: the array is 32 bytes of plain numbers; the store needs no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), v) };
}

#[target_feature(enable = "avx2")]
#[inline]
pub fn load_half(from: &[u8; 16]) -> __m128i {
    // SAFETY: the array is 16 bytes; the load needs no alignment.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
pub fn load_four(from: &[f64; 4]) -> __m256d {
    // SAFETY: the load reads the four numbers; it needs no alignment.
    unsafe { _mm256_loadu_pd(from.as_ptr()) }
}

#[target_feature(enable = "avx2")]
#[inline]
pub fn store_half(to: &mut [u8; 16], v: __m128i) {
    // SAFETY: the target is 16 bytes; the store needs no alignment.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), v) };
}
