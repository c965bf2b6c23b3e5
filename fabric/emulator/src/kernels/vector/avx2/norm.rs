//! Layer norm in f64, with four token rows in the four lanes.
//!
//! A word of RESX holds two channels of each row, four bytes a row: four rows are a vector as they lie, and every row has its own
//! lane from the sums to the results.
//!
//! Every product and rounding of `docs/numerics.md`, section 7, is exact in f64: the widest value is the 43-bit product of requantization, a
//! power of two only moves its point (at most 40 places), and one half added to it stays within 53 bits. So `floor(v * 2^-s + 1/2)` is the
//! rounding shift.

use std::arch::x86_64::*;

use fqbert_numerics::layernorm::{LayerNormParams, N_MAX, RowStatistics};
use fqbert_numerics::requant::effective_shift;

use super::{assert_detected, load_four, load_half, store, store_half};
use crate::kernels::vector::fused::OCTET;
use crate::kernels::vector::path::QUAD;

/// Parameters of a layer norm in f64.
#[derive(Debug)]
pub struct NormScales {
    /// Gamma and beta of each channel.
    channels: Vec<(f64, f64)>,
    /// `m16 * 2^-s16` and `m8 * 2^-s8`.
    wide: f64,
    narrow: f64,
    inv: u32,
    q: u8,
    eps: u32,
}

impl NormScales {
    /// The same parameters, converted once for all rows.
    pub fn new(p: &LayerNormParams) -> Self {
        let factor = |multiplier: u16, shift: u8| {
            f64::from(multiplier) / (1u64 << effective_shift(shift)) as f64
        };
        let channels = p.gamma.iter().zip(&p.beta);
        Self {
            channels: channels
                .map(|(g, b)| (f64::from(*g), f64::from(*b)))
                .collect(),
            wide: factor(p.m16, p.s16),
            narrow: factor(p.m8, p.s8),
            inv: p.inv,
            q: p.q,
            eps: p.eps,
        }
    }
}

/// A row tile of `rows` rows: residual add of `branch` to `stream` and `fqbert_numerics::layernorm::layernorm_row` of each row's sum.
///
/// `stream` (words of RESX) becomes y16 in place and `narrow` (words of ACT) y8.
pub fn layer_norm_tile(
    stream: &mut [u8],
    branch: &[u8],
    narrow: &mut [u8],
    rows: usize,
    p: &NormScales,
) {
    assert_detected();
    let n = p.channels.len();
    assert!(
        n.is_multiple_of(OCTET) && (1..=N_MAX).contains(&n) && rows.is_multiple_of(QUAD),
        "a legal width, and a shape checked by usable_for"
    );
    assert!(
        [stream.len(), branch.len(), 2 * narrow.len()] == [2 * n * rows; 3],
        "{n} channels of {rows} rows"
    );
    for quad in 0..rows / QUAD {
        // SAFETY: AVX2 and FMA were detected above.
        unsafe { quad_norm(stream, branch, narrow, rows, quad, p) };
    }
}

#[target_feature(enable = "avx2,fma")]
fn quad_norm(
    stream: &mut [u8],
    branch: &[u8],
    narrow: &mut [u8],
    rows: usize,
    quad: usize,
    p: &NormScales,
) {
    let word = 4 * rows;
    let (mut sum, mut squares) = (_mm_setzero_si128(), _mm256_setzero_si256());
    let ones = _mm_set1_epi16(1);
    for (x, b) in stream.chunks_exact_mut(word).zip(branch.chunks_exact(word)) {
        let (Some(x), Some(b)) = (
            x[quad * 16..].first_chunk_mut::<16>(),
            b[quad * 16..].first_chunk::<16>(),
        ) else {
            continue;
        };
        let both = _mm_adds_epi16(load_half(x), load_half(b));
        let both = _mm_max_epi16(both, _mm_set1_epi16(-i16::MAX));
        store_half(x, both);
        sum = _mm_add_epi32(sum, _mm_madd_epi16(both, ones));
        // Two squares are at most 2 * 32767^2 < 2^31.
        let two = _mm256_cvtepu32_epi64(_mm_madd_epi16(both, both));
        squares = _mm256_add_epi64(squares, two);
    }
    let (mut sums, mut squares_of) = ([0u8; 16], [0i64; QUAD]);
    store_half(&mut sums, sum);
    store(&mut squares_of, squares);

    // z = floor(x * scale + offset): 16 * x - mu, times rho, shifted and rounded.
    let (mut scale, mut offset) = ([0.0; QUAD], [0.0; QUAD]);
    for row in 0..QUAD {
        let sum = i32::from_le_bytes(sums.as_chunks().0[row]);
        let s = RowStatistics::of_sums(
            p.channels.len(),
            sum.into(),
            squares_of[row],
            p.inv,
            p.q,
            p.eps,
        );
        let rho = s.rho as f64 / (1u64 << s.shift) as f64;
        scale[row] = 16.0 * rho;
        offset[row] = 0.5 - s.mu as f64 * rho;
    }
    let (scale, offset) = (load_four(&scale), load_four(&offset));
    let octets = stream
        .chunks_exact_mut(4 * word)
        .zip(narrow.chunks_exact_mut(rows * OCTET));
    for ((words, codes), channels) in octets.zip(p.channels.as_chunks::<OCTET>().0) {
        let mut y8 = [_mm_setzero_si128(); OCTET];
        for (at, word) in words.chunks_exact_mut(word).enumerate() {
            let Some(word) = word[quad * 16..].first_chunk_mut::<16>() else {
                continue;
            };
            let x = load_half(word);
            let even = _mm_srai_epi32::<16>(_mm_slli_epi32::<16>(x));
            let odd = _mm_srai_epi32::<16>(x);
            let (even, even8) = normalise(even, scale, offset, channels[2 * at], p);
            let (odd, odd8) = normalise(odd, scale, offset, channels[2 * at + 1], p);
            store_half(
                word,
                _mm_blend_epi16::<0b1010_1010>(even, _mm_slli_epi32::<16>(odd)),
            );
            (y8[2 * at], y8[2 * at + 1]) = (even8, odd8);
        }
        let by_row = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        let four = |a: &[__m128i]| {
            let codes = _mm_packs_epi16(_mm_packs_epi32(a[0], a[1]), _mm_packs_epi32(a[2], a[3]));
            _mm_shuffle_epi8(_mm_max_epi8(codes, _mm_set1_epi8(-127)), by_row)
        };
        let (low, high) = (four(&y8[..4]), four(&y8[4..]));
        let codes = codes[quad * 32..].as_chunks_mut::<16>().0;
        if let [first, second, ..] = codes {
            store_half(first, _mm_unpacklo_epi32(low, high));
            store_half(second, _mm_unpackhi_epi32(low, high));
        }
    }
}

/// One channel of four rows: y16 and y8, the latter not saturated yet.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn normalise(
    x: __m128i,
    scale: __m256d,
    offset: __m256d,
    (gamma, beta): (f64, f64),
    p: &NormScales,
) -> (__m128i, __m128i) {
    let half = _mm256_set1_pd(0.5);
    let clamp = |v, least, most| {
        _mm256_max_pd(
            _mm256_min_pd(v, _mm256_set1_pd(most)),
            _mm256_set1_pd(least),
        )
    };
    let z = _mm256_floor_pd(_mm256_fmadd_pd(_mm256_cvtepi32_pd(x), scale, offset));
    let z = clamp(z, -131_071.0, 131_071.0);
    let h = _mm256_fmadd_pd(z, _mm256_set1_pd(gamma), _mm256_set1_pd(beta));
    let h = clamp(h, -67_108_864.0, 67_108_863.0);
    let wide = _mm256_floor_pd(_mm256_fmadd_pd(h, _mm256_set1_pd(p.wide), half));
    let wide = clamp(wide, -32767.0, 32767.0);
    // At most 2^15 * 2^15.
    let narrow = _mm256_floor_pd(_mm256_fmadd_pd(wide, _mm256_set1_pd(p.narrow), half));
    (_mm256_cvttpd_epi32(wide), _mm256_cvttpd_epi32(narrow))
}
