//! Layer norm in f64, with four token rows in the four lanes.
//!
//! A word of RESX holds two channels of each row, four bytes a row: four rows are a vector as they
//! lie, and every row has its own lane from the sums to the results.
//!
//! Every product and rounding of `docs/numerics.md`, section 7, is exact in f64: the widest value
//! is the 43-bit product of requantization, a power of two only moves its point (at most 40
//! places), and one half added to it stays within 53 bits. So `floor(v * 2^-s + 1/2)` is the
//! rounding shift.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use fqbert_numerics::layernorm::{LayerNormParams, N_MAX, RowStatistics};
use fqbert_numerics::requant::effective_shift;

use super::registers::{load_four, load_half, store, store_half};
use crate::kernels::vector::detect::assert_avx2;
use crate::kernels::vector::octet::{OCTET, QUAD};

/// Parameters of a layer norm in f64.
#[derive(Debug, Default)]
pub struct NormScales {
    /// Gamma and beta of each channel.
    pub channels: Vec<(f64, f64)>,
    /// `m16 * 2^-s16` and `m8 * 2^-s8`.
    pub wide: f64,
    pub narrow: f64,
    pub inv: u32,
    pub q: u8,
    pub eps: u32,
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

/// Four rows of a row tile, to be normalised. Those of one tile share its words, and none of their
/// bytes.
pub struct NormQuad<'a> {
    tile: TileWords<'a>,
    rows: usize,
    quad: usize,
}

/// Where the words of a row tile lie, `4 * rows` bytes of RESX and RESB, `8 * rows` of ACT.
#[derive(Clone, Copy)]
struct TileWords<'a> {
    stream: *mut u8,
    branch: &'a [u8],
    narrow: *mut u8,
    words: usize,
    lent: PhantomData<&'a mut [u8]>,
}

// SAFETY: of what the pointers reach, a quad touches the bytes of its own rows only, and there is
// one of each number.
unsafe impl Send for NormQuad<'_> {}

/// The quads of a row tile of `rows` rows: `stream` (words of RESX) will become y16 in place and
/// `narrow` (words of ACT) y8.
pub fn norm_quads<'a>(
    stream: &'a mut [u8],
    branch: &'a [u8],
    narrow: &'a mut [u8],
    rows: usize,
) -> impl Iterator<Item = NormQuad<'a>> {
    assert!(
        rows.is_multiple_of(QUAD) && stream.len().is_multiple_of(16 * rows),
        "a legal width, and a shape checked by usable_for"
    );
    assert!([branch.len(), 2 * narrow.len()] == [stream.len(); 2]);
    let tile = TileWords {
        words: stream.len() / (4 * rows),
        stream: stream.as_mut_ptr(),
        branch,
        narrow: narrow.as_mut_ptr(),
        lent: PhantomData,
    };
    (0..rows / QUAD).map(move |quad| NormQuad { tile, rows, quad })
}

impl NormQuad<'_> {
    /// Residual add of the branch and `fqbert_numerics::layernorm::layernorm_row` of each row's
    /// sum.
    pub fn normalise(mut self, p: &NormScales) {
        assert_avx2();
        let n = p.channels.len();
        assert!(
            n == 2 * self.tile.words && (1..=N_MAX).contains(&n),
            "{n} channels in {} words",
            self.tile.words
        );
        // SAFETY: AVX2 and FMA were detected above; the words were lent to this tile, and these
        // rows to this quad.
        unsafe { quad_norm(&mut self, p) };
    }

    /// The rows' two channels of a word of RESX.
    ///
    /// # Safety
    /// `word` is below the number of words.
    #[inline]
    unsafe fn stream(&mut self, word: usize) -> &mut [u8; 16] {
        // SAFETY: inside the tile's words, whose rows are this quad's alone.
        unsafe {
            let at = self.tile.stream.add(word * 4 * self.rows + self.quad * 16);
            &mut *at.cast()
        }
    }

    /// The rows' eight channels of a word of ACT.
    ///
    /// # Safety
    /// `word` is below a quarter of the number of words.
    #[inline]
    unsafe fn narrow(&mut self, word: usize) -> &mut [[u8; 16]; 2] {
        // SAFETY: as above.
        unsafe {
            let at = self.tile.narrow.add(word * 8 * self.rows + self.quad * 32);
            &mut *at.cast()
        }
    }
}

/// # Safety
/// The tile has two channels a word of those of `p`.
#[target_feature(enable = "avx2,fma")]
unsafe fn quad_norm(tile: &mut NormQuad<'_>, p: &NormScales) {
    let (mut sum, mut squares) = (_mm_setzero_si128(), _mm256_setzero_si256());
    let ones = _mm_set1_epi16(1);
    let branches = tile.tile.branch.chunks_exact(4 * tile.rows);
    for (word, branch) in branches.enumerate() {
        let Some(b) = branch[tile.quad * 16..].first_chunk::<16>() else {
            continue;
        };
        // SAFETY: the branch has as many words.
        let x = unsafe { tile.stream(word) };
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
    for (octet, channels) in p.channels.as_chunks::<OCTET>().0.iter().enumerate() {
        let mut y8 = [_mm_setzero_si128(); OCTET];
        for at in 0..4 {
            // SAFETY: an octet is four words.
            let word = unsafe { tile.stream(4 * octet + at) };
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
        // SAFETY: a quarter as many words.
        let [first, second] = unsafe { tile.narrow(octet) };
        store_half(first, _mm_unpacklo_epi32(low, high));
        store_half(second, _mm_unpackhi_epi32(low, high));
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
