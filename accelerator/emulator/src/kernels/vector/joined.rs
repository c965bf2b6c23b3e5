//! Several MATMULs of the same activations as one.
//!
//! Their weights are copied from where DDR has them and unpacked by the thread that multiplies with
//! them, some octets at a time, into a buffer that its second-level cache holds. Then it goes
//! through the row tiles.

use std::cell::RefCell;
use std::ops::Range;

use super::blocked::{self, Channels, Job};
use super::fused::{OCTET, Target};
use super::path::{Line, Octet, Path};
use crate::kernels::matmul::{Member, Operands};
use fqbert_simulated::Lent;

/// Lines of the buffer: 256 KiB.
const LINES: usize = 4096;
/// Words of a column tile that are copied together, to be unpacked for one octet after the other:
/// memory is read in order, and once.
const WORDS: usize = 96;

/// Octets of the smallest piece.
const LEAST: usize = 2;

/// A thread's buffers.
#[derive(Default)]
struct Scratch {
    /// Words of each column tile.
    words: Vec<u8>,
    unpacked: Vec<Line>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The column tiles of all members.
struct Tiles<'a> {
    tiles: Vec<Tile<'a>>,
    /// Pairs of all.
    pairs: usize,
}

struct Tile<'a> {
    first_pair: usize,
    weights: &'a Lent<'a>,
    /// Byte of its first word.
    first: usize,
}

impl<'a> Tiles<'a> {
    fn new(x: &Operands<'_>, members: &'a [Member<'a>]) -> Self {
        let (mut pairs, mut tiles) = (0, Vec::new());
        for member in members {
            let count = usize::from(member.matmul.channels).div_ceil(x.channels_per_pair());
            tiles.extend((0..count.div_ceil(x.pairs)).map(|tile| Tile {
                first_pair: pairs + tile * x.pairs,
                weights: &member.weights,
                first: member.first + tile * member.stride,
            }));
            pairs += count;
        }
        Self { tiles, pairs }
    }

    /// The column tile of a pair, one of `among`.
    fn of(&self, pair: usize, among: &Range<usize>) -> usize {
        let tiles = &self.tiles[among.clone()];
        among.start + tiles.partition_point(|tile| tile.first_pair <= pair) - 1
    }

    /// Those of some octets.
    fn range(&self, x: &Operands<'_>, skew: usize, octets: Range<usize>) -> Range<usize> {
        let pair = |octet: usize| (octet * OCTET).saturating_sub(skew) / x.channels_per_pair();
        let (last, all) = (pair(octets.end).min(self.pairs) - 1, 0..self.tiles.len());
        self.of(pair(octets.start), &all)..self.of(last, &all) + 1
    }
}

/// Some octets of all row tiles, and the bytes they go to.
struct Piece<'a> {
    octets: Range<usize>,
    strips: Vec<&'a mut [u8]>,
}

/// Octets of each piece, in turn. First whole column tiles if they can be, since a tile that two
/// pieces share is copied twice; then less and less, so that no thread waits long for the last.
fn pieces(x: &Operands<'_>, skew: usize, count: usize, lines: usize) -> Vec<Range<usize>> {
    let most = (LINES / lines).max(1);
    let tile = x.pairs * x.channels_per_pair();
    let whole = (1..=most).find(|octets| (octets * OCTET).is_multiple_of(tile));
    let whole = whole.filter(|_| skew == 0).unwrap_or(1);
    let mut pieces = Vec::new();
    let mut first = 0;
    while first < count {
        let wanted = (2 * blocked::octets_of_a_piece(x, count - first)).min(most);
        let length = if wanted < whole {
            wanted.max(LEAST)
        } else {
            wanted / whole * whole
        };
        let end = count.min(first + length);
        pieces.push(first..end);
        first = end;
    }
    pieces
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
    let tiles = Tiles::new(x, members);
    let count = (skew + x.channels).div_ceil(OCTET);
    let slab = target.format.bytes(x.rows);
    let mut pieces: Vec<Piece<'_>> = pieces(x, skew, count, lines)
        .into_iter()
        .map(|octets| Piece {
            octets,
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
    let compute = |piece: Piece<'_>| {
        SCRATCH.with_borrow_mut(|scratch| {
            let channels = piece.octets.clone();
            let mut channels: Vec<Channels> = channels
                .map(|octet| blocked::channels(x, skew, octet))
                .collect();
            let unpacked = scratch.unpack(path, x, skew, piece.octets, &tiles, &mut channels);
            for (tile, strip) in piece.strips.into_iter().enumerate() {
                job.compute(tile, strip, unpacked, &channels);
            }
        });
    };
    blocked::share(pieces, compute);
}

impl Scratch {
    /// Unpacks the weights of some octets, and adds what is to be taken off the sums of their
    /// channels.
    fn unpack(
        &mut self,
        path: &Path,
        x: &Operands<'_>,
        skew: usize,
        octets: Range<usize>,
        tiles: &Tiles<'_>,
        channels: &mut [Channels],
    ) -> &[Line] {
        let here = tiles.range(x, skew, octets.clone());
        let (block, lines) = (WORDS * x.b_word(), blocked::lines(path, x));
        let (words, unpacked) = (here.len() * block, octets.len() * lines);
        // Never shortened: what is added would be filled with zeros each time.
        self.words.resize(words.max(self.words.len()), 0);
        let least = unpacked.max(self.unpacked.len());
        self.unpacked.resize(least, Line([0; 64]));
        let (words, unpacked) = (&mut self.words[..words], &mut self.unpacked[..unpacked]);
        let place = |pair: usize| {
            let tile = (pair < tiles.pairs).then(|| tiles.of(pair, &here))?;
            let pair = pair - tiles.tiles[tile].first_pair;
            Some((tile - here.start) * block + pair * x.lanes)
        };
        let weights: Vec<Octet<'_>> = octets
            .map(|octet| Octet::of(x, skew, octet, place))
            .collect();
        let per_word = lines / x.chunks;
        for from in (0..x.chunks).step_by(WORDS) {
            let count = WORDS.min(x.chunks - from);
            let bytes = count * x.b_word();
            for (tile, words) in here.clone().zip(words.chunks_exact_mut(block)) {
                let tile = &tiles.tiles[tile];
                let start = tile.first + from * x.b_word();
                tile.weights.copy_to(start, &mut words[..bytes]);
            }
            let parts = unpacked.chunks_exact_mut(lines).zip(&weights);
            for ((lines, octet), channels) in parts.zip(&mut *channels) {
                let lines = &mut lines[from * per_word..][..count * per_word];
                blocked::unpack(path, x, &octet.over(words), lines, channels);
            }
        }
        unpacked
    }
}
