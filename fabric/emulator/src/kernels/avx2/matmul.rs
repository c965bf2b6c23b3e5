//! MATMUL with AVX2: weights expanded once, then every octet of channels of every row tile straight into its destination's words.

use std::arch::x86_64::*;
use std::ops::Range;

use rayon::prelude::*;

use super::dot::{Codes, Nibbles, QUAD, QuadSums, Rows, join_8x4, pair_8x8, quad_8x4};
use super::requantize::Scales;
use super::slab::{MOST_ROWS, Slab};
use super::{assert_detected, load, store};
use crate::kernels::fused::{Format, OCTET, Target};
use crate::kernels::matmul::{Operands, Source};

/// Tasks for each thread: enough that none waits long for the last.
const TASKS_PER_THREAD: usize = 8;

/// Expanded operands, kept from instruction to instruction.
#[derive(Debug, Default)]
pub struct Buffers {
    /// By weight slot; the last one is for operands out of OPD.
    weights: [Weights; 5],
    activations: ActivationSums,
    scales: Scales,
}

/// Weights as the kernels take them, `[octet][chunk]`.
#[derive(Debug, Default)]
struct Weights {
    of: Option<Source>,
    nibbles: Vec<Nibbles>,
    codes: Vec<Codes>,
}

/// 8 times the sum of the activations of each row, `[row tile][quad][row]`.
#[derive(Debug, Default)]
struct ActivationSums {
    of: Option<Source>,
    sums: Vec<[i32; QUAD]>,
}

/// Some octets of one row tile, and the bytes they go to.
struct Task<'a> {
    tile: usize,
    first: usize,
    bytes: &'a mut [u8],
}

/// Computes a MATMUL into `target`.
pub fn matmul(x: &Operands<'_>, target: &mut Target<'_>, buffers: &mut Buffers) {
    assert_detected();
    assert!(
        x.lanes == OCTET && x.rows.is_multiple_of(QUAD) && x.rows <= MOST_ROWS,
        "shape checked by usable_for"
    );
    let Buffers {
        weights,
        activations,
        scales,
    } = buffers;
    let largest = x.chunks as i64 * 8 * if x.mode8 { 255 * 128 } else { 128 * 8 };
    scales.set(x.params, target.skew, largest, x.limit());
    let last = weights.len() - 1;
    let weights = &mut weights[x.b_slot.map_or(last, |slot| slot.min(last))];
    expand(x, target.skew, scales.len(), weights, activations);

    let scales: &Scales = scales;
    let (weights, activations): (&Weights, &ActivationSums) = (weights, activations);
    let compute = |task: Task<'_>| {
        // SAFETY: AVX2 and FMA were detected above.
        unsafe {
            match (x.mode8, x.a_unsigned) {
                (false, _) => task_8x4(
                    x,
                    target.format,
                    target.skew,
                    scales,
                    weights,
                    activations,
                    task,
                ),
                (true, false) => {
                    task_8x8::<false>(x, target.format, target.skew, scales, weights, task)
                }
                (true, true) => {
                    task_8x8::<true>(x, target.format, target.skew, scales, weights, task)
                }
            }
        }
    };
    let slab = target.format.bytes(x.rows);
    let groups = (TASKS_PER_THREAD * rayon::current_num_threads())
        .div_ceil(x.row_tiles)
        .clamp(1, scales.len());
    let octets = scales.len().div_ceil(groups);
    let tasks: Vec<Task<'_>> = target
        .bytes
        .chunks_mut(target.stride)
        .take(x.row_tiles)
        .enumerate()
        .flat_map(|(tile, strip)| {
            let length = target.length.min(strip.len());
            let groups = strip[..length].chunks_mut(octets * slab).enumerate();
            groups.map(move |(group, bytes)| Task {
                tile,
                first: group * octets,
                bytes,
            })
        })
        .collect();
    tasks.into_par_iter().with_max_len(1).for_each(compute);
}

/// Makes the weights and row sums of `x`, unless they are there from an earlier instruction.
fn expand(
    x: &Operands<'_>,
    skew: usize,
    octets: usize,
    weights: &mut Weights,
    activations: &mut ActivationSums,
) {
    let of = Some(x.b_source.arranged(skew, octets));
    let fresh = weights.of == of;
    weights.of = of;
    if x.mode8 {
        if !fresh {
            weights.codes.resize(octets * x.chunks, [[0; 16]; 4]);
            let octets = weights.codes.par_chunks_mut(x.chunks).enumerate();
            octets.for_each(|(octet, out)| widen_codes(x, skew, octet, out));
        }
        return;
    }
    let split = || {
        if !fresh {
            weights.nibbles.resize(octets * x.chunks, [[0; 32]; 2]);
            let octets = weights.nibbles.par_chunks_mut(x.chunks).enumerate();
            // SAFETY: AVX2 was detected by the caller.
            octets.for_each(|(octet, out)| unsafe { split_nibbles(x, skew, octet, out) });
        }
    };
    let sum = || {
        let of = Some(x.a_source);
        if activations.of != of {
            activations.of = of;
            let quads = x.rows / QUAD;
            activations.sums.resize(x.row_tiles * quads, [0; QUAD]);
            let tiles = activations.sums.par_chunks_mut(quads).enumerate();
            // SAFETY: AVX2 was detected by the caller.
            tiles.for_each(|(tile, out)| unsafe { sum_tile(x, tile, out) });
        }
    };
    rayon::join(split, sum);
}

/// Places of octet `octet` whose channels the MATMUL writes.
fn valid(x: &Operands<'_>, skew: usize, octet: usize) -> Range<usize> {
    let first = octet * OCTET;
    skew.saturating_sub(first).min(OCTET)..(skew + x.channels - first).min(OCTET)
}

#[target_feature(enable = "avx2,fma")]
fn task_8x4(
    x: &Operands<'_>,
    format: Format<'_>,
    skew: usize,
    scales: &Scales,
    weights: &Weights,
    activations: &ActivationSums,
    task: Task<'_>,
) {
    let a = x.a_tile(task.tile);
    let quads = x.rows / QUAD;
    let corrections = &activations.sums[task.tile * quads..][..quads];
    for (slab, octet) in task
        .bytes
        .chunks_mut(format.bytes(x.rows))
        .zip(task.first..scales.len())
    {
        let b = &weights.nibbles[octet * x.chunks..][..x.chunks];
        let place = Slab {
            format,
            rows: x.rows,
            valid: valid(x, skew, octet),
        };
        place.fill(slab, |quad| {
            let rows = Rows {
                bytes: &a[quad * QUAD * 8..],
                stride: x.a_word(),
            };
            let mut sums: QuadSums = [[0; 8]; 2 * QUAD];
            quad_8x4(rows, b, &mut sums);
            let corrections = &corrections[quad];
            [
                scales.apply(octet, join_8x4(&sums, 0, corrections[0])),
                scales.apply(octet, join_8x4(&sums, 1, corrections[1])),
                scales.apply(octet, join_8x4(&sums, 2, corrections[2])),
                scales.apply(octet, join_8x4(&sums, 3, corrections[3])),
            ]
        });
    }
}

#[target_feature(enable = "avx2,fma")]
fn task_8x8<const UNSIGNED: bool>(
    x: &Operands<'_>,
    format: Format<'_>,
    skew: usize,
    scales: &Scales,
    weights: &Weights,
    task: Task<'_>,
) {
    let a = x.a_tile(task.tile);
    for (slab, octet) in task
        .bytes
        .chunks_mut(format.bytes(x.rows))
        .zip(task.first..scales.len())
    {
        let b = &weights.codes[octet * x.chunks..][..x.chunks];
        let place = Slab {
            format,
            rows: x.rows,
            valid: valid(x, skew, octet),
        };
        place.fill(slab, |quad| {
            let rows = |first| Rows {
                bytes: &a[(quad * QUAD + first) * 8..],
                stride: x.a_word(),
            };
            let [s0, s1] = pair_8x8::<UNSIGNED>(rows(0), b);
            let [s2, s3] = pair_8x8::<UNSIGNED>(rows(2), b);
            [
                scales.apply(octet, s0),
                scales.apply(octet, s1),
                scales.apply(octet, s2),
                scales.apply(octet, s3),
            ]
        });
    }
}

/// The nibbles of an octet's 4 pairs. Pairs beyond the first and last channel are zero.
#[target_feature(enable = "avx2")]
fn split_nibbles(x: &Operands<'_>, skew: usize, octet: usize, out: &mut [Nibbles]) {
    let total = x.channels.div_ceil(2);
    let first: [Option<usize>; 4] = std::array::from_fn(|i| {
        let pair = (octet * 4 + i).checked_sub(skew / 2)?;
        (pair < total).then(|| x.pair_offset(pair))
    });
    let together = first
        .iter()
        .enumerate()
        .all(|(i, f)| first[0].is_some_and(|start| *f == Some(start + 8 * i)));
    let eight = |offset: Option<usize>, chunk: usize| {
        offset.map_or(0, |offset| {
            let bytes = x.b.get(offset + chunk * x.b_word()..);
            let bytes = bytes.and_then(|b| b.first_chunk());
            i64::from_le_bytes(bytes.copied().unwrap_or_default())
        })
    };
    let (low, eights) = (_mm256_set1_epi8(15), _mm256_set1_epi8(8));
    for (chunk, [even, odd]) in out.iter_mut().enumerate() {
        let whole = first[0]
            .filter(|_| together)
            .and_then(|start| x.b.get(start + chunk * x.b_word()..)?.first_chunk::<32>());
        let word = match whole {
            Some(word) => load(word),
            None => _mm256_setr_epi64x(
                eight(first[0], chunk),
                eight(first[1], chunk),
                eight(first[2], chunk),
                eight(first[3], chunk),
            ),
        };
        store(even, _mm256_xor_si256(_mm256_and_si256(word, low), eights));
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(word), low);
        // The one code that leaves the packed multiplier's pre-adder and counts as +8: `fqbert_numerics::packed::unpack_pair`.
        let signs = _mm256_and_si256(word, _mm256_set1_epi8(0xf8u8 as i8));
        let wraps = _mm256_cmpeq_epi8(signs, _mm256_set1_epi8(0x88u8 as i8));
        let sixteen = _mm256_and_si256(wraps, _mm256_set1_epi8(16));
        store(
            odd,
            _mm256_or_si256(_mm256_xor_si256(high, eights), sixteen),
        );
    }
}

/// The codes of an octet's 8 channels as i16.
fn widen_codes(x: &Operands<'_>, skew: usize, octet: usize, out: &mut [Codes]) {
    for place in 0..OCTET {
        let channel = (octet * OCTET + place).checked_sub(skew);
        let first = channel
            .filter(|channel| *channel < x.channels)
            .map(|channel| x.pair_offset(channel));
        for (chunk, vectors) in out.iter_mut().enumerate() {
            let target = &mut vectors[place / 2][place % 2 * 8..][..8];
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

/// 8 times the sum of each row of a row tile.
#[target_feature(enable = "avx2")]
fn sum_tile(x: &Operands<'_>, tile: usize, out: &mut [[i32; QUAD]]) {
    let words = x.a_tile(tile);
    let (eights, ones) = (_mm256_set1_epi8(8), _mm256_set1_epi16(1));
    for (quad, sums) in out.iter_mut().enumerate() {
        let mut sum = _mm256_setzero_si256();
        for word in words.chunks_exact(x.a_word()) {
            let Some(word) = word[quad * QUAD * 8..].first_chunk::<32>() else {
                continue;
            };
            // |8 * (a + a')| <= 2048: no saturation.
            let pairs = _mm256_maddubs_epi16(eights, load(word));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
        }
        let mut halves = [0i32; 8];
        store(&mut halves, sum);
        for (sum, two) in sums.iter_mut().zip(halves.as_chunks::<2>().0) {
            *sum = two[0] + two[1];
        }
    }
}
