//! Layer norm in f64 with eight token rows in the eight lanes: see the AVX2 form
//! ([`norm`](crate::kernels::vector::avx2::norm)) for why it is exact.

use std::arch::x86_64::*;

use fqbert_numerics::layernorm::RowStatistics;

use crate::kernels::vector::avx2::norm::NormScales;
use crate::kernels::vector::detect::assert_avx512_vnni;
use crate::kernels::vector::octet::OCTET;

/// Rows side by side.
pub const ROWS: usize = 8;

const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;

/// Normalises a row tile of `rows` rows, a multiple of [`ROWS`].
pub fn norm_tile(x: &mut [u8], branch: &[u8], y8: &mut [u8], rows: usize, scales: &NormScales) {
    assert_avx512_vnni();
    for first in (0..rows).step_by(ROWS) {
        // SAFETY: the features were detected above.
        unsafe { eight_rows(x, branch, y8, rows, first, scales) };
    }
}

/// Normalises eight rows of a row tile of `rows` rows from row `first` on: `stream` (words of RESX)
/// becomes y16 in place, `narrow` (words of ACT) y8.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn eight_rows(
    stream: &mut [u8],
    branch: &[u8],
    narrow: &mut [u8],
    rows: usize,
    first: usize,
    p: &NormScales,
) {
    let (mut sum, mut squares) = (_mm256_setzero_si256(), _mm512_setzero_si512());
    let at = 4 * first..4 * (first + ROWS);
    let words = stream
        .chunks_exact_mut(4 * rows)
        .zip(branch.chunks_exact(4 * rows));
    for (x, b) in words {
        let (Some(x), Some(b)) = (x[at.clone()].as_mut_array(), b[at.clone()].as_array()) else {
            continue;
        };
        let both = _mm256_adds_epi16(load(x), load(b));
        let both = _mm256_max_epi16(both, _mm256_set1_epi16(-i16::MAX));
        store(x, both);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(both, _mm256_set1_epi16(1)));
        // Two squares are at most 2 * 32767^2 < 2^31.
        let two = _mm512_cvtepu32_epi64(_mm256_madd_epi16(both, both));
        squares = _mm512_add_epi64(squares, two);
    }
    let (scale, offset) = scales(sum, squares, p);
    let octets = stream.chunks_exact_mut(16 * rows);
    let narrow = narrow.chunks_exact_mut(8 * rows);
    for ((words, y8), channels) in octets.zip(narrow).zip(p.channels.as_chunks::<OCTET>().0) {
        let mut codes = [_mm256_setzero_si256(); OCTET];
        for (word, two) in words.chunks_exact_mut(4 * rows).enumerate() {
            let Some(two) = two[at.clone()].as_mut_array() else {
                continue;
            };
            let x = load(two);
            let even = _mm256_srai_epi32::<16>(_mm256_slli_epi32::<16>(x));
            let odd = _mm256_srai_epi32::<16>(x);
            let (even, even8) = normalise(even, scale, offset, channels[2 * word], p);
            let (odd, odd8) = normalise(odd, scale, offset, channels[2 * word + 1], p);
            let odd = _mm256_slli_epi32::<16>(odd);
            store(two, _mm256_blend_epi16::<0b1010_1010>(even, odd));
            (codes[2 * word], codes[2 * word + 1]) = (even8, odd8);
        }
        if let Some(target) = y8[8 * first..].first_chunk_mut::<64>() {
            put(target, &codes);
        }
    }
}

/// `z = floor(x * scale + offset)`: 16 * x - mu, times rho, shifted and rounded.
#[target_feature(enable = "avx512f")]
#[inline]
fn scales(sum: __m256i, squares: __m512i, p: &NormScales) -> (__m512d, __m512d) {
    let (mut sums, mut squares_of) = ([0i32; ROWS], [0i64; ROWS]);
    // SAFETY: 32 and 64 bytes; the stores need no alignment.
    unsafe {
        _mm256_storeu_si256(sums.as_mut_ptr().cast(), sum);
        _mm512_storeu_si512(squares_of.as_mut_ptr().cast(), squares);
    }
    let (mut scale, mut offset) = ([0.0; ROWS], [0.0; ROWS]);
    for row in 0..ROWS {
        let n = p.channels.len();
        let s = RowStatistics::of_sums(n, sums[row].into(), squares_of[row], p.inv, p.q, p.eps);
        let rho = s.rho as f64 / (1u64 << s.shift) as f64;
        scale[row] = 16.0 * rho;
        offset[row] = 0.5 - s.mu as f64 * rho;
    }
    // SAFETY: 64 bytes each; the loads need no alignment.
    unsafe {
        (
            _mm512_loadu_pd(scale.as_ptr()),
            _mm512_loadu_pd(offset.as_ptr()),
        )
    }
}

/// One channel of eight rows: y16 and y8, the latter not saturated yet.
#[target_feature(enable = "avx512f")]
#[inline]
fn normalise(
    x: __m256i,
    scale: __m512d,
    offset: __m512d,
    (gamma, beta): (f64, f64),
    p: &NormScales,
) -> (__m256i, __m256i) {
    let half = _mm512_set1_pd(0.5);
    let floor = |v| _mm512_roundscale_pd::<DOWN>(v);
    let clamp = |v, least, most| {
        let v = _mm512_min_pd(v, _mm512_set1_pd(most));
        _mm512_max_pd(v, _mm512_set1_pd(least))
    };
    let z = floor(_mm512_fmadd_pd(_mm512_cvtepi32_pd(x), scale, offset));
    let z = clamp(z, -131_071.0, 131_071.0);
    let h = _mm512_fmadd_pd(z, _mm512_set1_pd(gamma), _mm512_set1_pd(beta));
    let h = clamp(h, -67_108_864.0, 67_108_863.0);
    let wide = floor(_mm512_fmadd_pd(h, _mm512_set1_pd(p.wide), half));
    let wide = clamp(wide, -32767.0, 32767.0);
    // At most 2^15 * 2^15.
    let narrow = _mm512_fmadd_pd(wide, _mm512_set1_pd(p.narrow), half);
    (
        _mm512_cvttpd_epi32(wide),
        _mm512_cvt_roundpd_epi32::<DOWN>(narrow),
    )
}

/// Eight channels of eight rows as `[row][8 channels]`, saturated to -127..=127.
#[target_feature(enable = "avx2")]
#[inline]
fn put(target: &mut [u8; 64], codes: &[__m256i; OCTET]) {
    let by_row = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
    ));
    let four = |a: &[__m256i]| {
        let first = _mm256_packs_epi32(a[0], a[1]);
        let codes = _mm256_packs_epi16(first, _mm256_packs_epi32(a[2], a[3]));
        _mm256_shuffle_epi8(_mm256_max_epi8(codes, _mm256_set1_epi8(-127)), by_row)
    };
    let (low, high) = (four(&codes[..4]), four(&codes[4..]));
    // Of each half (four rows) two rows each.
    let (first, second) = (
        _mm256_unpacklo_epi32(low, high),
        _mm256_unpackhi_epi32(low, high),
    );
    let halves = [
        _mm256_permute2x128_si256::<0x20>(first, second),
        _mm256_permute2x128_si256::<0x31>(first, second),
    ];
    for (target, half) in target.as_chunks_mut::<32>().0.iter_mut().zip(halves) {
        store(target, half);
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(from: &[u8; 32]) -> __m256i {
    crate::kernels::vector::avx2::registers::load(from)
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(to: &mut [u8; 32], v: __m256i) {
    crate::kernels::vector::avx2::registers::store(to, v);
}
