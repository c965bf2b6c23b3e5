//! Several MATMULs of the same activations as one, or one whose weights are used once.
//!
//! Their weights are unpacked from where DDR has them by the thread that multiplies with them, two
//! octets at a time, into a buffer that its first-level cache holds. Then it goes through the row
//! tiles, and asks for the weights of its next piece meanwhile.

use std::cell::RefCell;
use std::ops::Range;

use super::ahead::Ahead;
use super::blocked::{self, Channels, Product};
use super::instruction_set::InstructionSet;
use super::octet::{Bytes, Line, OCTET, Octet, Place};
use super::target::Target;
use crate::kernels::operands::{Member, Operands};
use crate::kernels::share::share;

/// Lines of the largest piece, whose weights are to be in the second-level cache before it begins:
/// half of 256 KiB as they lie.
const LINES: usize = 4096;
/// Octets that are unpacked together and that one function may take; pieces are multiples of it.
const TOGETHER: usize = 2;

thread_local! {
    /// The lines of a thread. Never shortened: what is added would be filled with zeros each time.
    static UNPACKED: RefCell<Vec<Line>> = RefCell::default();
}

/// The column tiles of all members.
struct ColumnTiles<'a> {
    tiles: Vec<ColumnTile<'a>>,
    /// Pairs of all.
    pairs: usize,
}

struct ColumnTile<'a> {
    first_pair: usize,
    bytes: Bytes<'a>,
    /// Byte of its first word.
    first: usize,
}

impl<'a> ColumnTiles<'a> {
    /// Those of `members`, or of `x` alone where there are none.
    fn new(x: &Operands<'a>, members: &'a [Member<'a>]) -> Self {
        let (mut pairs, mut tiles) = (0, Vec::new());
        let mut add = |channels: usize, bytes: Bytes<'a>, first: usize, stride: usize| {
            let count = channels.div_ceil(x.channels_per_pair());
            tiles.extend((0..count.div_ceil(x.pairs)).map(|tile| ColumnTile {
                first_pair: pairs + tile * x.pairs,
                bytes,
                first: first + tile * stride,
            }));
            pairs += count;
        };
        for member in members {
            let channels = usize::from(member.matmul.channels);
            add(
                channels,
                Bytes::Lent(&member.weights),
                member.first,
                member.stride,
            );
        }
        if members.is_empty() {
            add(x.channels, Bytes::Memory(x.b), 0, x.b_stride);
        }
        Self { tiles, pairs }
    }

    /// The column tile of a pair.
    fn of(&self, pair: usize) -> usize {
        self.tiles.partition_point(|tile| tile.first_pair <= pair) - 1
    }

    /// Where the weights of a pair lie, if there is one. `tile` is that of a pair before it, and
    /// becomes its own.
    fn place(&'a self, x: &Operands<'_>, pair: usize, tile: &mut usize) -> Option<Place<'a>> {
        if pair >= self.pairs {
            return None;
        }
        while self
            .tiles
            .get(*tile + 1)
            .is_some_and(|next| next.first_pair <= pair)
        {
            *tile += 1;
        }
        let tile = &self.tiles[*tile];
        Some(Place {
            bytes: tile.bytes,
            first: tile.first + (pair - tile.first_pair) * x.lanes,
        })
    }

    /// Those of some octets.
    fn range(&self, x: &Operands<'_>, skew: usize, octets: Range<usize>) -> Range<usize> {
        let pair = |octet: usize| (octet * OCTET).saturating_sub(skew) / x.channels_per_pair();
        let last = pair(octets.end).min(self.pairs) - 1;
        self.of(pair(octets.start))..self.of(last) + 1
    }
}

/// Some octets of all row tiles, and the bytes they go to.
struct ColumnPiece<'a> {
    /// Place among the pieces.
    index: usize,
    octets: Range<usize>,
    strips: Vec<&'a mut [u8]>,
}

/// Octets of each piece, in turn: less and less, so that no thread waits long for the last. Whole
/// column tiles if they can be, since the lines of a tile that two pieces share are read twice.
fn pieces(x: &Operands<'_>, skew: usize, count: usize, lines: usize) -> Vec<Range<usize>> {
    let most = (LINES / lines / TOGETHER * TOGETHER).max(TOGETHER);
    let tile = x.pairs * x.channels_per_pair();
    let mut lengths = (TOGETHER..=most).step_by(TOGETHER);
    let whole = lengths.find(|octets| (octets * OCTET).is_multiple_of(tile));
    let whole = whole.filter(|_| skew == 0).unwrap_or(TOGETHER);
    let mut pieces = Vec::new();
    let mut first = 0;
    while first < count {
        let wanted = (2 * blocked::octets_of_a_piece(x, count - first)).min(most);
        let unit = if wanted < whole { TOGETHER } else { whole };
        let length = (wanted / unit * unit).max(TOGETHER);
        let end = count.min(first + length);
        pieces.push(first..end);
        first = end;
    }
    pieces
}

/// Computes the MATMULs `members`, whose parameters `x` holds one after the other, into `target`;
/// that of `x` where there are none.
pub fn matmul<'a>(
    set: &InstructionSet,
    x: &Operands<'a>,
    members: &'a [Member<'a>],
    row_corrections: &[i32],
    target: &mut Target<'_>,
) {
    let product = Product {
        set,
        x,
        format: target.format,
        row_corrections,
    };
    let (skew, lines) = (target.skew, blocked::lines(set, x));
    let tiles = ColumnTiles::new(x, members);
    let count = (skew + x.channels).div_ceil(OCTET);
    let slab = target.format.bytes(x.rows);
    let ranges = pieces(x, skew, count, lines);
    let mut pieces: Vec<ColumnPiece<'_>> = ranges
        .iter()
        .enumerate()
        .map(|(index, octets)| ColumnPiece {
            index,
            octets: octets.clone(),
            strips: Vec::with_capacity(x.row_tiles),
        })
        .collect();
    let strips = target.bytes.chunks_mut(target.stride).take(x.row_tiles);
    for strip in strips {
        let end = target.length.min(strip.len());
        let mut rest = &mut strip[..end];
        for piece in &mut pieces {
            let bytes = piece.octets.len() * slab;
            let (these, others) = rest.split_at_mut(bytes.min(rest.len()));
            piece.strips.push(these);
            rest = others;
        }
    }
    let threads = rayon::current_num_threads();
    let compute = |piece: ColumnPiece<'_>| {
        // What this thread will most likely take next.
        let after = ranges.get(piece.index + threads);
        let after = after.map_or(0..0, |octets| tiles.range(x, skew, octets.clone()));
        let length = x.chunks * x.b_word();
        let steps = x.row_tiles * piece.octets.len().div_ceil(2);
        let bytes = after.len() * length;
        let after = tiles.tiles[after].iter();
        let parts = after.filter_map(|tile| match tile.bytes {
            Bytes::Lent(lent) => Some(lent.parts(tile.first, length)),
            Bytes::Memory(_) => None,
        });
        let mut ahead = Ahead::new(parts.flatten(), bytes, steps);
        let ColumnPiece {
            octets, mut strips, ..
        } = piece;
        let mut tile = tiles.range(x, skew, octets.clone()).start;
        UNPACKED.with_borrow_mut(|unpacked| {
            let least = TOGETHER * lines;
            unpacked.resize(least.max(unpacked.len()), Line([0; 64]));
            for (group, first) in octets.clone().step_by(TOGETHER).enumerate() {
                let octets = first..octets.end.min(first + TOGETHER);
                let mut channels: [Option<Channels>; TOGETHER] = Default::default();
                let parts = unpacked.chunks_exact_mut(lines);
                for ((octet, lines), channels) in octets.zip(parts).zip(&mut channels) {
                    let mut here = blocked::channels(x, skew, octet);
                    let weights = Octet::of(x, skew, octet, |pair| tiles.place(x, pair, &mut tile));
                    blocked::unpack(set, x, &weights, lines, &mut here);
                    *channels = Some(here);
                }
                for (tile, strip) in strips.iter_mut().enumerate() {
                    let strip = strip.chunks_mut(TOGETHER * slab).nth(group);
                    let strip = strip.unwrap_or_default();
                    product.compute(tile, strip, unpacked, channels.iter().flatten());
                    ahead.step();
                }
            }
        });
    };
    share(pieces.into_iter(), compute);
}
