//! Dot products with AVX2.
//!
//! The weight word's layout serves as it is: 8 bytes are 8 terms of a channel (or of a pair of channels, in nibbles), and the 8 terms
//! of an activation row are 8 contiguous bytes, broadcast.
//!
//! - 4-bit weights: `u = w + 8` is 0..=16, so `vpmaddubsw(u, a)` multiplies unsigned weights with signed activations, and a pair of products is
//!   at least -2 * 16 * 128 = -2^12 and below 2^12. Eight of them stay within i16 (down to -2^15), then `vpmaddwd` widens to i32. `8 * sum(a)` is
//!   taken off at the end.
//! - 8-bit codes: both sides as i16, `vpmaddwd`.
//!
//! Requantization is exact in f64: `acc + bias` clamped to 27 bits times a 16-bit multiplier is 43 bits, a power of two scales it, and
//! adding one half to a number of at most 40 fraction bits keeps it within 53 bits.

use std::arch::x86_64::*;

use fqbert_numerics::requant::{Requant, effective_shift};
use rayon::prelude::*;

use super::assert_detected;
use crate::kernels::matmul::{Operands, Outputs};

/// Channels computed together.
const OCTET: usize = 8;
/// Rows whose activations lie side by side in a word and are computed together.
const QUAD: usize = 4;
/// Steps of a 16-bit sum, see above.
const STEPS: usize = 8;

/// One weight word's share of an octet, 4-bit mode: 4 pairs of 8 terms, even channels then odd ones, each plus 8.
type Nibbles = [[u8; 32]; 2];
/// One word's share of an octet, 8-bit mode: 8 channels of 8 terms.
type Codes = [[i16; 16]; 4];
/// One activation word's share of a quad: 8 terms of each row as a number.
type QuadBytes = [i64; QUAD];
/// The same, widened.
type QuadWords = [[i16; 8]; QUAD];

/// Operands as the kernels take them, kept from instruction to instruction.
#[derive(Debug, Default)]
pub struct Buffers {
    /// `[octet][chunk]`.
    nibbles: Vec<Nibbles>,
    codes: Vec<Codes>,
    /// `[row tile][quad][chunk]`.
    a_bytes: Vec<QuadBytes>,
    a_words: Vec<QuadWords>,
    /// Sum of the activations of each row, times 8.
    a_sums: Vec<[i32; QUAD]>,
    scales: Vec<Scale>,
}

/// Requantization of an octet in f64.
#[derive(Clone, Copy, Debug)]
struct Scale {
    bias: [f64; OCTET],
    /// `multiplier * 2^-shift`, exact.
    factor: [f64; OCTET],
}

impl Scale {
    fn new(params: &[Requant]) -> Self {
        let mut scale = Self {
            bias: [0.0; OCTET],
            factor: [0.0; OCTET],
        };
        for ((bias, factor), p) in scale.bias.iter_mut().zip(&mut scale.factor).zip(params) {
            *bias = p.bias.into();
            *factor = f64::from(p.multiplier) / (1u64 << effective_shift(p.shift)) as f64;
        }
        scale
    }
}

/// Phase one of a MATMUL.
pub fn matmul(x: &Operands<'_>, outputs: &mut Outputs, buffers: &mut Buffers) {
    assert_detected();
    assert!(
        x.lanes == 8 && x.rows.is_multiple_of(QUAD),
        "shape checked by usable_for"
    );
    outputs.shape(x, OCTET);
    let Buffers {
        nibbles,
        codes,
        a_bytes,
        a_words,
        a_sums,
        scales,
    } = buffers;
    scales.clear();
    scales.extend(x.params.chunks(OCTET).map(Scale::new));
    let scales: &[Scale] = scales;
    let octets = scales.len();
    let quads = x.rows / QUAD;
    if x.mode8 {
        codes.resize(octets * x.chunks, [[0; 16]; 4]);
        a_words.resize(x.row_tiles * quads * x.chunks, [[0; 8]; QUAD]);
        rayon::join(
            || {
                let octets = codes.par_chunks_mut(x.chunks).enumerate();
                octets.for_each(|(octet, out)| widen_codes(x, octet, out));
            },
            || {
                let quads = a_words.par_chunks_mut(quads * x.chunks).enumerate();
                quads.for_each(|(tile, out)| widen_tile(x, tile, out));
            },
        );
        let (codes, a_words): (&[Codes], &[QuadWords]) = (codes, a_words);
        for_each_task(x, outputs, |octet, quad, results, width| {
            let a = &a_words[quad * x.chunks..][..x.chunks];
            let b = &codes[octet * x.chunks..][..x.chunks];
            // SAFETY: AVX2 was detected above.
            unsafe { octet_8x8(a, b, &scales[octet], x.limit(), results, width) };
        });
    } else {
        nibbles.resize(octets * x.chunks, [[0; 32]; 2]);
        a_bytes.resize(x.row_tiles * quads * x.chunks, [0; QUAD]);
        a_sums.resize(x.row_tiles * quads, [0; QUAD]);
        rayon::join(
            || {
                let octets = nibbles.par_chunks_mut(x.chunks).enumerate();
                // SAFETY: AVX2 was detected above.
                octets.for_each(|(octet, out)| unsafe { split_nibbles(x, octet, out) });
            },
            || {
                let quads = a_bytes.par_chunks_mut(quads * x.chunks);
                quads
                    .zip(a_sums.par_chunks_mut(x.rows / QUAD))
                    .enumerate()
                    .for_each(
                        // SAFETY: AVX2 was detected above.
                        |(tile, (out, sums))| unsafe { gather_tile(x, tile, out, sums) },
                    );
            },
        );
        let (nibbles, a_bytes): (&[Nibbles], &[QuadBytes]) = (nibbles, a_bytes);
        let a_sums: &[[i32; QUAD]] = a_sums;
        for_each_task(x, outputs, |octet, quad, results, width| {
            let a = &a_bytes[quad * x.chunks..][..x.chunks];
            let b = &nibbles[octet * x.chunks..][..x.chunks];
            // SAFETY: AVX2 was detected above.
            unsafe {
                octet_8x4(
                    a,
                    b,
                    &a_sums[quad],
                    &scales[octet],
                    x.limit(),
                    results,
                    width,
                );
            }
        });
    }
}

/// Calls `compute(octet, quad, results, width)` for every octet of channels and quad of rows; `results` begins at the quad's first result and
/// its rows are `width` apart. An octet's weights stay in the first-level cache while the rows of a tile pass.
fn for_each_task(
    x: &Operands<'_>,
    outputs: &mut Outputs,
    compute: impl Fn(usize, usize, &mut [i16], usize) + Sync,
) {
    let (chunk, width, octets) = (outputs.chunk(), outputs.width, x.channels.div_ceil(OCTET));
    let quads = x.rows / QUAD;
    outputs
        .values
        .par_chunks_mut(chunk)
        .enumerate()
        .for_each(|(at, results)| {
            let (group, tile) = (at / x.row_tiles, at % x.row_tiles);
            for (place, octet) in (group * width / OCTET..octets)
                .take(width / OCTET)
                .enumerate()
            {
                for quad in 0..quads {
                    let at = quad * QUAD * width + place * OCTET;
                    compute(octet, tile * quads + quad, &mut results[at..], width);
                }
            }
        });
}

/// The nibbles of an octet's 4 pairs. Pairs beyond the last column tile are zero.
#[target_feature(enable = "avx2")]
fn split_nibbles(x: &Operands<'_>, octet: usize, out: &mut [Nibbles]) {
    let total = x.channels.div_ceil(2);
    let first: [Option<usize>; 4] = std::array::from_fn(|i| {
        let pair = octet * 4 + i;
        (pair < total).then(|| x.pair_offset(pair))
    });
    for (chunk, [even, odd]) in out.iter_mut().enumerate() {
        let mut word = [0u8; 32];
        for (eight, first) in word.as_chunks_mut::<8>().0.iter_mut().zip(first) {
            if let Some(first) = first {
                let at = first + chunk * x.b_word();
                eight.copy_from_slice(&x.b[at..at + 8]);
            }
        }
        for ((even, odd), byte) in even.iter_mut().zip(odd).zip(word) {
            *even = (byte & 15) ^ 8;
            // The one code that leaves the packed multiplier's pre-adder: `fqbert_numerics::packed::unpack_pair`.
            *odd = if byte & 0xf8 == 0x88 {
                16
            } else {
                (byte >> 4) ^ 8
            };
        }
    }
}

/// The codes of an octet's 8 channels as i16.
fn widen_codes(x: &Operands<'_>, octet: usize, out: &mut [Codes]) {
    for channel in 0..OCTET {
        let pair = octet * OCTET + channel;
        let first = (pair < x.channels).then(|| x.pair_offset(pair));
        for (chunk, vectors) in out.iter_mut().enumerate() {
            let target = &mut vectors[channel / 2][channel % 2 * 8..][..8];
            match first {
                None => target.fill(0),
                Some(first) => {
                    let codes = &x.b[first + chunk * x.b_word()..][..8];
                    for (t, c) in target.iter_mut().zip(codes) {
                        *t = i16::from(*c as i8);
                    }
                }
            }
        }
    }
}

/// The activations of a row tile, a quad's words one after the other, as i16.
fn widen_tile(x: &Operands<'_>, tile: usize, out: &mut [QuadWords]) {
    let bytes = x.a_tile(tile);
    for (quad, words) in out.chunks_exact_mut(x.chunks).enumerate() {
        for (rows, word) in words.iter_mut().zip(bytes.chunks_exact(x.a_word())) {
            let word = &word[quad * QUAD * 8..][..QUAD * 8];
            for (row, lanes) in rows.iter_mut().zip(word.chunks_exact(8)) {
                for (t, &v) in row.iter_mut().zip(lanes) {
                    *t = if x.a_unsigned {
                        i16::from(v)
                    } else {
                        i16::from(v as i8)
                    };
                }
            }
        }
    }
}

/// The activations of a row tile, a quad's words one after the other, and 8 times the sum of each row.
#[target_feature(enable = "avx2")]
fn gather_tile(x: &Operands<'_>, tile: usize, out: &mut [QuadBytes], sums: &mut [[i32; QUAD]]) {
    let bytes = x.a_tile(tile);
    let (eights, ones) = (_mm256_set1_epi8(8), _mm256_set1_epi16(1));
    for (quad, (words, sums)) in out.chunks_exact_mut(x.chunks).zip(sums).enumerate() {
        let mut sum = _mm256_setzero_si256();
        for (rows, word) in words.iter_mut().zip(bytes.chunks_exact(x.a_word())) {
            let word = &word[quad * QUAD * 8..][..QUAD * 8];
            let Some(word) = word.first_chunk::<32>() else {
                continue;
            };
            let v = load(word);
            store(rows, v);
            // |8 * (a + a')| <= 2048: no saturation.
            let pairs = _mm256_maddubs_epi16(eights, v);
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
        }
        let mut halves = [0i32; 8];
        store(&mut halves, sum);
        for (sum, two) in sums.iter_mut().zip(halves.as_chunks::<2>().0) {
            *sum = two[0] + two[1];
        }
    }
}

/// Four rows by eight channels of 4-bit weights.
#[target_feature(enable = "avx2")]
fn octet_8x4(
    a: &[QuadBytes],
    b: &[Nibbles],
    a_sums: &[i32; QUAD],
    scale: &Scale,
    limit: i16,
    results: &mut [i16],
    width: usize,
) {
    let ones = _mm256_set1_epi16(1);
    let zero = _mm256_setzero_si256();
    let mut sums = [[zero; 2]; QUAD];
    for (a, b) in a.chunks(STEPS).zip(b.chunks(STEPS)) {
        let mut short = [[zero; 2]; QUAD];
        for (rows, [even, odd]) in a.iter().zip(b) {
            let (even, odd) = (load(even), load(odd));
            for (short, row) in short.iter_mut().zip(rows) {
                let row = _mm256_set1_epi64x(*row);
                short[0] = _mm256_add_epi16(short[0], _mm256_maddubs_epi16(even, row));
                short[1] = _mm256_add_epi16(short[1], _mm256_maddubs_epi16(odd, row));
            }
        }
        for (sum, short) in sums.iter_mut().zip(short) {
            sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(short[0], ones));
            sum[1] = _mm256_add_epi32(sum[1], _mm256_madd_epi16(short[1], ones));
        }
    }
    for ((row, [even, odd]), a_sum) in results.chunks_mut(width).zip(sums).zip(a_sums) {
        // Two halves of each channel: [e0 e1 o0 o1 | e2 e3 o2 o3], then channels alternate.
        let joined = _mm256_shuffle_epi32::<0b11_01_10_00>(_mm256_hadd_epi32(even, odd));
        let acc = _mm256_sub_epi32(joined, _mm256_set1_epi32(*a_sum));
        requantize(acc, scale, limit, row);
    }
}

/// Four rows by eight channels of 8-bit codes, two rows at a time.
#[target_feature(enable = "avx2")]
fn octet_8x8(
    a: &[QuadWords],
    b: &[Codes],
    scale: &Scale,
    limit: i16,
    results: &mut [i16],
    width: usize,
) {
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (half, results) in results.chunks_mut(2 * width).take(2).enumerate() {
        let mut sums = [[_mm256_setzero_si256(); 4]; 2];
        for (rows, codes) in a.iter().zip(b) {
            let codes = [
                load(&codes[0]),
                load(&codes[1]),
                load(&codes[2]),
                load(&codes[3]),
            ];
            for (row, sums) in sums.iter_mut().enumerate() {
                let row = _mm256_broadcastsi128_si256(load_half(&rows[2 * half + row]));
                for (sum, codes) in sums.iter_mut().zip(codes) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(codes, row));
                }
            }
        }
        for (row, [c01, c23, c45, c67]) in results.chunks_mut(width).zip(sums) {
            // [0 2 4 6 | 1 3 5 7] after the second step.
            let (low, high) = (_mm256_hadd_epi32(c01, c23), _mm256_hadd_epi32(c45, c67));
            let acc = _mm256_permutevar8x32_epi32(_mm256_hadd_epi32(low, high), order);
            requantize(acc, scale, limit, row);
        }
    }
}

/// Requantizes eight sums to the first eight results of `row`.
#[target_feature(enable = "avx2")]
fn requantize(acc: __m256i, scale: &Scale, limit: i16, row: &mut [i16]) {
    let [bias_low, bias_high] = halves(&scale.bias);
    let [factor_low, factor_high] = halves(&scale.factor);
    let limit = f64::from(limit);
    let low = requantize_four(_mm256_castsi256_si128(acc), bias_low, factor_low, limit);
    let high = requantize_four(
        _mm256_extracti128_si256::<1>(acc),
        bias_high,
        factor_high,
        limit,
    );
    let eight = _mm_packs_epi32(low, high);
    if let Some(target) = row.first_chunk_mut::<OCTET>() {
        // SAFETY: the target is 16 bytes; the store needs no alignment.
        unsafe { _mm_storeu_si128(target.as_mut_ptr().cast(), eight) };
    }
}

#[target_feature(enable = "avx2")]
fn requantize_four(acc: __m128i, bias: __m256d, factor: __m256d, limit: f64) -> __m128i {
    let (least, most) = (_mm256_set1_pd(-67_108_864.0), _mm256_set1_pd(67_108_863.0));
    let v = _mm256_add_pd(_mm256_cvtepi32_pd(acc), bias);
    let v = _mm256_max_pd(_mm256_min_pd(v, most), least);
    let y = _mm256_floor_pd(_mm256_add_pd(_mm256_mul_pd(v, factor), _mm256_set1_pd(0.5)));
    let y = _mm256_max_pd(
        _mm256_min_pd(y, _mm256_set1_pd(limit)),
        _mm256_set1_pd(-limit),
    );
    _mm256_cvtpd_epi32(y)
}

#[target_feature(enable = "avx2")]
fn halves(eight: &[f64; OCTET]) -> [__m256d; 2] {
    // SAFETY: both loads read four of the eight numbers; they need no alignment.
    unsafe {
        [
            _mm256_loadu_pd(eight.as_ptr()),
            _mm256_loadu_pd(eight.as_ptr().add(4)),
        ]
    }
}

/// Plain numbers without padding, any bits of which are valid.
trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for i16 {}
impl Plain for i32 {}
impl Plain for i64 {}

#[target_feature(enable = "avx2")]
fn load<T: Plain, const N: usize>(from: &[T; N]) -> __m256i {
    const { assert!(size_of::<[T; N]>() == 32) };
    // SAFETY: the array is 32 bytes of plain numbers; the load needs no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn load_half<T: Plain, const N: usize>(from: &[T; N]) -> __m128i {
    const { assert!(size_of::<[T; N]>() == 16) };
    // SAFETY: the array is 16 bytes of plain numbers; the load needs no alignment.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store<T: Plain, const N: usize>(to: &mut [T; N], v: __m256i) {
    const { assert!(size_of::<[T; N]>() == 32) };
    // SAFETY: the array is 32 bytes of plain numbers; the store needs no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), v) };
}
