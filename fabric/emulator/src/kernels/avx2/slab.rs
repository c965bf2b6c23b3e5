//! The words of a destination memory that hold one octet of channels of one row tile.

use std::arch::x86_64::*;
use std::ops::Range;

use super::dot::QUAD;
use super::store_half;
use crate::kernels::fused::{Format, OCTET};

/// Bytes of the largest slab: 32 rows of 16 bits.
const LARGEST: usize = 32 * OCTET * 2;
/// Most rows a tile may have.
pub const MOST_ROWS: usize = LARGEST / OCTET / 2;

/// A slab being written.
pub struct Slab<'a> {
    pub format: Format<'a>,
    pub rows: usize,
    /// Places of the octet whose channels are written; even bounds.
    pub valid: Range<usize>,
}

impl Slab<'_> {
    /// Fills `target` with what `compute` gives for each quad of rows: 8 results of each of its rows. `target` may end early
    /// after the last valid word.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    pub fn fill(&self, target: &mut [u8], mut compute: impl FnMut(usize) -> [__m128i; QUAD]) {
        let bytes = self.format.bytes(self.rows);
        if self.valid == (0..OCTET) && target.len() >= bytes {
            for quad in 0..self.rows / QUAD {
                self.put(&mut target[..bytes], quad, compute(quad));
            }
            return;
        }
        let mut whole = [0; LARGEST];
        let whole = &mut whole[..bytes];
        for quad in 0..self.rows / QUAD {
            self.put(whole, quad, compute(quad));
        }
        self.merge(target, whole);
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn put(&self, slab: &mut [u8], quad: usize, results: [__m128i; QUAD]) {
        match self.format {
            Format::Act | Format::Gelu(_) => {
                let codes = _mm256_setr_m128i(
                    _mm_packs_epi16(results[0], results[1]),
                    _mm_packs_epi16(results[2], results[3]),
                );
                let Some(target) = slab[quad * 32..].first_chunk_mut::<32>() else {
                    return;
                };
                if let Format::Gelu(table) = self.format {
                    super::store(target, _mm256_xor_si256(codes, _mm256_set1_epi8(-128)));
                    for code in target {
                        *code = table[usize::from(*code)];
                    }
                } else {
                    super::store(target, codes);
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
                for (word, v) in slab.chunks_exact_mut(self.rows * 4).zip(words) {
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
                for (word, v) in slab.chunks_exact_mut(self.rows * 2).zip(words) {
                    word[quad * 8..][..8].copy_from_slice(&v.to_le_bytes());
                }
            }
        }
    }

    /// The valid channels of `whole` into `target`.
    fn merge(&self, target: &mut [u8], whole: &[u8]) {
        match self.format {
            Format::Act | Format::Gelu(_) => {
                let rows = target.as_chunks_mut::<OCTET>().0.iter_mut();
                for (old, new) in rows.zip(whole.as_chunks::<OCTET>().0) {
                    old[self.valid.clone()].copy_from_slice(&new[self.valid.clone()]);
                }
            }
            Format::Res | Format::Scores => {
                let word = whole.len() / self.format.words();
                let range = self.valid.start / 2 * word..self.valid.end / 2 * word;
                target[range.clone()].copy_from_slice(&whole[range]);
            }
        }
    }
}
