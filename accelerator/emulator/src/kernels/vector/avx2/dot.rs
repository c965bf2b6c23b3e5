//! Dot products of a row tile with an octet of channels.
//!
//! The layout of the memories serves as it is: an activation word holds 8 terms of each row as 8
//! contiguous bytes, which are broadcast from where they lie; the next word is a stride further.
//!
//! - 4-bit weights: `u = w + 8` is 0..=16, so `vpmaddubsw(u, a)` multiplies unsigned weights with
//!   signed activations, and a pair of products is at least -2 * 16 * 128 = -2^12 and below 2^12.
//!   Eight of them stay within i16 (down to -2^15), then `vpmaddwd` widens to i32. The zero-point
//!   correction, `8 * sum(a)`, is subtracted at the end.
//! - 8-bit codes: both sides as i16, `vpmaddwd`.
//!
//! The 32-bit sums live in memory, behind a pointer, so that the eight 16-bit ones of the inner
//! block keep their registers. Long sums are cut into blocks of words whose weights and activations
//! fit the first-level cache together.

use std::arch::x86_64::*;

use super::registers::{join, load, store};
use crate::kernels::vector::detect::assert_avx2;
use crate::kernels::vector::dot::Dot;
use crate::kernels::vector::octet::{Line, MOST_ROWS, QUAD, RowSums};

/// Steps of a 16-bit sum, see above.
const STEPS: usize = 8;
/// Words of a block: 6 KiB of weights, and 12 KiB of activations of 16 rows.
const BLOCK: usize = 96;

/// A quad's 32-bit sums: of each row the two vectors of [`join`].
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct QuadSums([[i32; 8]; 2 * QUAD]);

/// Dot products of a row tile with 4-bit weights, each weight plus 8.
pub fn dot4(d: &Dot<'_>, sums: &mut [RowSums]) {
    assert_avx2();
    d.check(1, sums);
    // SAFETY: AVX2 was detected, and the operands checked, above.
    unsafe { dot4_blocks(d, sums) };
}

/// # Safety
/// `d` has passed its check with one line a word.
#[target_feature(enable = "avx2")]
unsafe fn dot4_blocks(d: &Dot<'_>, sums: &mut [RowSums]) {
    let mut quads = [QuadSums([[0; 8]; 2 * QUAD]); MOST_ROWS / QUAD];
    let quads = &mut quads[..d.rows / QUAD];
    for first in (0..d.chunks).step_by(BLOCK) {
        let count = BLOCK.min(d.chunks - first);
        for (at, quad) in quads.iter_mut().enumerate() {
            // SAFETY: the check has found all words of all rows inside `a`, and a line for each in
            // `b`.
            unsafe {
                let a = d.a.as_ptr().add(first * d.stride + at * QUAD * 8);
                let b = d.b.as_ptr().add(first);
                accumulate(a, d.stride, b, count, quad.0.as_mut_ptr().cast());
            }
        }
    }
    let rows = sums.as_chunks_mut::<QUAD>().0.iter_mut();
    let corrections = d.row_corrections.as_chunks::<QUAD>().0;
    for ((quad, rows), corrections) in quads.iter().zip(rows).zip(corrections) {
        for row in 0..QUAD {
            let sum = join(load(&quad.0[2 * row]), load(&quad.0[2 * row + 1]));
            let correction = _mm256_set1_epi32(corrections[row]);
            store(&mut rows[row].0, _mm256_sub_epi32(sum, correction));
        }
    }
}

/// Adds the products of `count` words to `sums`.
///
/// # Safety
/// `QUAD * 8` bytes at `a` and at each of the next `count - 1` strides, and `count` lines at `b`,
/// can be read, and eight vectors at `sums` written.
#[target_feature(enable = "avx2")]
#[inline(never)]
unsafe fn accumulate(
    a: *const u8,
    stride: usize,
    b: *const Line,
    count: usize,
    sums: *mut __m256i,
) {
    let whole = count / STEPS * STEPS;
    // SAFETY: as the caller guarantees; `chunk` stays below `count`.
    unsafe {
        let mut chunk = 0;
        while chunk < whole {
            steps::<STEPS>(a.add(chunk * stride), stride, b.add(chunk), sums);
            chunk += STEPS;
        }
        while chunk < count {
            steps::<1>(a.add(chunk * stride), stride, b.add(chunk), sums);
            chunk += 1;
        }
    }
}

/// One 16-bit sum of `N` steps. Indices of constant range, not iterators: all of it must unroll for
/// the sums to be registers.
///
/// # Safety
/// As for [`accumulate`], with `N` words.
#[allow(clippy::needless_range_loop, reason = "see above")]
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn steps<const N: usize>(a: *const u8, stride: usize, b: *const Line, sums: *mut __m256i) {
    const { assert!(N >= 1 && N <= STEPS) };
    // SAFETY: as the caller guarantees; no access needs alignment.
    unsafe {
        let mut short = [[_mm256_setzero_si256(); 2]; QUAD];
        for chunk in 0..N {
            let weights = b.add(chunk).cast::<__m256i>();
            let first = _mm256_loadu_si256(weights);
            let second = _mm256_loadu_si256(weights.add(1));
            let terms = a.add(chunk * stride);
            for row in 0..QUAD {
                let terms = _mm256_set1_epi64x(terms.add(row * 8).cast::<i64>().read_unaligned());
                let products = [
                    _mm256_maddubs_epi16(first, terms),
                    _mm256_maddubs_epi16(second, terms),
                ];
                for half in 0..2 {
                    short[row][half] = if chunk == 0 {
                        products[half]
                    } else {
                        _mm256_add_epi16(short[row][half], products[half])
                    };
                }
            }
        }
        let ones = _mm256_set1_epi16(1);
        for row in 0..QUAD {
            for half in 0..2 {
                let sum = sums.add(2 * row + half);
                let wide = _mm256_madd_epi16(short[row][half], ones);
                _mm256_storeu_si256(sum, _mm256_add_epi32(_mm256_loadu_si256(sum), wide));
            }
        }
    }
}

/// Dot products of a row tile with 8-bit codes as i16.
pub fn dot8(d: &Dot<'_>, sums: &mut [RowSums]) {
    assert_avx2();
    d.check(2, sums);
    for (pair, rows) in sums.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        // SAFETY: AVX2 was detected, and the operands checked, above; there are two rows from `2 *
        // pair` on.
        unsafe {
            let a = d.a.as_ptr().add(pair * 16);
            if d.a_unsigned {
                two_rows::<true>(a, d, rows);
            } else {
                two_rows::<false>(a, d, rows);
            }
        }
    }
}

/// # Safety
/// 16 bytes at `a` and at each of the next `d.chunks - 1` strides can be read, and two lines for
/// each of them at `d.b`.
#[allow(clippy::needless_range_loop, reason = "as in `steps`")]
#[target_feature(enable = "avx2")]
unsafe fn two_rows<const UNSIGNED: bool>(a: *const u8, d: &Dot<'_>, out: &mut [RowSums; 2]) {
    let mut sums = [[_mm256_setzero_si256(); 4]; 2];
    for chunk in 0..d.chunks {
        // SAFETY: as the caller guarantees; no load needs alignment.
        let (codes, terms) = unsafe {
            let codes = d.b.as_ptr().add(2 * chunk).cast::<__m256i>();
            let terms = a.add(chunk * d.stride).cast::<i64>();
            (
                [
                    _mm256_loadu_si256(codes),
                    _mm256_loadu_si256(codes.add(1)),
                    _mm256_loadu_si256(codes.add(2)),
                    _mm256_loadu_si256(codes.add(3)),
                ],
                [
                    _mm_set1_epi64x(terms.read_unaligned()),
                    _mm_set1_epi64x(terms.add(1).read_unaligned()),
                ],
            )
        };
        for row in 0..2 {
            let terms = if UNSIGNED {
                _mm256_cvtepu8_epi16(terms[row])
            } else {
                _mm256_cvtepi8_epi16(terms[row])
            };
            for pair in 0..4 {
                let products = _mm256_madd_epi16(codes[pair], terms);
                sums[row][pair] = _mm256_add_epi32(sums[row][pair], products);
            }
        }
    }
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (row, [c01, c23, c45, c67]) in out.iter_mut().zip(sums) {
        // [0 2 4 6 | 1 3 5 7] after the second step.
        let (low, high) = (_mm256_hadd_epi32(c01, c23), _mm256_hadd_epi32(c45, c67));
        let joined = _mm256_hadd_epi32(low, high);
        store(&mut row.0, _mm256_permutevar8x32_epi32(joined, order));
    }
}
