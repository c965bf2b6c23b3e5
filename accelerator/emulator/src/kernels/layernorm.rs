//! LAYERNORM: residual add, layer norm, 16-bit and 8-bit results.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Layernorm, MemoryId};
use fqbert_contract::layout::unpack_layer_norm;
use fqbert_numerics::layernorm::{LayerNormParams, layernorm_row};
use fqbert_numerics::residual_add;
use rayon::prelude::*;

use super::kernel::Kernel;
use super::vector;
use super::workspace::Workspace;
use crate::memories::Memories;

/// Executes a LAYERNORM that `check_operation` has accepted.
pub fn layer_norm(
    g: &Geometry,
    l: &Layernorm,
    memories: &mut Memories,
    workspace: &mut Workspace,
    kernel: Kernel,
) {
    let (rows, lanes, n) = (g.rows as usize, g.lanes as usize, usize::from(l.channels));
    let tiles = usize::from(l.row_tiles);
    let stride = usize::from(l.stride) * memories.word_bytes(MemoryId::Resx);
    let y8_stride = usize::from(l.y8_stride) * memories.word_bytes(MemoryId::Act);
    let (wide, narrow) = (rows * n * 2, rows * n);

    if vector::layer_norm(kernel, rows, l, memories, &mut workspace.norm) {
        return;
    }
    let params = unpack_layer_norm(memories.words_from(MemoryId::Lnp, l.par_base), n);
    let x = memories.words_from(MemoryId::Resx, l.x_base);
    let b = memories.words_from(MemoryId::Resb, l.b_base);

    // Of each row tile its RESX words, then its ACT words. All are computed before any is written,
    // since y16 may replace x.
    let mut results = vec![0u8; tiles * (wide + narrow)];
    let compute = |(tile, out): (usize, &mut [u8])| {
        let (x, b) = (&x[tile * stride..][..wide], &b[tile * stride..][..wide]);
        let (out16, out8) = out.split_at_mut(wide);
        row_tile(x, b, &params, (rows, lanes), out16, out8);
    };
    if kernel == Kernel::Scalar {
        results
            .chunks_exact_mut(wide + narrow)
            .enumerate()
            .for_each(compute);
    } else {
        results
            .par_chunks_exact_mut(wide + narrow)
            .enumerate()
            .for_each(compute);
    }
    for (tile, bytes) in results.chunks_exact(wide + narrow).enumerate() {
        let (out16, out8) = bytes.split_at(wide);
        let y16 = memories.words_from_mut(MemoryId::Resx, l.y16_base);
        y16[tile * stride..][..wide].copy_from_slice(out16);
        let y8 = memories.words_from_mut(MemoryId::Act, l.y8_base);
        y8[tile * y8_stride..][..narrow].copy_from_slice(out8);
    }
}

/// One row tile: residual add and layer norm of each row, to words of RESX and of ACT.
fn row_tile(
    x: &[u8],
    b: &[u8],
    params: &LayerNormParams,
    (rows, lanes): (usize, usize),
    out16: &mut [u8],
    out8: &mut [u8],
) {
    let n = params.gamma.len();
    let (mut stream, mut branch) = (vec![0i16; n], vec![0i16; n]);
    let (mut y16, mut y8) = (vec![0i16; n], vec![0i8; n]);
    for row in 0..rows {
        gather(x, rows, row, &mut stream);
        gather(b, rows, row, &mut branch);
        for (x, b) in stream.iter_mut().zip(&branch) {
            *x = residual_add(*x, *b);
        }
        layernorm_row(&stream, params, &mut y16, &mut y8);
        let words = out16.chunks_exact_mut(4 * rows);
        for (word, [even, odd]) in words.zip(y16.as_chunks::<2>().0) {
            word[4 * row..4 * row + 2].copy_from_slice(&even.to_le_bytes());
            word[4 * row + 2..4 * row + 4].copy_from_slice(&odd.to_le_bytes());
        }
        let words = out8.chunks_exact_mut(rows * lanes);
        for (word, codes) in words.zip(y8.chunks_exact(lanes)) {
            for (byte, code) in word[row * lanes..].iter_mut().zip(codes) {
                *byte = *code as u8;
            }
        }
    }
}

/// The channels of one row, from words of two channels of each of `rows` rows.
fn gather(words: &[u8], rows: usize, row: usize, out: &mut [i16]) {
    for (two, word) in out
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip(words.chunks_exact(4 * rows))
    {
        let Some([a, b, c, d]) = word.get(4 * row..).and_then(|w| w.first_chunk()) else {
            return;
        };
        *two = [i16::from_le_bytes([*a, *b]), i16::from_le_bytes([*c, *d])];
    }
}
