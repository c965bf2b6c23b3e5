//! SOFTMAX: scores to probabilities, each row in its own column range.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{MemoryId, Softmax};

use super::kernel::Kernel;
use super::share::share;
use super::softmax_rows::{LANES, ScoreTile, by_row, side_by_side};
use super::vector;
use crate::memories::Memories;

/// Executes a SOFTMAX that `check_operation` has accepted.
pub fn softmax(g: &Geometry, s: &Softmax, memories: &mut Memories, kernel: Kernel) {
    let (rows, lanes, columns) = (g.rows as usize, g.lanes as usize, usize::from(s.columns));
    let tiles = usize::from(s.row_tiles);
    let tile_bytes = rows * columns;
    let stride = usize::from(s.dst_stride) * memories.word_bytes(MemoryId::Prb);
    let start = usize::from(s.dst_base) * memories.word_bytes(MemoryId::Prb);
    let table = exp_table(memories, s.table);
    let mut bank = memories.take(MemoryId::Prb);
    let target = bank.get_mut(start..).unwrap_or(&mut []);

    let scores = memories.words_from(MemoryId::Scr, s.src_base);
    let src_stride = usize::from(s.src_stride) * memories.word_bytes(MemoryId::Scr);
    let ranges = memories
        .words_from(MemoryId::Rng, s.row0 / 4)
        .as_chunks::<4>()
        .0;
    // RNG holds four rows a word; `row0` is a multiple of R, and R of 4 or not.
    let ranges = &ranges[usize::from(s.row0 % 4)..];
    let compute = |tile: usize, out: &mut [u8]| {
        let x = ScoreTile {
            rows,
            lanes,
            columns,
            scores: &scores[tile * src_stride..][..tile_bytes],
            ranges: &ranges[tile * rows..][..rows],
            table: &table,
        };
        if kernel == Kernel::Scalar || lanes != LANES || !rows.is_multiple_of(LANES) {
            by_row(&x, out);
        } else if !vector::softmax_tile(kernel, &x, out) {
            side_by_side(&x, out);
        }
    };
    if kernel == Kernel::Scalar || tiles == 1 || stride < tile_bytes {
        // Row tiles may overlap: a later one overwrites an earlier one.
        for tile in 0..tiles {
            compute(tile, &mut target[tile * stride..][..tile_bytes]);
        }
    } else {
        let strips = target.chunks_mut(stride).take(tiles).enumerate();
        share(strips, |(tile, strip)| {
            compute(tile, &mut strip[..tile_bytes]);
        });
    }
    memories.put(MemoryId::Prb, bank);
}

/// Exponential table `table`.
fn exp_table(memories: &Memories, table: u8) -> [u16; 256] {
    let bytes = memories.words_from(MemoryId::Exp, u16::from(table) * 32);
    let mut entries = [0; 256];
    for (entry, two) in entries.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *entry = u16::from_le_bytes(*two);
    }
    entries
}
