//! A MATMUL whose kernel writes its destination's words itself: the words of one octet of channels
//! of one row tile at a time.
//!
//! Channels are counted in octets of the destination, so that an octet is whole words: the first
//! channel of the instruction is place `skew` of the first octet.

use std::ops::Range;

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Matmul, MemoryId};
use fqbert_numerics::requant::Requant;

use super::instruction_set::InstructionSet;
use super::octet::OCTET;
use super::slab::Format;
use super::target::Target;
use super::{blocked, joined};
use crate::kernels::operands::{Member, Operands, operands};
use crate::kernels::write;
use crate::memories::Memories;

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

/// Executes `m`, whose requantization records are `params`, or what it is the whole of: MATMULs
/// that can be executed in any order. False where tiles overwrite each other, so that the order of
/// writes counts.
pub fn matmul(
    set: &InstructionSet,
    g: &Geometry,
    m: &Matmul,
    memories: &mut Memories,
    params: &[Requant],
    buffers: &mut Buffers,
    members: &[Member<'_>],
) -> bool {
    let compute = Compute { set, members };
    if matches!(m.dest, Matmul::DEST_KEYS | Matmul::DEST_VALUES) {
        to_operand_memory(&compute, g, m, memories, params, buffers)
    } else {
        to_words(&compute, g, m, memories, params, buffers)
    }
}

/// What computes: an instruction set, on one MATMUL or on several as one.
struct Compute<'a> {
    set: &'a InstructionSet,
    members: &'a [Member<'a>],
}

impl Compute<'_> {
    fn run(&self, x: &Operands<'_>, target: &mut Target<'_>, unpacked: &mut blocked::Buffers) {
        // Weights in a slot may be used again, for other rows; keys and values are not.
        if self.members.is_empty() && x.b_slot.is_some() {
            blocked::matmul(self.set, x, target, unpacked);
        } else {
            let corrections = unpacked.rows.update(self.set, x);
            joined::matmul(self.set, x, self.members, corrections, target);
        }
    }
}

/// Keys and values: as words of ACT first, then to their places in OPD.
fn to_operand_memory(
    compute: &Compute<'_>,
    g: &Geometry,
    m: &Matmul,
    memories: &mut Memories,
    params: &[Requant],
    buffers: &mut Buffers,
) -> bool {
    if write::tiles_overlap(g, m) {
        return false;
    }
    let keys = m.dest == Matmul::DEST_KEYS;
    let skew = if keys {
        usize::from(m.dst_channel) % OCTET
    } else {
        0
    };
    let octets = (skew + usize::from(m.channels)).div_ceil(OCTET);
    let length = octets * OCTET * g.rows as usize;
    let results = &mut buffers.operands;
    results.resize(usize::from(m.row_tiles) * length, 0);
    let x = operands(g, m, memories, params);
    let mut target = Target {
        format: Format::Act,
        skew,
        bytes: results,
        stride: length,
        length,
    };
    compute.run(&x, &mut target, &mut buffers.unpacked);
    if keys {
        write::keys_from_words(g, m, results, memories);
        return true;
    }
    let pairs = g.pairs as usize;
    let places: Vec<_> = match compute.members {
        [] => write::value_places(m, pairs),
        members => members
            .iter()
            .flat_map(|member| write::value_places(member.matmul, pairs))
            .collect(),
    };
    write::values_from_words(g, m, &places, results, memories);
    true
}

/// ACT, RESB and SCR: straight into the words of the destination.
fn to_words(
    compute: &Compute<'_>,
    g: &Geometry,
    m: &Matmul,
    memories: &mut Memories,
    params: &[Requant],
    buffers: &mut Buffers,
) -> bool {
    let to = Written::of(m);
    if to.overlaps_itself() {
        return false;
    }
    let table = write::gelu_table(memories, m.table);
    let format = match m.dest {
        Matmul::DEST_ACT if m.gelu => Format::Gelu(&table),
        Matmul::DEST_ACT => Format::Act,
        Matmul::DEST_RESB => Format::Res,
        _ => Format::Scores,
    };
    let (memory, written, sources) = (to.memory, to.range(), sources(m));
    let word = memories.word_bytes(memory);
    let mut bank = memories.take(memory);
    let same = memory == MemoryId::Act && !m.a_probs;
    let overlap = same && overlap(&sources, &written);
    if overlap {
        let words = &bank[sources.start * word..sources.end * word];
        buffers.sources.clear();
        buffers.sources.extend_from_slice(words);
    }
    let mut x = operands(g, m, memories, params);
    let split = (written.start * word).min(bank.len());
    let (below, above) = bank.split_at_mut(split);
    let bytes = (written.len() * word).min(above.len());
    let (target, above) = above.split_at_mut(bytes);
    if overlap {
        x.a = &buffers.sources;
    } else if same {
        x.a = if sources.end <= written.start {
            &below[sources.start * word..]
        } else {
            &above[(sources.start - written.end) * word..]
        };
    }
    let mut target = Target {
        format,
        skew: usize::from(m.dst_channel) % OCTET,
        bytes: target,
        stride: to.stride.max(to.words) * word,
        length: to.words * word,
    };
    let source = x.a_source;
    compute.run(&x, &mut target, &mut buffers.unpacked);
    memories.put(memory, bank);
    if same && !overlap {
        // Their memory was written, but not the activations.
        let generation = memories.generation(memory);
        buffers.unpacked.still_valid(source, generation);
    }
    true
}
