//! Dot products of four or two token rows with an octet of channels.
//!
//! The layout of the memories serves as it is: an activation word holds 8 terms of each row as 8 contiguous bytes, which are
//! broadcast from where they lie; the next word is a stride further.
//!
//! - 4-bit weights: `u = w + 8` is 0..=16, so `vpmaddubsw(u, a)` multiplies unsigned weights with signed activations, and a pair of products is
//!   at least -2 * 16 * 128 = -2^12 and below 2^12. Eight of them stay within i16 (down to -2^15), then `vpmaddwd` widens to i32. `8 * sum(a)` is
//!   taken off at the end.
//! - 8-bit codes: both sides as i16, `vpmaddwd`.
//!
//! The 32-bit sums live in memory, behind a pointer, so that the eight 16-bit ones of the inner block keep their registers.

use std::arch::x86_64::*;

/// Rows whose activations lie side by side in a word and are computed together.
pub const QUAD: usize = 4;
/// Steps of a 16-bit sum, see above.
const STEPS: usize = 8;

/// One weight word's share of an octet, 4-bit mode: 4 pairs of 8 terms, even channels then odd ones, each plus 8.
pub type Nibbles = [[u8; 32]; 2];
/// One word's share of an octet, 8-bit mode: 8 channels of 8 terms.
pub type Codes = [[i16; 16]; 4];

/// A quad's 32-bit sums: of each row 4 pairs times 2 halves of the even channels, then of the odd ones.
pub type QuadSums = [[i32; 8]; 2 * QUAD];

/// Where the activations of a group of rows lie: `rows * 8` bytes at the start of `bytes` and at every `stride` bytes from there.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub bytes: &'a [u8],
    pub stride: usize,
}

impl Rows<'_> {
    /// Whether `rows` rows of `chunks` words lie inside.
    fn hold(&self, rows: usize, chunks: usize) -> bool {
        chunks >= 1 && (chunks - 1) * self.stride + rows * 8 <= self.bytes.len()
    }
}

/// Sums of four rows with an octet of 4-bit weights, each weight plus 8. `b` has a chunk per activation word.
#[target_feature(enable = "avx2")]
pub fn quad_8x4(a: Rows<'_>, b: &[Nibbles], sums: &mut QuadSums) {
    assert!(a.hold(QUAD, b.len()), "a quad of activations");
    // SAFETY: every chunk of `a` and `b` that is read lies inside, as asserted.
    unsafe { accumulate(a.bytes.as_ptr(), a.stride, b, sums.as_mut_ptr().cast()) };
}

/// # Safety
/// `QUAD * 8` bytes at `a` and at each of the next `b.len() - 1` strides can be read, and eight vectors at `sums` written.
#[target_feature(enable = "avx2")]
#[inline(never)]
unsafe fn accumulate(a: *const u8, stride: usize, b: &[Nibbles], sums: *mut __m256i) {
    let whole = b.len() / STEPS * STEPS;
    // SAFETY: as the caller guarantees; `chunk` stays below `b.len()`.
    unsafe {
        for at in 0..2 * QUAD {
            _mm256_storeu_si256(sums.add(at), _mm256_setzero_si256());
        }
        let mut chunk = 0;
        while chunk < whole {
            steps::<STEPS>(a.add(chunk * stride), stride, b.as_ptr().add(chunk), sums);
            chunk += STEPS;
        }
        while chunk < b.len() {
            steps::<1>(a.add(chunk * stride), stride, b.as_ptr().add(chunk), sums);
            chunk += 1;
        }
    }
}

/// One 16-bit sum of `N` steps. Indices of constant range, not iterators: all of it must unroll for the sums to be registers.
///
/// # Safety
/// As for [`accumulate`], with `N` chunks at `b`.
#[allow(clippy::needless_range_loop, reason = "see above")]
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn steps<const N: usize>(
    a: *const u8,
    stride: usize,
    b: *const Nibbles,
    sums: *mut __m256i,
) {
    const { assert!(N >= 1 && N <= STEPS) };
    // SAFETY: as the caller guarantees; no access needs alignment.
    unsafe {
        let mut short = [[_mm256_setzero_si256(); 2]; QUAD];
        for chunk in 0..N {
            let weights = b.add(chunk).cast::<__m256i>();
            let even = _mm256_loadu_si256(weights);
            let odd = _mm256_loadu_si256(weights.add(1));
            let terms = a.add(chunk * stride);
            for row in 0..QUAD {
                let terms = _mm256_set1_epi64x(terms.add(row * 8).cast::<i64>().read_unaligned());
                let products = [
                    _mm256_maddubs_epi16(even, terms),
                    _mm256_maddubs_epi16(odd, terms),
                ];
                for parity in 0..2 {
                    short[row][parity] = if chunk == 0 {
                        products[parity]
                    } else {
                        _mm256_add_epi16(short[row][parity], products[parity])
                    };
                }
            }
        }
        let ones = _mm256_set1_epi16(1);
        for row in 0..QUAD {
            for parity in 0..2 {
                let sum = sums.add(2 * row + parity);
                let wide = _mm256_madd_epi16(short[row][parity], ones);
                _mm256_storeu_si256(sum, _mm256_add_epi32(_mm256_loadu_si256(sum), wide));
            }
        }
    }
}

/// The eight channels of one row out of [`QuadSums`], in order, less `correction`.
#[target_feature(enable = "avx2")]
#[inline]
pub fn join_8x4(sums: &QuadSums, row: usize, correction: i32) -> __m256i {
    let (even, odd) = (super::load(&sums[2 * row]), super::load(&sums[2 * row + 1]));
    // Two halves of each channel: [e0 e1 o0 o1 | e2 e3 o2 o3], then channels alternate.
    let joined = _mm256_shuffle_epi32::<0b11_01_10_00>(_mm256_hadd_epi32(even, odd));
    _mm256_sub_epi32(joined, _mm256_set1_epi32(correction))
}

/// Sums of two rows with an octet of 8-bit codes. `UNSIGNED` activations are u8, others i8.
#[allow(clippy::needless_range_loop, reason = "as in `steps`")]
#[target_feature(enable = "avx2")]
pub fn pair_8x8<const UNSIGNED: bool>(a: Rows<'_>, b: &[Codes]) -> [__m256i; 2] {
    assert!(a.hold(2, b.len()), "a pair of activation rows");
    let mut sums = [[_mm256_setzero_si256(); 4]; 2];
    for (chunk, codes) in b.iter().enumerate() {
        // SAFETY: four vectors of codes; the rows' 8 bytes lie inside, as asserted; no load needs alignment.
        let (codes, terms) = unsafe {
            let codes = codes.as_ptr().cast::<__m256i>();
            let terms = a.bytes.as_ptr().add(chunk * a.stride).cast::<i64>();
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
    let join = |[c01, c23, c45, c67]: [__m256i; 4]| {
        // [0 2 4 6 | 1 3 5 7] after the second step.
        let (low, high) = (_mm256_hadd_epi32(c01, c23), _mm256_hadd_epi32(c45, c67));
        _mm256_permutevar8x32_epi32(_mm256_hadd_epi32(low, high), order)
    };
    [join(sums[0]), join(sums[1])]
}
