//! Weights as the dot products take them, and the zero-point corrections.
//!
//! A line is the same as AVX2's two vectors, in one register: 64-bit lanes of two channels' halves
//! of a word.

use std::arch::x86_64::*;

use crate::kernels::operands::Operands;
use crate::kernels::vector::avx2;
use crate::kernels::vector::detect::assert_avx512_vnni;
use crate::kernels::vector::octet::{Line, OCTET, Octet};

/// 4-bit weights plus 8, a line a word.
pub fn unpack4(weights: &Octet<'_>, lines: &mut [Line]) {
    assert_avx512_vnni();
    // SAFETY: the features were detected above.
    unsafe { unpack4_words(weights, lines) };
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn unpack4_words(weights: &Octet<'_>, lines: &mut [Line]) {
    let whole = weights.each_whole::<32>(lines.len(), |word, bytes| {
        store(&mut lines[word], unpack4_word(load(bytes)));
    });
    if !whole {
        for (chunk, line) in lines.iter_mut().enumerate() {
            let pair = |place| weights.terms(place, chunk) as i64;
            let word = _mm256_setr_epi64x(pair(0), pair(1), pair(2), pair(3));
            store(line, unpack4_word(word));
        }
    }
}

/// Lanes of 32 bits take the low nibbles (even channels) and the high ones (odd channels) in turn,
/// the second half the other way.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
fn unpack4_word(word: __m256i) -> __m512i {
    let word = _mm512_broadcast_i64x4(word);
    let nibble = _mm512_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4, 4, 0, 4, 0, 4, 0, 4, 0);
    let codes = _mm512_srlv_epi32(word, nibble);
    // (codes & 15) ^ 8
    let plus8 =
        _mm512_ternarylogic_epi32::<0b0111_1000>(_mm512_set1_epi8(8), codes, _mm512_set1_epi8(15));
    // The one code that leaves the packed multiplier's pre-adder and counts as +8:
    // `fqbert_numerics::packed::unpack_pair`. An odd channel's -8 beside a negative even one.
    let odd = 0b0101_0101_1010_1010;
    let signs = _mm512_maskz_and_epi32(odd, word, _mm512_set1_epi8(0xf8u8 as i8));
    let wraps = _mm512_cmpeq_epi8_mask(signs, _mm512_set1_epi8(0x88u8 as i8));
    _mm512_mask_blend_epi8(wraps, plus8, _mm512_set1_epi8(16))
}

/// 8-bit codes in the order of [`unpack4`], a line a word.
pub fn unpack8(weights: &Octet<'_>, lines: &mut [Line]) {
    assert_avx512_vnni();
    // SAFETY: the features were detected above.
    unsafe { unpack8_words(weights, lines) };
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn unpack8_words(weights: &Octet<'_>, lines: &mut [Line]) {
    let order = _mm512_setr_epi32(0, 3, 4, 7, 8, 11, 12, 15, 2, 1, 6, 5, 10, 9, 14, 13);
    let put = |line: &mut Line, codes: &[u8; 64]| {
        // SAFETY: 64 bytes; the load needs no alignment.
        let codes = unsafe { _mm512_loadu_si512(codes.as_ptr().cast()) };
        store(line, _mm512_permutexvar_epi32(order, codes));
    };
    if !weights.each_whole(lines.len(), |word, codes| put(&mut lines[word], codes)) {
        for (word, line) in lines.iter_mut().enumerate() {
            put(line, &weights.places(word));
        }
    }
}

/// The sum of each channel's 8-bit codes.
pub fn code_sums(_: &Octet<'_>, lines: &[Line]) -> [i32; OCTET] {
    assert_avx512_vnni();
    // SAFETY: the features were detected above.
    unsafe { code_sums_of(lines) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn code_sums_of(lines: &[Line]) -> [i32; OCTET] {
    let mut sums = _mm512_setzero_si512();
    for Line(line) in lines {
        // SAFETY: 64 bytes; the load needs no alignment.
        let codes = unsafe { _mm512_loadu_si512(line.as_ptr().cast()) };
        sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(1), codes);
    }
    let joined = avx2::registers::join(
        _mm512_castsi512_si256(sums),
        _mm512_extracti64x4_epi64::<1>(sums),
    );
    let mut out = [0; OCTET];
    avx2::registers::store(&mut out, joined);
    out
}

/// Zero-point corrections of a row tile: 8 times the sum of each row.
pub fn row_corrections(x: &Operands<'_>, tile: usize, sums: &mut [i32]) {
    assert_avx512_vnni();
    if x.rows.is_multiple_of(8) {
        // SAFETY: the features were detected above.
        unsafe { sum_rows(x, tile, sums) };
    } else {
        avx2::row_corrections(x, tile, sums);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn sum_rows(x: &Operands<'_>, tile: usize, out: &mut [i32]) {
    let words = x.a_tile(tile);
    let eights = _mm512_set1_epi8(avx2::ZERO_POINT as i8);
    for (group, sums) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let mut sum = _mm512_setzero_si512();
        for word in words.chunks_exact(x.a_word()) {
            if let Some(word) = word[group * 64..].first_chunk::<64>() {
                // SAFETY: 64 bytes; the load needs no alignment.
                let terms = unsafe { _mm512_loadu_si512(word.as_ptr().cast()) };
                sum = _mm512_dpbusd_epi32(sum, eights, terms);
            }
        }
        // Two lanes a row, to be added.
        let pairs = _mm512_add_epi32(sum, _mm512_srli_epi64::<32>(sum));
        avx2::registers::store(sums, _mm512_cvtepi64_epi32(pairs));
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(from: &[u8; 32]) -> __m256i {
    avx2::registers::load(from)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(Line(to): &mut Line, v: __m512i) {
    // SAFETY: a line is 64 bytes, aligned.
    unsafe { _mm512_store_si512(to.as_mut_ptr().cast(), v) };
}
