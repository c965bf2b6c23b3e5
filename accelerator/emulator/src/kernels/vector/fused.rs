//! A MATMUL whose kernel writes its destination's words itself: the words of one octet of channels
//! of one row tile at a time.
//!
//! Channels are counted in octets of the destination, so that an octet is whole words: the first
//! channel of the instruction is place `skew` of the first octet.

use std::ops::Range;

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Matmul, MemoryId};

use super::path::Path;
use super::{blocked, joined};
use crate::kernels::matmul::{Member, Operands, Workspace, operands};
use crate::kernels::write;
use crate::memories::Memories;

/// Channels computed together.
pub const OCTET: usize = 8;

/// Layout of a destination.
#[derive(Clone, Copy)]
pub enum Format<'a> {
    /// ACT: `[row][8 channels]` i8. Also the scratch words of keys and values.
    Act,
    /// ACT through a GELU table.
    Gelu(&'a [u8; 256]),
    /// RESB: 4 words `[row][2 channels]` i16.
    Res,
    /// SCR: 4 words `[row][2 channels]` i8.
    Scores,
}

impl Format<'_> {
    /// Bytes of a slab.
    pub fn bytes(self, rows: usize) -> usize {
        match self {
            Self::Res => rows * OCTET * 2,
            _ => rows * OCTET,
        }
    }

    /// Words of a slab.
    pub fn words(self) -> usize {
        match self {
            Self::Act | Self::Gelu(_) => 1,
            Self::Res | Self::Scores => 4,
        }
    }
}

/// Where a MATMUL's results go: a strip of words for each row tile.
pub struct Target<'a> {
    pub format: Format<'a>,
    /// Place of the first channel in the first octet; even.
    pub skew: usize,
    /// From the first strip on.
    pub bytes: &'a mut [u8],
    /// Bytes from strip to strip, at least `length`.
    pub stride: usize,
    /// Bytes of a strip.
    pub length: usize,
}

/// What the kernels keep from instruction to instruction.
#[derive(Debug, Default)]
pub struct Buffers {
    unpacked: blocked::Buffers,
    /// Results on their way to OPD: ACT's words of each row tile.
    operands: Vec<u8>,
    /// Words of ACT that the results of the same instruction may replace.
    sources: Vec<u8>,
}

/// Words of a destination memory that a MATMUL writes.
struct Written {
    memory: MemoryId,
    /// First word of the first row tile.
    start: usize,
    /// Words of a row tile, and from row tile to row tile.
    words: usize,
    stride: usize,
    tiles: usize,
}

impl Written {
    /// Those of destinations ACT, RESB and SCR.
    fn of(m: &Matmul) -> Self {
        let (memory, per_word) = match m.dest {
            Matmul::DEST_ACT => (MemoryId::Act, OCTET),
            Matmul::DEST_RESB => (MemoryId::Resb, 2),
            _ => (MemoryId::Scr, 2),
        };
        let first = usize::from(m.dst_channel);
        Self {
            memory,
            start: usize::from(m.dst_base) + first / OCTET * (OCTET / per_word),
            words: (first % OCTET + usize::from(m.channels)).div_ceil(per_word),
            stride: usize::from(m.dst_stride),
            tiles: usize::from(m.row_tiles),
        }
    }

    fn overlaps_itself(&self) -> bool {
        self.tiles > 1 && self.stride < self.words
    }

    fn range(&self) -> Range<usize> {
        self.start..self.start + (self.tiles - 1) * self.stride + self.words
    }
}

/// Words of ACT or PRB that a MATMUL reads.
fn sources(m: &Matmul) -> Range<usize> {
    let (start, tiles) = (usize::from(m.a_base), usize::from(m.row_tiles));
    start..start + (tiles - 1) * usize::from(m.a_stride) + usize::from(m.k_chunks)
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Whether `members`, which `m` is the whole of, give the same in any order: no result is written
/// twice, or to where activations are read.
pub fn in_any_order<'a>(
    g: &Geometry,
    m: &Matmul,
    members: impl Iterator<Item = &'a Matmul>,
) -> bool {
    match m.dest {
        Matmul::DEST_KEYS => !write::tiles_overlap(g, m),
        Matmul::DEST_VALUES => write::values_are_apart(g, m, members),
        Matmul::DEST_ACT | Matmul::DEST_RESB => {
            let written = Written::of(m);
            let same = written.memory == MemoryId::Act && !m.a_probs;
            !(written.overlaps_itself() || same && overlap(&sources(m), &written.range()))
        }
        _ => false,
    }
}

/// Executes `m`, whose parameters `workspace` holds, or what it is the whole of: MATMULs that can
/// be executed in any order. False where tiles overwrite each other, so that the order of writes
/// counts.
pub fn matmul(
    path: &Path,
    g: &Geometry,
    m: &Matmul,
    memories: &mut Memories,
    workspace: &mut Workspace,
    members: &[Member<'_>],
) -> bool {
    let compute = |x: &Operands<'_>, target: &mut Target<'_>, buffers: &mut blocked::Buffers| {
        if members.is_empty() {
            blocked::matmul(path, x, target, buffers);
        } else {
            let row_sums = buffers.activations.update(path, x);
            joined::matmul(path, x, members, row_sums, target);
        }
    };
    let Workspace { params, fused, .. } = workspace;
    let rows = g.rows as usize;
    let channels = usize::from(m.channels);
    if matches!(m.dest, Matmul::DEST_KEYS | Matmul::DEST_VALUES) {
        let keys = m.dest == Matmul::DEST_KEYS;
        if write::tiles_overlap(g, m) {
            return false;
        }
        let skew = if keys {
            usize::from(m.dst_channel) % OCTET
        } else {
            0
        };
        let length = (skew + channels).div_ceil(OCTET) * OCTET * rows;
        fused.operands.resize(usize::from(m.row_tiles) * length, 0);
        let x = operands(g, m, memories, params);
        let mut target = Target {
            format: Format::Act,
            skew,
            bytes: &mut fused.operands,
            stride: length,
            length,
        };
        compute(&x, &mut target, &mut fused.unpacked);
        if keys {
            write::keys_from_words(g, m, &fused.operands, memories);
        } else {
            let pairs = g.pairs as usize;
            let places: Vec<_> = match members {
                [] => write::value_places(m, pairs),
                _ => members
                    .iter()
                    .flat_map(|member| write::value_places(member.matmul, pairs))
                    .collect(),
            };
            write::values_from_words(g, m, &places, &fused.operands, memories);
        }
        return true;
    }

    let table = write::gelu_table(memories, m.table);
    let format = match m.dest {
        Matmul::DEST_ACT if m.gelu => Format::Gelu(&table),
        Matmul::DEST_ACT => Format::Act,
        Matmul::DEST_RESB => Format::Res,
        _ => Format::Scores,
    };
    let to = Written::of(m);
    if to.overlaps_itself() {
        return false;
    }
    let (memory, words, stride, start) = (to.memory, to.words, to.stride, to.start);
    let skew = usize::from(m.dst_channel) % OCTET;
    let (sources, written) = (sources(m), to.range());
    let same = memory == MemoryId::Act && !m.a_probs;
    let word = memories.word_bytes(memory);
    let mut bank = memories.take(memory);
    let overlap = same && overlap(&sources, &written);
    if overlap {
        let words = &bank[sources.start * word..sources.end * word];
        fused.sources.clear();
        fused.sources.extend_from_slice(words);
    }
    let mut x = operands(g, m, memories, params);
    let split = (start * word).min(bank.len());
    let (below, above) = bank.split_at_mut(split);
    let span = (written.len() * word).min(above.len());
    let (target, above) = above.split_at_mut(span);
    if overlap {
        x.a = &fused.sources;
    } else if same {
        x.a = if sources.end <= written.start {
            &below[sources.start * word..]
        } else {
            &above[(sources.start - written.end) * word..]
        };
    }
    let mut target = Target {
        format,
        skew,
        bytes: target,
        stride: stride.max(words) * word,
        length: words * word,
    };
    let source = x.a_source;
    compute(&x, &mut target, &mut fused.unpacked);
    memories.put(memory, bank);
    if same && !overlap {
        // Their memory was written, but not the activations.
        let generation = memories.generation(memory);
        fused.unpacked.still_valid(source, generation);
    }
    true
}
