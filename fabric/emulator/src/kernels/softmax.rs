//! SOFTMAX: scores to probabilities, each row in its own column range.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{MemoryId, Softmax};
use fqbert_numerics::softmax::softmax_row;
use rayon::prelude::*;

use super::Kernel;
use crate::memories::Memories;

/// Executes a SOFTMAX that `check_operation` has accepted.
pub fn softmax(g: &Geometry, s: &Softmax, memories: &mut Memories, kernel: Kernel) {
    let (rows, lanes, columns) = (g.rows as usize, g.lanes as usize, usize::from(s.columns));
    let tiles = usize::from(s.row_tiles);
    let table = exp_table(memories, s.table);
    let scores = memories.words_from(MemoryId::Scr, s.src_base);
    let src_stride = usize::from(s.src_stride) * memories.word_bytes(MemoryId::Scr);
    let ranges = memories
        .words_from(MemoryId::Rng, s.row0 / 4)
        .as_chunks::<4>()
        .0;
    // RNG holds four rows a word; `row0` is a multiple of R, and R of 4 or not.
    let ranges = &ranges[usize::from(s.row0 % 4)..];

    // Row tiles are computed before any is written: probabilities never feed scores of the same instruction.
    let tile_bytes = rows * columns;
    let mut results = vec![0u8; tiles * tile_bytes];
    let compute = |(tile, out): (usize, &mut [u8])| {
        let words = &scores[tile * src_stride..][..tile_bytes];
        let (mut x, mut p) = (vec![0i8; columns], vec![0u8; columns]);
        for row in 0..rows {
            for (two, word) in x
                .as_chunks_mut::<2>()
                .0
                .iter_mut()
                .zip(words.chunks_exact(2 * rows))
            {
                *two = [word[2 * row] as i8, word[2 * row + 1] as i8];
            }
            let [a, b, c, d] = ranges[tile * rows + row];
            let (lo, hi) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
            softmax_row(&x, usize::from(lo)..usize::from(hi), &table, &mut p);
            for (word, eight) in out
                .chunks_exact_mut(rows * lanes)
                .zip(p.chunks_exact(lanes))
            {
                word[row * lanes..][..lanes].copy_from_slice(eight);
            }
        }
    };
    if kernel == Kernel::Scalar {
        results
            .chunks_exact_mut(tile_bytes)
            .enumerate()
            .for_each(compute);
    } else {
        results
            .par_chunks_exact_mut(tile_bytes)
            .enumerate()
            .for_each(compute);
    }
    let dst_stride = usize::from(s.dst_stride) * memories.word_bytes(MemoryId::Prb);
    let target = memories.words_from_mut(MemoryId::Prb, s.dst_base);
    for (tile, bytes) in results.chunks_exact(tile_bytes).enumerate() {
        target[tile * dst_stride..][..tile_bytes].copy_from_slice(bytes);
    }
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
