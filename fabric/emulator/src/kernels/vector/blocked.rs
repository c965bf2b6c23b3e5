//! MATMUL in pieces: a piece unpacks the weights of an octet of channels, multiplies every row tile with them while they are in the
//! first-level cache, and writes the results straight to their destination's words.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::fused::{Format, OCTET, Target};
use super::path::{Dot, Line, MOST_ROWS, Octet, Path, QUAD, RowSums, Scale};
use super::slab::Slab;
use crate::kernels::matmul::{Operands, Source};

/// Pieces for each thread: enough that none waits long for the last, few enough that weights are seldom unpacked twice.
const PIECES_PER_THREAD: usize = 2;

/// Nothing is to be taken off the sums of these rows.
const NOTHING: [i32; MOST_ROWS] = [0; MOST_ROWS];

/// A multiple of the sum of each row's activations, `[row tile][row]`; kept from instruction to instruction.
#[derive(Debug, Default)]
pub struct ActivationSums {
    of: Option<Source>,
    sums: Vec<i32>,
}

thread_local! {
    /// The unpacked weights of the octet a thread is working on.
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// What all pieces of a MATMUL share.
struct Job<'a> {
    path: &'a Path,
    x: &'a Operands<'a>,
    format: Format<'a>,
    skew: usize,
    /// Bound of a sum's magnitude.
    largest: i64,
    /// `[row tile][row]`; empty where nothing is to be taken off.
    row_sums: &'a [i32],
}

/// What belongs to the octet that a piece is working on.
struct Current {
    octet: usize,
    /// To be taken off the sums of each channel.
    by_channel: RowSums,
    scale: Scale,
}

/// Computes a MATMUL into `target`.
pub fn matmul(
    path: &Path,
    x: &Operands<'_>,
    target: &mut Target<'_>,
    activations: &mut ActivationSums,
) {
    assert!(
        x.lanes == OCTET && x.rows.is_multiple_of(QUAD) && x.rows <= MOST_ROWS,
        "shape checked by usable_for"
    );
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
        skew: target.skew,
        largest: x.chunks as i64 * 8 * if x.mode8 { 255 * 128 } else { 128 * 8 },
        row_sums,
    };

    // All slabs in order of octet, then of row tile: a piece is a run of them.
    let slab = target.format.bytes(x.rows);
    let mut strips: Vec<_> = target
        .bytes
        .chunks_mut(target.stride)
        .take(x.row_tiles)
        .map(|strip| {
            let length = target.length.min(strip.len());
            strip[..length].chunks_mut(slab)
        })
        .collect();
    let octets = (target.skew + x.channels).div_ceil(OCTET);
    let mut slabs = Vec::with_capacity(octets * x.row_tiles);
    for _ in 0..octets {
        slabs.extend(strips.iter_mut().filter_map(|strip| strip.next()));
    }
    let threads = rayon::current_num_threads();
    let pieces = if threads == 1 {
        1
    } else {
        PIECES_PER_THREAD * threads
    };
    let length = slabs.len().div_ceil(pieces).max(1);
    slabs
        .par_chunks_mut(length)
        .enumerate()
        .with_max_len(1)
        .for_each(|(piece, slabs)| {
            LINES.with_borrow_mut(|lines| job.compute(piece * length, slabs, lines));
        });
}

impl Job<'_> {
    /// The slabs from number `first` on.
    fn compute(&self, first: usize, slabs: &mut [&mut [u8]], lines: &mut Vec<Line>) {
        let (path, x) = (self.path, self.x);
        let lines_of = if x.mode8 { path.code_lines } else { 1 };
        lines.resize(x.chunks * lines_of, Line([0; 64]));
        let mut current: Option<Current> = None;
        let mut sums = [RowSums::default(); MOST_ROWS];
        let sums = &mut sums[..x.rows];
        for (at, slab) in (first..).zip(slabs) {
            let (octet, tile) = (at / x.row_tiles, at % x.row_tiles);
            let current = match &mut current {
                Some(current) if current.octet == octet => &*current,
                other => other.insert(self.unpack(octet, lines)),
            };
            let dot = Dot {
                a: x.a_tile(tile),
                stride: x.a_word(),
                rows: x.rows,
                chunks: x.chunks,
                a_unsigned: x.a_unsigned,
                b: lines,
                by_row: match self.row_sums {
                    [] => &NOTHING[..x.rows],
                    sums => &sums[tile * x.rows..][..x.rows],
                },
                by_channel: &current.by_channel,
            };
            if x.mode8 {
                (path.dot8)(&dot, sums);
            } else {
                (path.dot4)(&dot, sums);
            }
            let place = Slab {
                format: self.format,
                rows: x.rows,
                valid: self.valid(octet),
            };
            (path.drain)(&place, &current.scale, sums, slab);
        }
    }

    /// Unpacks the weights of an octet.
    fn unpack(&self, octet: usize, lines: &mut [Line]) -> Current {
        let (path, x) = (self.path, self.x);
        let weights = Octet::new(x, self.skew, octet);
        let mut by_channel = RowSums::default();
        if x.mode8 {
            (path.unpack8)(&weights, lines);
            let factor = path.channel_factors[usize::from(x.a_unsigned)];
            if factor != 0 {
                by_channel.0 = weights.sum_codes(x.chunks).map(|sum| sum * factor);
            }
        } else {
            (path.unpack4)(&weights, lines);
        }
        let first = octet * OCTET;
        let channels = first.saturating_sub(self.skew)..self.valid(octet).end + first - self.skew;
        let scale = Scale::new(
            &x.params[channels],
            self.valid(octet).start,
            self.largest,
            x.limit(),
        );
        Current {
            octet,
            by_channel,
            scale,
        }
    }

    /// Places of an octet whose channels the MATMUL writes.
    fn valid(&self, octet: usize) -> Range<usize> {
        let first = octet * OCTET;
        let start = self.skew.saturating_sub(first).min(OCTET);
        start..(self.skew + self.x.channels - first).min(OCTET)
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
