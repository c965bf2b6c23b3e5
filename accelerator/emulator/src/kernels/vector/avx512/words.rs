//! Results to the words of their destination.
//!
//! Results of a row are 16 numbers of 32 bits, 8 channels of one octet and 8 of the other. A slab's
//! words hold all rows of some channels, so that eight rows or four are parts of its words.

use std::arch::x86_64::*;

use super::gelu::Table;

/// The slabs of both octets, where some rows' results go: to each word of a slab at
/// `word * stride`.
#[derive(Clone, Copy)]
pub struct Targets {
    /// Of the first row that is written.
    pub slabs: [*mut u8; 2],
    /// Bytes of a word of the slab, of all rows.
    pub word: usize,
}

/// ACT: `[row][8 channels]` of 8 bits, through the table where there is one.
///
/// # Safety
/// 32 bytes of each slab can be written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub unsafe fn act_with_table(to: Targets, rows: [__m512i; 4], table: &Table) {
    // SAFETY: as the caller guarantees.
    unsafe { put_act(to, table.of(act_codes(rows))) }
}

/// ACT: `[row][8 channels]` of 8 bits.
///
/// # Safety
/// 32 bytes of each slab can be written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub unsafe fn act(to: Targets, rows: [__m512i; 4]) {
    // SAFETY: as the caller guarantees.
    unsafe { put_act(to, act_codes(rows)) }
}

/// ACT through a table that is in memory.
///
/// # Safety
/// 32 bytes of each slab can be written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub unsafe fn act_by_lookup(to: Targets, rows: [__m512i; 4], table: &[u8; 256]) {
    let indices = _mm512_xor_si512(act_codes(rows), _mm512_set1_epi8(-128));
    // SAFETY: as the caller guarantees; the codes were stored there just before.
    unsafe {
        put_act(to, indices);
        for slab in to.slabs {
            for code in std::slice::from_raw_parts_mut(slab, 32) {
                *code = table[usize::from(*code)];
            }
        }
    }
}

/// SCR: 4 words of `[row][2 channels]` of 8 bits.
///
/// # Safety
/// 8 bytes of each of the 4 words can be written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub unsafe fn scores(to: Targets, rows: [__m512i; 4]) {
    // Each 128 bits: 4 rows of 4 channels, so two words' parts.
    let codes = pack_bytes(rows);
    let by_word = _mm512_broadcast_i32x4(_mm_setr_epi8(
        0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15,
    ));
    let codes = _mm512_shuffle_epi8(codes, by_word);
    let mut words = [0u8; 64];
    // SAFETY: 64 bytes; then as the caller guarantees.
    unsafe {
        _mm512_storeu_si512(words.as_mut_ptr().cast(), codes);
        for (slab, four) in to.slabs.into_iter().zip(words.as_chunks::<32>().0) {
            for (word, eight) in four.as_chunks::<8>().0.iter().enumerate() {
                slab.add(word * to.word).cast::<[u8; 8]>().write(*eight);
            }
        }
    }
}

/// RESB: 4 words of `[row][2 channels]` of 16 bits.
///
/// # Safety
/// 16 bytes of each of the 4 words can be written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub unsafe fn res(to: Targets, rows: [__m512i; 4]) {
    let least = _mm512_set1_epi16(-i16::MAX);
    let [a, b, c, d] = rows;
    let first = _mm512_max_epi16(_mm512_packs_epi32(a, b), least);
    let second = _mm512_max_epi16(_mm512_packs_epi32(c, d), least);
    // Each 128 bits: two rows of 4 channels. Two channels of a row are 32 bits.
    let [first, second] = [_mm512_castsi512_ps(first), _mm512_castsi512_ps(second)];
    let even = _mm512_castps_si512(_mm512_shuffle_ps::<0b10_00_10_00>(first, second));
    let odd = _mm512_castps_si512(_mm512_shuffle_ps::<0b11_01_11_01>(first, second));
    // SAFETY: as the caller guarantees.
    unsafe {
        let put = |octet: usize, word: usize, v| {
            _mm_storeu_si128(to.slabs[octet].add(word * to.word).cast(), v);
        };
        put(0, 0, _mm512_castsi512_si128(even));
        put(0, 1, _mm512_castsi512_si128(odd));
        put(0, 2, _mm512_extracti32x4_epi32::<1>(even));
        put(0, 3, _mm512_extracti32x4_epi32::<1>(odd));
        put(1, 0, _mm512_extracti32x4_epi32::<2>(even));
        put(1, 1, _mm512_extracti32x4_epi32::<2>(odd));
        put(1, 2, _mm512_extracti32x4_epi32::<3>(even));
        put(1, 3, _mm512_extracti32x4_epi32::<3>(odd));
    }
}

/// Four rows in 8 bits, saturated to -127..=127: each 128 bits are 4 channels of the 4 rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn pack_bytes([a, b, c, d]: [__m512i; 4]) -> __m512i {
    let codes = _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    _mm512_max_epi8(codes, _mm512_set1_epi8(-127))
}

/// `[octet][row][8 channels]`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn act_codes(rows: [__m512i; 4]) -> __m512i {
    let by_row = _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    _mm512_permutexvar_epi32(by_row, pack_bytes(rows))
}

/// # Safety
/// 32 bytes of each slab can be written.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn put_act(to: Targets, codes: __m512i) {
    let halves = [
        _mm512_castsi512_si256(codes),
        _mm512_extracti64x4_epi64::<1>(codes),
    ];
    for (slab, half) in to.slabs.into_iter().zip(halves) {
        // SAFETY: as the caller guarantees.
        unsafe { _mm256_storeu_si256(slab.cast(), half) };
    }
}
