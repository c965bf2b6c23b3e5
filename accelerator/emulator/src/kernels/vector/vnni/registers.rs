//! The registers that dot products are written over.

use std::arch::x86_64::*;

use crate::kernels::vector::octet::Line;

/// Registers of an instruction set that hold 64 bytes: a line of weights, or 16 sums.
///
/// # Safety
/// The functions may be called where the CPU has the instruction set of the implementation, and are
/// for functions compiled for it to inline.
pub unsafe trait Lanes {
    /// 64 bytes.
    type Register: Copy;

    /// Quads of rows whose sums fit the registers.
    const QUADS: usize;

    /// All zero.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn zero() -> Self::Register;

    /// A line.
    ///
    /// # Safety
    /// As the trait says; the line can be read.
    unsafe fn line(from: *const Line) -> Self::Register;

    /// 8 bytes, eight times over.
    ///
    /// # Safety
    /// As the trait says; the 8 bytes can be read.
    unsafe fn terms(from: *const u8) -> Self::Register;

    /// The top bit of every byte flipped: i8 plus 128 as u8.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn flip(v: Self::Register) -> Self::Register;

    /// `vpdpbusd`: to each 32-bit lane of `sums` the four products of its bytes, `unsigned` u8 and
    /// `signed` i8.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn multiply(
        sums: Self::Register,
        unsigned: Self::Register,
        signed: Self::Register,
    ) -> Self::Register;

    /// The two halves.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn halves(v: Self::Register) -> [__m256i; 2];
}

/// Pairs of 256-bit registers and AVX-VNNI.
pub struct Avx;

// SAFETY: AVX2 and AVX-VNNI instructions only.
unsafe impl Lanes for Avx {
    type Register = [__m256i; 2];
    const QUADS: usize = 1;

    #[inline(always)]
    unsafe fn zero() -> [__m256i; 2] {
        // SAFETY: as the trait says.
        unsafe { [_mm256_setzero_si256(); 2] }
    }

    #[inline(always)]
    unsafe fn line(from: *const Line) -> [__m256i; 2] {
        let from = from.cast::<__m256i>();
        // SAFETY: as the trait says; a line is two aligned vectors.
        unsafe { [_mm256_load_si256(from), _mm256_load_si256(from.add(1))] }
    }

    #[inline(always)]
    unsafe fn terms(from: *const u8) -> [__m256i; 2] {
        // SAFETY: as the trait says; the load needs no alignment.
        unsafe { [_mm256_set1_epi64x(from.cast::<i64>().read_unaligned()); 2] }
    }

    #[inline(always)]
    unsafe fn flip(v: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: as the trait says.
        v.map(|v| unsafe { _mm256_xor_si256(v, _mm256_set1_epi8(-128)) })
    }

    #[inline(always)]
    unsafe fn multiply(
        sums: [__m256i; 2],
        unsigned: [__m256i; 2],
        signed: [__m256i; 2],
    ) -> [__m256i; 2] {
        // SAFETY: as the trait says.
        unsafe {
            [
                _mm256_dpbusd_avx_epi32(sums[0], unsigned[0], signed[0]),
                _mm256_dpbusd_avx_epi32(sums[1], unsigned[1], signed[1]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn halves(v: [__m256i; 2]) -> [__m256i; 2] {
        v
    }
}

/// 512-bit registers and AVX-512 VNNI.
pub struct Avx512;

// SAFETY: AVX-512 F, BW and VNNI instructions only.
unsafe impl Lanes for Avx512 {
    type Register = __m512i;
    const QUADS: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: as the trait says.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn line(from: *const Line) -> __m512i {
        // SAFETY: as the trait says; a line is one aligned vector.
        unsafe { _mm512_load_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn terms(from: *const u8) -> __m512i {
        // SAFETY: as the trait says; the load needs no alignment.
        unsafe { _mm512_set1_epi64(from.cast::<i64>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn flip(v: __m512i) -> __m512i {
        // SAFETY: as the trait says.
        unsafe { _mm512_xor_si512(v, _mm512_set1_epi8(-128)) }
    }

    #[inline(always)]
    unsafe fn multiply(sums: __m512i, unsigned: __m512i, signed: __m512i) -> __m512i {
        // SAFETY: as the trait says.
        unsafe { _mm512_dpbusd_epi32(sums, unsigned, signed) }
    }

    #[inline(always)]
    unsafe fn halves(v: __m512i) -> [__m256i; 2] {
        // SAFETY: as the trait says.
        unsafe { [_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64::<1>(v)] }
    }
}
