//! The drain: sums to results in the words of a slab.

use std::arch::x86_64::*;

use super::registers::{load, store, store_half};
use super::requantize::Scale;
use crate::kernels::vector::detect::assert_avx2;
use crate::kernels::vector::octet::{QUAD, RowSums};
use crate::kernels::vector::slab::{Format, Slab};

/// Requantizes and writes the sums of a row tile with an octet of channels.
pub fn drain(place: &Slab<'_>, scale: &Scale, sums: &[RowSums], target: &mut [u8]) {
    assert_avx2();
    assert!(sums.len() == place.rows && place.rows.is_multiple_of(QUAD));
    place.fill(target, |slab| {
        // SAFETY: AVX2 and FMA were detected above.
        unsafe { drain_quads(place, scale, sums, slab) };
    });
}

#[target_feature(enable = "avx2,fma")]
fn drain_quads(place: &Slab<'_>, scale: &Scale, sums: &[RowSums], slab: &mut [u8]) {
    for (quad, rows) in sums.as_chunks::<QUAD>().0.iter().enumerate() {
        let results = [
            scale.apply(load(&rows[0].0)),
            scale.apply(load(&rows[1].0)),
            scale.apply(load(&rows[2].0)),
            scale.apply(load(&rows[3].0)),
        ];
        put(place, slab, quad, results);
    }
}

/// The results of four rows.
#[target_feature(enable = "avx2")]
#[inline]
fn put(place: &Slab<'_>, slab: &mut [u8], quad: usize, results: [__m128i; QUAD]) {
    match place.format {
        Format::Act | Format::Gelu(_) => {
            let codes = _mm256_setr_m128i(
                _mm_packs_epi16(results[0], results[1]),
                _mm_packs_epi16(results[2], results[3]),
            );
            let Some(target) = slab[quad * 32..].first_chunk_mut::<32>() else {
                return;
            };
            if let Format::Gelu(table) = place.format {
                store(target, _mm256_xor_si256(codes, _mm256_set1_epi8(-128)));
                for code in target {
                    *code = table[usize::from(*code)];
                }
            } else {
                store(target, codes);
            }
        }
        Format::Res => {
            // Two channels of a row are 32 bits: a transposition of four rows by four words.
            let (a, b) = (
                _mm_unpacklo_epi32(results[0], results[1]),
                _mm_unpacklo_epi32(results[2], results[3]),
            );
            let (c, d) = (
                _mm_unpackhi_epi32(results[0], results[1]),
                _mm_unpackhi_epi32(results[2], results[3]),
            );
            let words = [
                _mm_unpacklo_epi64(a, b),
                _mm_unpackhi_epi64(a, b),
                _mm_unpacklo_epi64(c, d),
                _mm_unpackhi_epi64(c, d),
            ];
            for (word, v) in slab.chunks_exact_mut(place.rows * 4).zip(words) {
                if let Some(target) = word[quad * 16..].first_chunk_mut() {
                    store_half(target, v);
                }
            }
        }
        Format::Scores => {
            // [row][word] of 16 bits to [word][row].
            let low = _mm_packs_epi16(results[0], results[1]);
            let high = _mm_packs_epi16(results[2], results[3]);
            let (a, b) = (_mm_unpacklo_epi16(low, high), _mm_unpackhi_epi16(low, high));
            let (a, b) = (_mm_unpacklo_epi16(a, b), _mm_unpackhi_epi16(a, b));
            let words = [
                _mm_cvtsi128_si64(a),
                _mm_extract_epi64::<1>(a),
                _mm_cvtsi128_si64(b),
                _mm_extract_epi64::<1>(b),
            ];
            for (word, v) in slab.chunks_exact_mut(place.rows * 2).zip(words) {
                word[quad * 8..][..8].copy_from_slice(&v.to_le_bytes());
            }
        }
    }
}
