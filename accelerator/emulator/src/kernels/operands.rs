//! The operands of a MATMUL: where they lie in the memories, and its requantization records.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Matmul, MemoryId};
use fqbert_contract::layout::decode_requant;
use fqbert_contract::operands::matmul_operands;
use fqbert_numerics::requant::Requant;

use crate::memories::Memories;
use fqbert_simulated::Lent;

/// What a MATMUL computes from, with every address resolved.
pub struct Operands<'a> {
    /// Token rows of a tile (R), terms of a word (L), words of a dot product.
    pub rows: usize,
    pub lanes: usize,
    pub chunks: usize,
    /// Channel pairs of a word (C).
    pub pairs: usize,
    pub row_tiles: usize,
    /// Activation side from its first word on; bytes from row tile to row tile.
    pub a: &'a [u8],
    pub a_stride: usize,
    /// Activations are u8 probabilities, not i8.
    pub a_unsigned: bool,
    /// Weight side from its first word on; bytes from column tile to column tile.
    pub b: &'a [u8],
    pub b_stride: usize,
    /// 8-bit codes, one channel a pair; else 4-bit codes, two channels a pair.
    pub mode8: bool,
    /// Output channels written.
    pub channels: usize,
    /// One record per output channel.
    pub params: &'a [Requant],
    /// What `params` are, for what is kept of them.
    pub params_source: ParamsSource,
    /// Results are 16 bits wide, not 8.
    pub wide: bool,
    /// What `a` and `b` are, for what is kept of them.
    pub a_source: Source,
    pub b_source: Source,
    /// Weight slot of `b`, unless it is OPD.
    pub b_slot: Option<usize>,
}

/// The records of PAR that a MATMUL takes, as they stood after a certain write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamsSource {
    generation: u64,
    base: u16,
    uniform: bool,
}

/// The words of a memory that an operand is, as they stood after a certain write: equal sources are
/// equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    memory: MemoryId,
    pub generation: u64,
    base: u16,
    stride: u16,
    chunks: u16,
    tiles: u8,
    mode8: bool,
    channels: u16,
    /// Place of the first channel in its octet, as a kernel arranged them.
    skew: usize,
}

impl Source {
    /// The same, arranged with the first channel at a place of its octet.
    pub fn arranged(self, skew: usize) -> Self {
        Self { skew, ..self }
    }
}

impl Operands<'_> {
    /// Bytes of an activation word.
    pub fn a_word(&self) -> usize {
        self.rows * self.lanes
    }

    /// Bytes of a weight word.
    pub fn b_word(&self) -> usize {
        self.pairs * self.lanes
    }

    /// The activation words of a row tile.
    pub fn a_tile(&self, tile: usize) -> &[u8] {
        &self.a[tile * self.a_stride..][..self.chunks * self.a_word()]
    }

    /// Output channels of one pair: 2 nibbles or 1 byte.
    pub fn channels_per_pair(&self) -> usize {
        if self.mode8 { 1 } else { 2 }
    }

    /// Byte of `b` with the first term of pair `pair` (counted through all column tiles); the next
    /// word's is `b_word` further.
    pub fn pair_offset(&self, pair: usize) -> usize {
        pair / self.pairs * self.b_stride + pair % self.pairs * self.lanes
    }

    /// Largest magnitude of a result.
    pub fn limit(&self) -> i16 {
        if self.wide { 32767 } else { 127 }
    }
}

/// One of several MATMULs that are executed as one, and where its weights lie.
#[derive(Debug)]
pub struct Member<'a> {
    pub matmul: &'a Matmul,
    pub weights: Lent<'a>,
    /// Byte of the first word.
    pub first: usize,
    /// Bytes from column tile to column tile.
    pub stride: usize,
}

/// The operands of a MATMUL. One whose memory has been taken out is empty.
pub fn operands<'a>(
    g: &Geometry,
    m: &Matmul,
    memories: &'a Memories,
    params: &'a [Requant],
) -> Operands<'a> {
    let (a_memory, b_memory) = matmul_operands(m);
    Operands {
        rows: g.rows as usize,
        lanes: g.lanes as usize,
        chunks: usize::from(m.k_chunks),
        pairs: g.pairs as usize,
        row_tiles: usize::from(m.row_tiles),
        a: memories.words_from(a_memory, m.a_base),
        a_stride: usize::from(m.a_stride) * memories.word_bytes(a_memory),
        a_unsigned: m.a_probs,
        b: memories.words_from(b_memory, m.b_base),
        b_stride: usize::from(m.b_stride) * memories.word_bytes(b_memory),
        mode8: m.mode8,
        channels: usize::from(m.channels),
        params,
        params_source: ParamsSource {
            generation: memories.generation(MemoryId::Par),
            base: m.par_base,
            uniform: m.uniform,
        },
        wide: m.dest == Matmul::DEST_RESB,
        a_source: Source {
            memory: a_memory,
            generation: memories.generation(a_memory),
            base: m.a_base,
            stride: m.a_stride,
            chunks: m.k_chunks,
            tiles: m.row_tiles,
            mode8: m.mode8,
            channels: 0,
            skew: 0,
        },
        b_source: Source {
            memory: b_memory,
            generation: memories.generation(b_memory),
            base: m.b_base,
            stride: m.b_stride,
            chunks: m.k_chunks,
            tiles: m.col_tiles,
            mode8: m.mode8,
            channels: m.channels,
            skew: 0,
        },
        b_slot: (!m.b_opd).then_some(usize::from(m.b_slot & 3)),
    }
}

/// The record of each output channel of `m`, instead of what `params` holds.
pub fn read_params(memories: &Memories, m: &Matmul, params: &mut Vec<Requant>) {
    params.clear();
    add_params(memories, m, params);
}

/// Adds the record of each output channel of `m`: two records a word, or the first for all.
pub fn add_params(memories: &Memories, m: &Matmul, params: &mut Vec<Requant>) {
    let records = memories
        .words_from(MemoryId::Par, m.par_base)
        .as_chunks::<8>()
        .0;
    let step = usize::from(!m.uniform);
    params.extend((0..usize::from(m.channels)).map(|channel| {
        let record = records.get(channel * step).copied().unwrap_or_default();
        decode_requant(record)
    }));
}
