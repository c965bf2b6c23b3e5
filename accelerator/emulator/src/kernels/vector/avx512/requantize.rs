//! Requantization of two octets at once, exact in f64: see the AVX2 form
//! ([`Scale`](crate::kernels::vector::avx2::requantize::Scale)) for why.

use std::arch::x86_64::*;

use crate::kernels::vector::avx2::requantize::Scale;

/// Down, and no exception: the rounding of a conversion that replaces `floor`.
const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;

/// Scales of two octets.
pub struct Scales {
    bias: [__m512d; 2],
    factor: [__m512d; 2],
    offset: [__m512d; 2],
    simple: bool,
}

impl Scales {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn of(scales: [&Scale; 2]) -> Self {
        Self {
            bias: [eight(&scales[0].bias), eight(&scales[1].bias)],
            factor: [eight(&scales[0].factor), eight(&scales[1].factor)],
            offset: [eight(&scales[0].offset), eight(&scales[1].offset)],
            simple: scales[0].simple && scales[1].simple,
        }
    }

    /// Whether no clamp but the destination's can act, so that [`Scales::simple`] will do.
    #[inline]
    pub fn is_simple(&self) -> bool {
        self.simple
    }

    /// The sums of both octets to results that the destination still has to saturate.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn simple(&self, sums: __m512i) -> __m512i {
        let half = |sums, octet: usize| {
            let y = _mm512_cvtepi32_pd(sums);
            let y = _mm512_fmadd_pd(y, self.factor[octet], self.offset[octet]);
            _mm512_cvt_roundpd_epi32::<DOWN>(y)
        };
        let first = half(_mm512_castsi512_si256(sums), 0);
        let second = half(_mm512_extracti64x4_epi64::<1>(sums), 1);
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second)
    }

    /// As [`Scales::simple`], for any records.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn any(&self, sums: __m512i) -> __m512i {
        let clamp = |v, least, most| {
            _mm512_max_pd(
                _mm512_min_pd(v, _mm512_set1_pd(most)),
                _mm512_set1_pd(least),
            )
        };
        let half = |sums, octet: usize| {
            let v = _mm512_add_pd(_mm512_cvtepi32_pd(sums), self.bias[octet]);
            let v = clamp(v, -67_108_864.0, 67_108_863.0);
            let y = _mm512_fmadd_pd(v, self.factor[octet], _mm512_set1_pd(0.5));
            // The clamp's bounds are whole numbers: it may come before the rounding.
            _mm512_cvt_roundpd_epi32::<DOWN>(clamp(y, -32768.0, 32768.0))
        };
        let first = half(_mm512_castsi512_si256(sums), 0);
        let second = half(_mm512_extracti64x4_epi64::<1>(sums), 1);
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), second)
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn eight(from: &[[f64; 4]; 2]) -> __m512d {
    // SAFETY: the arrays are 64 bytes side by side; the load needs no alignment.
    unsafe { _mm512_loadu_pd(from.as_ptr().cast()) }
}
