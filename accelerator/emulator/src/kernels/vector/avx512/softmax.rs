//! Softmax of sixteen rows side by side, each in a lane of 32 bits.

use std::arch::x86_64::*;
use std::cell::RefCell;

use fqbert_numerics::softmax::reciprocal;

use crate::kernels::softmax_rows::{ScoreTile, bounds};
use crate::kernels::vector::avx2;
use crate::kernels::vector::detect::assert_avx512_vnni;
use crate::kernels::vector::octet::Line;

/// Rows side by side.
const ROWS: usize = 16;

thread_local! {
    /// Exponentials of a thread's rows, a line for two columns of all.
    static EXPONENTIALS: RefCell<Vec<Line>> = RefCell::default();
}

/// A row tile of a SOFTMAX.
pub fn softmax_tile(x: &ScoreTile<'_>, out: &mut [u8]) {
    assert_avx512_vnni();
    let whole = x.columns.is_multiple_of(8)
        && x.scores.len() >= x.rows * x.columns
        && x.ranges.len() >= x.rows
        && out.len() >= x.rows * x.columns;
    if !x.rows.is_multiple_of(ROWS) || !whole {
        avx2::softmax_tile(x, out);
        return;
    }
    EXPONENTIALS.with_borrow_mut(|exponentials| {
        let words = x.columns / 2;
        exponentials.resize(words.max(exponentials.len()), Line([0; 64]));
        for group in 0..x.rows / ROWS {
            // SAFETY: the features were detected above.
            unsafe { some_rows(x, group, &mut exponentials[..words], out) };
        }
    });
}

/// Where the rows' column ranges begin and end.
struct Ranges {
    lo: [u32; ROWS],
    hi: [u32; ROWS],
}

impl Ranges {
    /// Which of the bytes `[row][2 columns]` of word `at` lie in their row's range.
    #[target_feature(enable = "avx512f,bmi2")]
    #[inline]
    fn inside(&self, at: usize) -> u32 {
        let (lo, hi) = (load_rows(&self.lo), load_rows(&self.hi));
        let rows = |column: usize| {
            let column = _mm512_set1_epi32(column as i32);
            _mm512_cmple_epu32_mask(lo, column) & _mm512_cmplt_epu32_mask(column, hi)
        };
        let (even, odd) = (rows(2 * at), rows(2 * at + 1));
        _pdep_u32(even.into(), 0x5555_5555) | _pdep_u32(odd.into(), 0xaaaa_aaaa)
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi2")]
fn some_rows(x: &ScoreTile<'_>, group: usize, exponentials: &mut [Line], out: &mut [u8]) {
    let range = |row: usize| bounds(&x.ranges[group * ROWS + row]);
    let ranges = Ranges {
        lo: std::array::from_fn(|row| range(row).0 as u32),
        hi: std::array::from_fn(|row| range(row).1.min(x.columns) as u32),
    };
    let word = |at: usize| {
        let start = (at * x.rows + group * ROWS) * 2;
        let bytes = x.scores[start..].first_chunk().unwrap_or(&[0; 2 * ROWS]);
        avx2::registers::load(bytes)
    };

    // The maximum of each row in both of its bytes.
    let mut most = _mm256_set1_epi8(i8::MIN);
    for at in 0..exponentials.len() {
        most = _mm256_mask_max_epi8(most, ranges.inside(at), most, word(at));
    }
    let swapped = _mm256_or_si256(_mm256_slli_epi16::<8>(most), _mm256_srli_epi16::<8>(most));
    most = _mm256_max_epi8(most, swapped);

    let table = Table::load(x.table);
    let low = _mm512_set1_epi32(0xffff);
    let mut sums = _mm512_setzero_si512();
    for (at, Line(pairs)) in exponentials.iter_mut().enumerate() {
        let index = _mm512_cvtepu8_epi16(_mm256_sub_epi8(most, word(at)));
        // The even column in the low half of a row's lane.
        let two = _mm512_maskz_mov_epi16(ranges.inside(at), table.of(index));
        let both = _mm512_add_epi32(_mm512_and_si512(two, low), _mm512_srli_epi32::<16>(two));
        sums = _mm512_add_epi32(sums, both);
        // SAFETY: a line is 64 bytes, aligned.
        unsafe { _mm512_store_si512(pairs.as_mut_ptr().cast(), two) };
    }

    let mut factors = [0u32; ROWS];
    // SAFETY: 64 bytes; neither needs alignment.
    let factors = unsafe {
        _mm512_storeu_si512(factors.as_mut_ptr().cast(), sums);
        factors = factors.map(|sum| reciprocal(sum.into()));
        _mm512_loadu_si512(factors.as_ptr().cast())
    };
    let words = out.chunks_exact_mut(x.rows * 8);
    for (word, four) in words.zip(exponentials.as_chunks::<4>().0) {
        let (low, high) = (
            two_words(&four[0], &four[1], factors),
            two_words(&four[2], &four[3], factors),
        );
        let (a, b) = (
            _mm512_unpacklo_epi32(low, high),
            _mm512_unpackhi_epi32(low, high),
        );
        let first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
        let second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
        if let Some(target) = word[group * ROWS * 8..].first_chunk_mut::<{ ROWS * 8 }>() {
            // SAFETY: 128 bytes; the stores need no alignment.
            unsafe {
                let target = target.as_mut_ptr();
                let (a, b) = (
                    _mm512_permutex2var_epi64(a, first, b),
                    _mm512_permutex2var_epi64(a, second, b),
                );
                _mm512_storeu_si512(target.cast(), a);
                _mm512_storeu_si512(target.add(64).cast(), b);
            }
        }
    }
}

/// Four probabilities of each row, out of two lines of exponentials.
///
/// An exponential is part of the sum, so its product is at most `255 * 2^24`: all of it fits 32
/// bits, and the probability is its top byte.
#[target_feature(enable = "avx512f")]
#[inline]
fn two_words(first: &Line, second: &Line, factors: __m512i) -> __m512i {
    let product = |e| _mm512_add_epi32(_mm512_mullo_epi32(e, factors), _mm512_set1_epi32(1 << 23));
    let columns = |Line(line): &Line| {
        // SAFETY: a line is 64 bytes, aligned.
        let two = unsafe { _mm512_load_si512(line.as_ptr().cast()) };
        let even = _mm512_and_si512(two, _mm512_set1_epi32(0xffff));
        [product(even), product(_mm512_srli_epi32::<16>(two))]
    };
    let ([a, b], [c, d]) = (columns(first), columns(second));
    // (v & mask) | all
    let byte =
        |all, v, mask| _mm512_ternarylogic_epi32::<0b1110_1010>(v, _mm512_set1_epi32(mask), all);
    let all = _mm512_srli_epi32::<24>(a);
    let all = byte(all, _mm512_srli_epi32::<16>(b), 0xff00);
    let all = byte(all, _mm512_srli_epi32::<8>(c), 0xff_0000);
    byte(all, d, 0xff00_0000u32 as i32)
}

/// A table of 256 numbers of 16 bits in registers.
struct Table([__m512i; 8]);

impl Table {
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn load(table: &[u16; 256]) -> Self {
        let parts = table.as_chunks::<32>().0;
        // SAFETY: each part is 64 bytes; the load needs no alignment.
        Self(std::array::from_fn(|at| unsafe {
            _mm512_loadu_si512(parts[at].as_ptr().cast())
        }))
    }

    /// The entries of 32 indices of 16 bits below 256.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn of(&self, index: __m512i) -> __m512i {
        let Self([a, b, c, d, e, f, g, h]) = *self;
        // The two-register permutation takes the lower 6 bits of an index.
        let quarter = |first, second| _mm512_permutex2var_epi16(first, index, second);
        let bit = |bit: i16| _mm512_test_epi16_mask(index, _mm512_set1_epi16(bit));
        let (upper, odd) = (bit(128), bit(64));
        let low = _mm512_mask_blend_epi16(odd, quarter(a, b), quarter(c, d));
        let high = _mm512_mask_blend_epi16(odd, quarter(e, f), quarter(g, h));
        _mm512_mask_blend_epi16(upper, low, high)
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_rows(from: &[u32; ROWS]) -> __m512i {
    // SAFETY: 64 bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}
