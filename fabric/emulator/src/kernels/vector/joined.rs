//! Several MATMULs of the same activations as one.
//!
//! Their weights are unpacked by the thread that multiplies with them, some octets at a time, right from where DDR has them into a
//! buffer that its second-level cache holds. Then it goes through the row tiles.

use std::cell::RefCell;

use rayon::prelude::*;

use super::blocked::{self, Channels, Job};
use super::fused::{OCTET, Target};
use super::path::{Line, Octet, Path, Place, Weights};
use crate::kernels::matmul::{Member, Operands};

/// Lines of the buffer: 128 KiB.
const LINES: usize = 2048;

thread_local! {
    static UNPACKED: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Where each pair of the joined channels lies.
struct Pairs<'a> {
    members: &'a [Member<'a>],
    /// First pair of each member.
    first: Vec<usize>,
    total: usize,
    /// Pairs of a column tile.
    per_tile: usize,
    /// Bytes of a pair in a word.
    bytes: usize,
}

impl<'a> Pairs<'a> {
    fn new(x: &Operands<'_>, members: &'a [Member<'a>]) -> Self {
        let mut total = 0;
        let first = members.iter().map(|member| {
            let first = total;
            total += member.channels.div_ceil(x.channels_per_pair());
            first
        });
        Self {
            first: first.collect(),
            members,
            total,
            per_tile: x.pairs,
            bytes: x.lanes,
        }
    }

    fn place(&self, pair: usize) -> Option<Place<'a>> {
        if pair >= self.total {
            return None;
        }
        let at = self.first.partition_point(|first| *first <= pair) - 1;
        let (member, pair) = (self.members.get(at)?, pair - self.first[at]);
        let (tile, pair) = (pair / self.per_tile, pair % self.per_tile);
        Some(Place {
            weights: Weights::Lent(&member.weights),
            at: member.first + tile * member.stride + pair * self.bytes,
        })
    }
}

/// Some octets of all row tiles, and the bytes they go to.
struct Piece<'a> {
    first: usize,
    octets: usize,
    strips: Vec<&'a mut [u8]>,
}

/// Computes the MATMULs `members`, whose parameters `x` holds one after the other, into `target`.
pub fn matmul(
    path: &Path,
    x: &Operands<'_>,
    members: &[Member<'_>],
    row_sums: &[i32],
    target: &mut Target<'_>,
) {
    let job = Job {
        path,
        x,
        format: target.format,
        row_sums,
    };
    let (skew, lines) = (target.skew, blocked::lines(path, x));
    let pairs = Pairs::new(x, members);
    let count = (skew + x.channels).div_ceil(OCTET);
    let length = blocked::octets_of_a_piece(x, count)
        .min(LINES / lines)
        .max(1);
    let slab = target.format.bytes(x.rows);
    let mut pieces: Vec<Piece<'_>> = (0..count)
        .step_by(length)
        .map(|first| Piece {
            first,
            octets: length.min(count - first),
            strips: Vec::with_capacity(x.row_tiles),
        })
        .collect();
    let strips = target.bytes.chunks_mut(target.stride).take(x.row_tiles);
    for strip in strips {
        let end = target.length.min(strip.len());
        let parts = strip[..end].chunks_mut(length * slab);
        for (piece, bytes) in pieces.iter_mut().zip(parts) {
            piece.strips.push(bytes);
        }
    }
    let compute = |piece: Piece<'_>| {
        UNPACKED.with_borrow_mut(|unpacked| {
            unpacked.resize(piece.octets * lines, Line([0; 64]));
            let octets = unpacked.chunks_exact_mut(lines).zip(piece.first..);
            let channels: Vec<Channels> = octets
                .map(|(lines, octet)| {
                    let weights = Octet::of(x, skew, octet, |pair| pairs.place(pair));
                    blocked::unpack(path, x, skew, octet, &weights, lines)
                })
                .collect();
            for (tile, strip) in piece.strips.into_iter().enumerate() {
                job.compute(tile, strip, unpacked, &channels);
            }
        });
    };
    if pieces.len() == 1 {
        pieces.into_iter().for_each(compute);
    } else {
        pieces.into_par_iter().with_max_len(1).for_each(compute);
    }
}
