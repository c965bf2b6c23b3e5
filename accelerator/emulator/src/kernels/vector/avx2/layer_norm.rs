//! LAYERNORM with AVX2: the rows of the memories' words in place, four at a time.

use fqbert_contract::isa::{Layernorm, MemoryId};
use fqbert_contract::layout::unpack_layer_norm;

use super::norm::{NormScales, norm_quads};
use crate::kernels::share::share;
use crate::memories::Memories;

/// Parameters as the rows take them, kept from instruction to instruction: a program normalises one
/// row tile after the other.
#[derive(Debug, Default)]
pub struct KeptNorm {
    /// State of LNP, first word and channels.
    of: Option<(u64, u16, u16)>,
    scales: NormScales,
}

/// Normalises a row tile of so many rows: RESX's words in place, with those of RESB added, to those
/// of ACT.
pub type NormTile = fn(&mut [u8], &[u8], &mut [u8], rows: usize, &NormScales);

/// [`NormTile`] with AVX2.
pub fn norm_tile(x: &mut [u8], branch: &[u8], y8: &mut [u8], rows: usize, scales: &NormScales) {
    norm_quads(x, branch, y8, rows).for_each(|quad| quad.normalise(scales));
}

/// Executes a LAYERNORM on tiles of `rows` rows; false where y16 does not replace x, or row tiles
/// overlap.
pub fn layer_norm(
    rows: usize,
    l: &Layernorm,
    memories: &mut Memories,
    kept: &mut KeptNorm,
    normalise: NormTile,
) -> bool {
    let n = usize::from(l.channels);
    let stride = usize::from(l.stride) * memories.word_bytes(MemoryId::Resx);
    let y8_stride = usize::from(l.y8_stride) * memories.word_bytes(MemoryId::Act);
    let (wide, narrow) = (rows * n * 2, rows * n);
    if l.y16_base != l.x_base || stride < wide || y8_stride < narrow {
        return false;
    }
    let of = Some((memories.generation(MemoryId::Lnp), l.par_base, l.channels));
    if kept.of != of {
        let params = unpack_layer_norm(memories.words_from(MemoryId::Lnp, l.par_base), n);
        (kept.of, kept.scales) = (of, NormScales::new(&params));
    }
    let scales = &kept.scales;
    let mut resx = memories.take(MemoryId::Resx);
    let mut act = memories.take(MemoryId::Act);
    let x = usize::from(l.x_base) * memories.word_bytes(MemoryId::Resx);
    let y8 = usize::from(l.y8_base) * memories.word_bytes(MemoryId::Act);
    let x = resx.get_mut(x..).unwrap_or(&mut []);
    let y8 = act.get_mut(y8..).unwrap_or(&mut []);
    let branches = memories.words_from(MemoryId::Resb, l.b_base);
    // A row tile is one thread's: a cache line has two channels of all its rows.
    let tiles = x.chunks_mut(stride).zip(y8.chunks_mut(y8_stride));
    let tiles = tiles.take(usize::from(l.row_tiles)).enumerate();
    share(tiles, |(tile, (x, y8))| {
        let branch = &branches[tile * stride..][..wide];
        normalise(&mut x[..wide], branch, &mut y8[..narrow], rows, scales);
    });
    memories.put(MemoryId::Resx, resx);
    memories.put(MemoryId::Act, act);
    true
}
