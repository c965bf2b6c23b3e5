//! LAYERNORM: residual add, layer norm, 16-bit and 8-bit results.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Layernorm, MemoryId};
use fqbert_contract::layout::unpack_layer_norm;
use fqbert_numerics::layernorm::{LayerNormParams, layernorm_row};
use fqbert_numerics::residual_add;
use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::vector::avx2;
use super::{Kernel, Workspace};
use crate::memories::Memories;

/// Parameters as the vector kernel takes them, kept from instruction to instruction: a program
/// normalises one row tile after the other.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Default)]
pub struct Kept {
    /// State of LNP, first word and channels.
    of: Option<(u64, u16, u16)>,
    scales: avx2::NormScales,
}

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

    #[cfg(target_arch = "x86_64")]
    if kernel.has_avx2() && l.y16_base == l.x_base && stride >= wide && y8_stride >= narrow {
        let of = Some((memories.generation(MemoryId::Lnp), l.par_base, l.channels));
        let kept = &mut workspace.norm;
        if kept.of != of {
            kept.of = of;
            kept.scales = avx2::NormScales::new(&read_params(memories, l.par_base, n));
        }
        let scales = &kept.scales;
        let mut resx = memories.take(MemoryId::Resx);
        let mut act = memories.take(MemoryId::Act);
        let x = after(
            &mut resx,
            usize::from(l.x_base) * memories.word_bytes(MemoryId::Resx),
        );
        let y8 = after(
            &mut act,
            usize::from(l.y8_base) * memories.word_bytes(MemoryId::Act),
        );
        let branches = memories.words_from(MemoryId::Resb, l.b_base);
        let tiles: Vec<_> = x
            .chunks_mut(stride)
            .zip(y8.chunks_mut(y8_stride))
            .take(tiles)
            .enumerate()
            .flat_map(|(tile, (x, y8))| {
                let branch = &branches[tile * stride..][..wide];
                avx2::norm_quads(&mut x[..wide], branch, &mut y8[..narrow], rows)
            })
            .collect();
        tiles
            .into_par_iter()
            .with_max_len(1)
            .for_each(|quad| quad.normalise(scales));
        memories.put(MemoryId::Resx, resx);
        memories.put(MemoryId::Act, act);
        return;
    }
    let _ = workspace;

    let params = read_params(memories, l.par_base, n);
    let x = memories.words_from(MemoryId::Resx, l.x_base);
    let b = memories.words_from(MemoryId::Resb, l.b_base);

    // Of each row tile its RESX words, then its ACT words. All are computed before any is written,
    // since y16 may replace x.
    let mut results = vec![0u8; tiles * (wide + narrow)];
    let compute = |(tile, out): (usize, &mut [u8])| {
        let (x, b) = (&x[tile * stride..][..wide], &b[tile * stride..][..wide]);
        let (out16, out8) = out.split_at_mut(wide);
        let (mut stream, mut branch) = (vec![0i16; n], vec![0i16; n]);
        let (mut y16, mut y8) = (vec![0i16; n], vec![0i8; n]);
        for row in 0..rows {
            gather(x, rows, row, &mut stream);
            gather(b, rows, row, &mut branch);
            for (x, b) in stream.iter_mut().zip(&branch) {
                *x = residual_add(*x, *b);
            }
            layernorm_row(&stream, &params, &mut y16, &mut y8);
            for (word, [even, odd]) in out16.chunks_exact_mut(4 * rows).zip(y16.as_chunks::<2>().0)
            {
                word[4 * row..4 * row + 2].copy_from_slice(&even.to_le_bytes());
                word[4 * row + 2..4 * row + 4].copy_from_slice(&odd.to_le_bytes());
            }
            for (word, codes) in out8
                .chunks_exact_mut(rows * lanes)
                .zip(y8.chunks_exact(lanes))
            {
                for (byte, code) in word[row * lanes..].iter_mut().zip(codes) {
                    *byte = *code as u8;
                }
            }
        }
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

/// The bytes of a memory from `start` on.
#[cfg(target_arch = "x86_64")]
fn after(bank: &mut [u8], start: usize) -> &mut [u8] {
    bank.get_mut(start..).unwrap_or(&mut [])
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

fn read_params(memories: &Memories, par_base: u16, n: usize) -> LayerNormParams {
    unpack_layer_norm(memories.words_from(MemoryId::Lnp, par_base), n)
}
