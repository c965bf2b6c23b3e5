//! MATMUL in two steps: weights are unpacked once for all row tiles, then every octet of channels
//! of every row tile goes straight into its destination's words, one row tile after the other, so
//! that its activations are read once and the weights stay in the second-level cache.

use std::ops::Range;

use rayon::prelude::*;

use super::dot::Dot;
use super::instruction_set::{InstructionSet, Pair, Scale};
use super::octet::{Line, MOST_ROWS, OCTET, Octet, QUAD, RowSums};
use super::slab::{Format, Slab};
use super::target::Target;
use crate::kernels::operands::{Operands, ParamsSource, Source};
use crate::kernels::share::share;

/// Pieces of work for each thread: enough that none waits long for the last.
const PIECES_PER_THREAD: usize = 4;
/// Multiply-accumulates below which a MATMUL is one thread's: some microseconds.
const PARALLEL: usize = 1 << 18;
/// Lines below which one thread unpacks them: likewise.
const PARALLEL_LINES: usize = 512;
/// Rows without a zero-point correction.
const UNCORRECTED: [i32; MOST_ROWS] = [0; MOST_ROWS];

/// Unpacked operands, kept from instruction to instruction: a program uses the weights of a slot
/// for one row tile after the other.
#[derive(Debug, Default)]
pub struct Buffers {
    /// By weight slot; the last one is for operands out of OPD.
    weights: [Weights; 5],
    pub rows: RowCorrections,
}

/// Weights as an instruction set takes them, `[octet][word]`.
#[derive(Debug, Default)]
struct Weights {
    of: Option<Source>,
    lines: Vec<Line>,
    /// What else there is to their channels, and what that was made of.
    octets: Vec<Channels>,
    octets_of: Option<(ParamsSource, i16)>,
}

/// Zero-point corrections of the rows of a MATMUL's activations, `[row tile][row]`.
#[derive(Debug, Default)]
pub struct RowCorrections {
    of: Option<Source>,
    corrections: Vec<i32>,
}

/// What is known of the channels of an octet.
#[derive(Clone, Debug)]
pub struct Channels {
    /// Places that the MATMUL writes.
    valid: Range<usize>,
    scale: Scale,
    /// Zero-point correction of each channel.
    corrections: RowSums,
}

/// What all pieces of a MATMUL share.
pub struct Product<'a> {
    pub set: &'a InstructionSet,
    pub x: &'a Operands<'a>,
    pub format: Format<'a>,
    /// Zero-point corrections, `[row tile][row]`; empty where there are none.
    pub row_corrections: &'a [i32],
}

/// Some octets of one row tile, and the bytes they go to.
struct TilePiece<'a> {
    tile: usize,
    first: usize,
    bytes: &'a mut [u8],
}

/// Computes a MATMUL into `target`.
pub fn matmul(
    set: &InstructionSet,
    x: &Operands<'_>,
    target: &mut Target<'_>,
    buffers: &mut Buffers,
) {
    assert!(
        x.lanes == OCTET && x.rows.is_multiple_of(QUAD) && x.rows <= MOST_ROWS,
        "shape checked by usable_for"
    );
    let Buffers { weights, rows } = buffers;
    let last = weights.len() - 1;
    let weights = &mut weights[x.b_slot.map_or(last, |slot| slot.min(last))];
    let count = (target.skew + x.channels).div_ceil(OCTET);
    weights.update(set, x, target.skew, count);
    let product = Product {
        set,
        x,
        format: target.format,
        row_corrections: rows.update(set, x),
    };

    let (slab, lines) = (target.format.bytes(x.rows), lines(set, x));
    // The row tiles are pieces of their own.
    let length = octets_of_a_piece(x, count * x.row_tiles).min(count);
    let pieces: Vec<TilePiece<'_>> = target
        .bytes
        .chunks_mut(target.stride)
        .take(x.row_tiles)
        .enumerate()
        .flat_map(|(tile, strip)| {
            let end = target.length.min(strip.len());
            let groups = strip[..end].chunks_mut(length * slab).enumerate();
            groups.map(move |(group, bytes)| TilePiece {
                tile,
                first: group * length,
                bytes,
            })
        })
        .collect();
    let compute = |piece: TilePiece<'_>| {
        let unpacked = &weights.lines[piece.first * lines..];
        let channels = &weights.octets[piece.first..];
        product.compute(piece.tile, piece.bytes, unpacked, channels);
    };
    share(pieces.into_iter(), compute);
}

/// Whether a MATMUL is done before another thread could have taken a part of it.
fn pieces_are_small(x: &Operands<'_>) -> bool {
    rayon::current_num_threads() == 1 || work(x) < PARALLEL
}

/// Multiply-accumulates.
fn work(x: &Operands<'_>) -> usize {
    x.row_tiles * x.rows * x.channels * x.chunks * x.lanes
}

/// Octets of a piece, of `octets` that all threads share.
pub fn octets_of_a_piece(x: &Operands<'_>, octets: usize) -> usize {
    if pieces_are_small(x) {
        octets
    } else {
        octets.div_ceil(PIECES_PER_THREAD * rayon::current_num_threads())
    }
}

/// Lines that the words of an octet take.
pub fn lines(set: &InstructionSet, x: &Operands<'_>) -> usize {
    x.chunks * if x.mode8 { set.code_lines } else { 1 }
}

/// The channels of octet `octet` of a MATMUL whose first channel is place `skew` of the first one.
pub fn channels(x: &Operands<'_>, skew: usize, octet: usize) -> Channels {
    let first = octet * OCTET;
    let valid = skew.saturating_sub(first).min(OCTET)..(skew + x.channels - first).min(OCTET);
    let params = first.saturating_sub(skew)..valid.end + first - skew;
    let largest = x.chunks as i64 * 8 * if x.mode8 { 255 * 128 } else { 128 * 8 };
    Channels {
        scale: Scale::new(&x.params[params], valid.start, largest, x.limit()),
        valid,
        corrections: RowSums::default(),
    }
}

/// Unpacks as many words of weights as there are lines for, and adds to the zero-point corrections
/// of their channels.
pub fn unpack(
    set: &InstructionSet,
    x: &Operands<'_>,
    weights: &Octet<'_>,
    lines: &mut [Line],
    channels: &mut Channels,
) {
    if !x.mode8 {
        (set.unpack4)(weights, lines);
        return;
    }
    (set.unpack8)(weights, lines);
    let zero_point = set.activation_zero_points[usize::from(x.a_unsigned)];
    if zero_point != 0 {
        let sums = (set.code_sums)(weights, lines);
        for (correction, sum) in channels.corrections.0.iter_mut().zip(sums) {
            *correction += sum * zero_point;
        }
    }
}

impl Product<'_> {
    /// Fills the slabs of `strip`, those of octets of row tile `tile`, with weights and channels
    /// from the first of these octets on.
    pub fn compute<'c>(
        &self,
        tile: usize,
        strip: &mut [u8],
        unpacked: &[Line],
        channels: impl IntoIterator<Item = &'c Channels>,
    ) {
        let (set, x) = (self.set, self.x);
        // Where there are no pairs, or an octet is left.
        let mut sums: Option<[RowSums; MOST_ROWS]> = None;
        let row_corrections = match self.row_corrections {
            [] => &UNCORRECTED[..x.rows],
            all => &all[tile * x.rows..][..x.rows],
        };
        let slabs = strip.chunks_mut(self.format.bytes(x.rows));
        let lines = unpacked.chunks_exact(lines(set, x));
        let dot = |b, channels| self.dot(tile, row_corrections, b, channels);
        let mut octets = slabs.zip(lines).zip(channels);
        while let Some(((slab, lines), channels)) = octets.next() {
            if let Some(pair) = set.pair
                && let Some(((next_slab, next_lines), next)) = octets.next()
            {
                let both = Pair {
                    dots: [dot(lines, channels), dot(next_lines, next)],
                    mode8: x.mode8,
                    scales: [&channels.scale, &next.scale],
                    places: [self.place(channels), self.place(next)],
                };
                pair(&both, [slab, next_slab]);
                continue;
            }
            let sums = sums.get_or_insert_with(|| [RowSums::default(); MOST_ROWS]);
            let sums = &mut sums[..x.rows];
            let dot = dot(lines, channels);
            if x.mode8 {
                (set.dot8)(&dot, sums);
            } else {
                (set.dot4)(&dot, sums);
            }
            (set.drain)(&self.place(channels), &channels.scale, sums, slab);
        }
    }

    fn dot<'b>(
        &'b self,
        tile: usize,
        row_corrections: &'b [i32],
        b: &'b [Line],
        channels: &'b Channels,
    ) -> Dot<'b> {
        let x = self.x;
        Dot {
            a: x.a_tile(tile),
            stride: x.a_word(),
            rows: x.rows,
            chunks: x.chunks,
            a_unsigned: x.a_unsigned,
            b,
            row_corrections,
            channel_corrections: &channels.corrections,
        }
    }

    fn place(&self, channels: &Channels) -> Slab<'_> {
        Slab {
            format: self.format,
            rows: self.x.rows,
            valid: channels.valid.clone(),
        }
    }
}

impl Buffers {
    /// What was made of the activations `source`, if anything, holds in generation `generation` of
    /// their memory too.
    pub fn still_valid(&mut self, source: Source, generation: u64) {
        match &mut self.rows.of {
            Some(of) if *of == source => of.generation = generation,
            _ => {}
        }
    }
}

impl Weights {
    /// Unpacks the weights of `x` and their channels' records, unless they are there from an
    /// earlier instruction.
    fn update(&mut self, set: &InstructionSet, x: &Operands<'_>, skew: usize, octets: usize) {
        let of = Some(x.b_source.arranged(skew));
        let kept = self.of == of && !(x.mode8 && set.activation_zero_points != [0, 0]);
        let octets_of = Some((x.params_source, x.limit()));
        if kept {
            if self.octets_of != octets_of {
                self.octets_of = octets_of;
                self.octets.clear();
                self.octets
                    .extend((0..octets).map(|octet| channels(x, skew, octet)));
            }
            return;
        }
        (self.of, self.octets_of) = (of, octets_of);
        let lines = lines(set, x);
        self.lines.resize(octets * lines, Line([0; 64]));
        let unpack = |(octet, lines): (usize, &mut [Line])| {
            let mut channels = channels(x, skew, octet);
            unpack(set, x, &Octet::new(x, skew, octet), lines, &mut channels);
            channels
        };
        if self.lines.len() < PARALLEL_LINES || rayon::current_num_threads() == 1 {
            let octets = self.lines.chunks_mut(lines).enumerate();
            self.octets.clear();
            self.octets.extend(octets.map(unpack));
        } else {
            let octets = self.lines.par_chunks_mut(lines).enumerate();
            octets.map(unpack).collect_into_vec(&mut self.octets);
        }
    }
}

impl RowCorrections {
    /// Those of the rows of `x`, made unless they are there from an earlier instruction; none where
    /// the instruction set needs none.
    pub fn update(&mut self, set: &InstructionSet, x: &Operands<'_>) -> &[i32] {
        if set.weight_zero_point == 0 || x.mode8 {
            return &[];
        }
        if self.of != Some(x.a_source) {
            self.of = Some(x.a_source);
            self.corrections.resize(x.row_tiles * x.rows, 0);
            let make = |(tile, rows): (usize, &mut [i32])| (set.row_corrections)(x, tile, rows);
            if x.row_tiles == 1 {
                self.corrections
                    .chunks_mut(x.rows)
                    .enumerate()
                    .for_each(make);
            } else {
                let tiles = self.corrections.chunks_mut(x.rows).enumerate();
                share(tiles, make);
            }
        }
        &self.corrections
    }
}
