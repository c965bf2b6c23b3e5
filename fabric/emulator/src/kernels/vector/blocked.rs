//! MATMUL in two steps: weights are unpacked once for all row tiles, then every octet of channels of every row tile goes straight into its
//! destination's words, one row tile after the other, so that its activations are read once and the weights stay in the second-level cache.

use std::ops::Range;

use rayon::prelude::*;

use super::fused::{Format, OCTET, Target};
use super::path::{Dot, Line, MOST_ROWS, Octet, Path, QUAD, RowSums, Scale};
use super::slab::Slab;
use crate::kernels::matmul::{Operands, ParamsSource, Source};

/// Pieces of work for each thread: enough that none waits long for the last.
const PIECES_PER_THREAD: usize = 4;
/// Nothing is to be taken off the sums of these rows.
const NOTHING: [i32; MOST_ROWS] = [0; MOST_ROWS];

/// Unpacked operands, kept from instruction to instruction: a program uses the weights of a slot for one row tile after the other.
#[derive(Debug, Default)]
pub struct Buffers {
    /// By weight slot; the last one is for operands out of OPD.
    weights: [Weights; 5],
    activations: ActivationSums,
}

/// Weights as a path takes them, `[octet][word]`.
#[derive(Debug, Default)]
struct Weights {
    of: Option<Source>,
    lines: Vec<Line>,
    /// What else there is to their channels, and what that was made of.
    octets: Vec<Channels>,
    octets_of: Option<(ParamsSource, i16)>,
}

/// A multiple of the sum of each row's activations, `[row tile][row]`.
#[derive(Debug, Default)]
struct ActivationSums {
    of: Option<Source>,
    sums: Vec<i32>,
}

/// What is known of the channels of an octet.
#[derive(Clone, Debug)]
struct Channels {
    /// Places that the MATMUL writes.
    valid: Range<usize>,
    scale: Scale,
    /// To be taken off the sums of each channel.
    by_channel: RowSums,
}

/// What all pieces of a MATMUL share.
struct Job<'a> {
    path: &'a Path,
    x: &'a Operands<'a>,
    format: Format<'a>,
    weights: &'a Weights,
    /// Lines of an octet.
    lines: usize,
    /// `[row tile][row]`; empty where nothing is to be taken off.
    row_sums: &'a [i32],
}

/// Some octets of one row tile, and the bytes they go to.
struct Piece<'a> {
    tile: usize,
    first: usize,
    bytes: &'a mut [u8],
}

/// Computes a MATMUL into `target`.
pub fn matmul(path: &Path, x: &Operands<'_>, target: &mut Target<'_>, buffers: &mut Buffers) {
    assert!(
        x.lanes == OCTET && x.rows.is_multiple_of(QUAD) && x.rows <= MOST_ROWS,
        "shape checked by usable_for"
    );
    let Buffers {
        weights,
        activations,
    } = buffers;
    let last = weights.len() - 1;
    let weights = &mut weights[x.b_slot.map_or(last, |slot| slot.min(last))];
    let count = (target.skew + x.channels).div_ceil(OCTET);
    weights.update(path, x, target.skew, count);
    let row_sums: &[i32] = if path.row_factor != 0 && !x.mode8 {
        activations.update(path, x);
        &activations.sums
    } else {
        &[]
    };
    let job = Job {
        path,
        x,
        format: target.format,
        lines: lines(path, x),
        weights,
        row_sums,
    };

    let slab = target.format.bytes(x.rows);
    let threads = rayon::current_num_threads();
    let groups = if threads == 1 {
        1
    } else {
        (PIECES_PER_THREAD * threads)
            .div_ceil(x.row_tiles)
            .clamp(1, count)
    };
    let length = count.div_ceil(groups);
    let pieces: Vec<Piece<'_>> = target
        .bytes
        .chunks_mut(target.stride)
        .take(x.row_tiles)
        .enumerate()
        .flat_map(|(tile, strip)| {
            let end = target.length.min(strip.len());
            let groups = strip[..end].chunks_mut(length * slab).enumerate();
            groups.map(move |(group, bytes)| Piece {
                tile,
                first: group * length,
                bytes,
            })
        })
        .collect();
    if threads == 1 {
        pieces.into_iter().for_each(|piece| job.compute(piece));
    } else {
        let pieces = pieces.into_par_iter().with_max_len(1);
        pieces.for_each(|piece| job.compute(piece));
    }
}

/// Lines that the words of an octet take.
fn lines(path: &Path, x: &Operands<'_>) -> usize {
    x.chunks * if x.mode8 { path.code_lines } else { 1 }
}

/// The channels of octet `octet` of a MATMUL whose first channel is place `skew` of the first one.
fn channels(x: &Operands<'_>, skew: usize, octet: usize) -> Channels {
    let first = octet * OCTET;
    let valid = skew.saturating_sub(first).min(OCTET)..(skew + x.channels - first).min(OCTET);
    let params = first.saturating_sub(skew)..valid.end + first - skew;
    let largest = x.chunks as i64 * 8 * if x.mode8 { 255 * 128 } else { 128 * 8 };
    Channels {
        scale: Scale::new(&x.params[params], valid.start, largest, x.limit()),
        valid,
        by_channel: RowSums::default(),
    }
}

impl Job<'_> {
    fn compute(&self, piece: Piece<'_>) {
        let (path, x, tile) = (self.path, self.x, piece.tile);
        let mut sums = [RowSums::default(); MOST_ROWS];
        let sums = &mut sums[..x.rows];
        let by_row = match self.row_sums {
            [] => &NOTHING[..x.rows],
            sums => &sums[tile * x.rows..][..x.rows],
        };
        let slabs = piece.bytes.chunks_mut(self.format.bytes(x.rows));
        for (slab, octet) in slabs.zip(piece.first..) {
            let channels = &self.weights.octets[octet];
            let dot = Dot {
                a: x.a_tile(tile),
                stride: x.a_word(),
                rows: x.rows,
                chunks: x.chunks,
                a_unsigned: x.a_unsigned,
                b: &self.weights.lines[octet * self.lines..][..self.lines],
                by_row,
                by_channel: &channels.by_channel,
            };
            if x.mode8 {
                (path.dot8)(&dot, sums);
            } else {
                (path.dot4)(&dot, sums);
            }
            let place = Slab {
                format: self.format,
                rows: x.rows,
                valid: channels.valid.clone(),
            };
            (path.drain)(&place, &channels.scale, sums, slab);
        }
    }
}

impl Buffers {
    /// What was made of the activations `source`, if anything, holds in generation `generation` of their memory too.
    pub fn still_valid(&mut self, source: Source, generation: u64) {
        match &mut self.activations.of {
            Some(of) if *of == source => of.generation = generation,
            _ => {}
        }
    }
}

impl Weights {
    /// Unpacks the weights of `x` and their channels' records, unless they are there from an earlier instruction.
    fn update(&mut self, path: &Path, x: &Operands<'_>, skew: usize, octets: usize) {
        let of = Some(x.b_source.arranged(skew));
        // Signed and unsigned activations may differ in what is to be taken off.
        let factor = path.channel_factors[usize::from(x.a_unsigned)];
        let kept = self.of == of && !(x.mode8 && path.channel_factors != [0, 0]);
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
        let lines = lines(path, x);
        self.lines.resize(octets * lines, Line([0; 64]));
        self.lines
            .par_chunks_mut(lines)
            .enumerate()
            .map(|(octet, lines)| {
                let mut channels = channels(x, skew, octet);
                let weights = Octet::new(x, skew, octet);
                if !x.mode8 {
                    (path.unpack4)(&weights, lines);
                    return channels;
                }
                (path.unpack8)(&weights, lines);
                if factor != 0 {
                    let sums = weights.sum_codes(x.chunks);
                    channels.by_channel.0 = sums.map(|sum| sum * factor);
                }
                channels
            })
            .collect_into_vec(&mut self.octets);
    }
}

impl ActivationSums {
    /// Makes the sums of the rows of `x`, unless they are there from an earlier instruction.
    fn update(&mut self, path: &Path, x: &Operands<'_>) {
        if self.of == Some(x.a_source) {
            return;
        }
        self.of = Some(x.a_source);
        self.sums.resize(x.row_tiles * x.rows, 0);
        let tiles = self.sums.par_chunks_mut(x.rows).enumerate();
        tiles.for_each(|(tile, sums)| (path.sum_rows)(x, tile, sums));
    }
}
