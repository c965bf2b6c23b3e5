//! Weights as the dot products take them, and the zero-point corrections of rows.
//!
//! A line of 4-bit weights is two vectors whose 64-bit lanes are two channels' halves of a word:
//! terms 0..4 of one and terms 4..8 of the other. Eight terms of a row, broadcast, meet them, and
//! [`join`](super::registers::join) adds the halves without a horizontal addition.

use std::arch::x86_64::*;

use super::registers::{load, load_half, store};
use crate::kernels::operands::Operands;
use crate::kernels::vector::detect::assert_avx2;
use crate::kernels::vector::octet::{Line, Octet};

/// Weights are kept plus 8, to be unsigned.
pub const ZERO_POINT: i32 = 8;

/// 4-bit weights plus 8, a line a word.
pub fn unpack4(weights: &Octet<'_>, lines: &mut [Line]) {
    assert_avx2();
    // SAFETY: AVX2 was detected above.
    unsafe { unpack4_words(weights, lines) };
}

#[target_feature(enable = "avx2")]
fn unpack4_words(weights: &Octet<'_>, lines: &mut [Line]) {
    let whole = weights.each_whole::<32>(lines.len(), |word, bytes| {
        unpack4_word(load(bytes), &mut lines[word]);
    });
    if !whole {
        for (chunk, line) in lines.iter_mut().enumerate() {
            let pair = |place| weights.terms(place, chunk) as i64;
            unpack4_word(_mm256_setr_epi64x(pair(0), pair(1), pair(2), pair(3)), line);
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn unpack4_word(word: __m256i, Line(line): &mut Line) {
    let (low, eights) = (_mm256_set1_epi8(15), _mm256_set1_epi8(8));
    let even = _mm256_xor_si256(_mm256_and_si256(word, low), eights);
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(word), low);
    // The one code that leaves the packed multiplier's pre-adder and counts as +8:
    // `fqbert_numerics::packed::unpack_pair`.
    let signs = _mm256_and_si256(word, _mm256_set1_epi8(0xf8u8 as i8));
    let wraps = _mm256_cmpeq_epi8(signs, _mm256_set1_epi8(0x88u8 as i8));
    let sixteen = _mm256_and_si256(wraps, _mm256_set1_epi8(16));
    let odd = _mm256_or_si256(_mm256_xor_si256(high, eights), sixteen);
    if let [first, second] = line.as_chunks_mut::<32>().0 {
        store(first, _mm256_blend_epi32::<0b1010_1010>(even, odd));
        store(second, _mm256_blend_epi32::<0b1010_1010>(odd, even));
    }
}

/// 8-bit codes as i16, two lines a word: 8 terms of each channel.
pub fn unpack8(weights: &Octet<'_>, lines: &mut [Line]) {
    assert_avx2();
    // SAFETY: AVX2 was detected above.
    unsafe { unpack8_words(weights, lines) };
}

#[target_feature(enable = "avx2")]
fn unpack8_words(weights: &Octet<'_>, lines: &mut [Line]) {
    for (chunk, two) in lines.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let codes = weights.places::<64>(chunk);
        let vectors = two.iter_mut().flat_map(|l| l.0.as_chunks_mut::<32>().0);
        for (vector, codes) in vectors.zip(codes.as_chunks::<16>().0) {
            store(vector, _mm256_cvtepi8_epi16(load_half(codes)));
        }
    }
}

/// Zero-point corrections of a row tile: [`ZERO_POINT`] times the sum of each row.
pub fn row_corrections(x: &Operands<'_>, tile: usize, sums: &mut [i32]) {
    assert_avx2();
    // SAFETY: AVX2 was detected above.
    unsafe { sum_quads(x, tile, sums) };
}

#[target_feature(enable = "avx2")]
fn sum_quads(x: &Operands<'_>, tile: usize, out: &mut [i32]) {
    let words = x.a_tile(tile);
    let (factor, ones) = (_mm256_set1_epi8(ZERO_POINT as i8), _mm256_set1_epi16(1));
    for (quad, sums) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let mut sum = _mm256_setzero_si256();
        for word in words.chunks_exact(x.a_word()) {
            let Some(word) = word[quad * 32..].first_chunk::<32>() else {
                continue;
            };
            // |8 * (a + a')| <= 2048: no saturation.
            let pairs = _mm256_maddubs_epi16(factor, load(word));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
        }
        let mut halves = [0i32; 8];
        store(&mut halves, sum);
        for (sum, two) in sums.iter_mut().zip(halves.as_chunks::<2>().0) {
            *sum = two[0] + two[1];
        }
    }
}
