//! MATMUL: operands from the memories, dot products and requantization by a kernel, results to
//! their destination.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Matmul, MemoryId};
use fqbert_contract::layout::decode_requant;
use fqbert_contract::verify;
use fqbert_numerics::requant::Requant;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::vector::{fused, path};
use super::{Kernel, portable, scalar, write};
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
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        allow(dead_code, reason = "for the vector kernels")
    )]
    pub params_source: ParamsSource,
    /// Results are 16 bits wide, not 8.
    pub wide: bool,
    /// What `a` and `b` are, for what is kept of them.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        allow(dead_code, reason = "for the vector kernels")
    )]
    pub a_source: Source,
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        allow(dead_code, reason = "for the vector kernels")
    )]
    pub b_source: Source,
    /// Weight slot of `b`, unless it is OPD.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        allow(dead_code, reason = "for the vector kernels")
    )]
    pub b_slot: Option<usize>,
}

/// The records of PAR that a MATMUL takes, as they stood after a certain write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "for the vector kernels")
)]
pub struct ParamsSource {
    generation: u64,
    base: u16,
    uniform: bool,
}

/// The words of a memory that an operand is, as they stood after a certain write: equal sources are
/// equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "for the vector kernels")
)]
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

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
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
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        allow(dead_code, reason = "for the vector kernels")
    )]
    pub fn limit(&self) -> i16 {
        if self.wide { 32767 } else { 127 }
    }
}

/// Results before they are written: `[group][row tile][row][width]`, where a group is `width`
/// consecutive channels.
#[derive(Debug, Default)]
pub struct Outputs {
    pub values: Vec<i16>,
    pub width: usize,
    pub groups: usize,
    pub rows: usize,
    pub row_tiles: usize,
}

impl Outputs {
    /// Makes room for `channels` channels in groups of a multiple of `unit` channels, enough groups
    /// to occupy the pool.
    pub fn shape(&mut self, x: &Operands<'_>, unit: usize) {
        let units = x.channels.div_ceil(unit);
        let wanted = (2 * rayon::current_num_threads())
            .div_ceil(x.row_tiles)
            .clamp(1, units);
        let per_group = units.div_ceil(wanted);
        self.width = per_group * unit;
        self.groups = units.div_ceil(per_group);
        self.rows = x.rows;
        self.row_tiles = x.row_tiles;
        // Stale values beyond the written channels are never read.
        self.values
            .resize(self.groups * self.row_tiles * self.chunk(), 0);
    }

    /// Values of one group and row tile.
    pub fn chunk(&self) -> usize {
        self.rows * self.width
    }

    /// The results of one row, group after group; the last group may be longer than the channels
    /// written.
    pub fn row(&self, tile: usize, row: usize) -> impl Iterator<Item = &[i16]> {
        (0..self.groups).map(move |group| {
            let at = (group * self.row_tiles + tile) * self.chunk() + row * self.width;
            &self.values[at..at + self.width]
        })
    }
}

/// Buffers kept from instruction to instruction.
#[derive(Debug, Default)]
pub struct Workspace {
    pub outputs: Outputs,
    pub params: Vec<Requant>,
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub fused: fused::Buffers,
    #[cfg(target_arch = "x86_64")]
    pub norm: super::layernorm::Kept,
}

/// Executes a MATMUL that `check_operation` has accepted.
pub fn matmul(
    g: &Geometry,
    m: &Matmul,
    memories: &mut Memories,
    workspace: &mut Workspace,
    kernel: Kernel,
) {
    debug_assert!(verify::check_operation(g, &fqbert_contract::isa::Operation::Matmul(*m)).is_ok());
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    matmul_by(g, m, memories, workspace, kernel, path(kernel));
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    in_plain_code(g, m, memories, workspace, kernel);
}

/// By the functions of `path`, or else by `kernel` as far as it is plain code.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub fn matmul_by(
    g: &Geometry,
    m: &Matmul,
    memories: &mut Memories,
    workspace: &mut Workspace,
    kernel: Kernel,
    path: Option<&super::vector::path::Path>,
) {
    read_params(memories, m, &mut workspace.params);
    let done = path.is_some_and(|path| fused::matmul(path, g, m, memories, workspace, &[]));
    if !done {
        in_plain_code(g, m, memories, workspace, kernel);
    }
}

fn in_plain_code(
    g: &Geometry,
    m: &Matmul,
    memories: &mut Memories,
    workspace: &mut Workspace,
    kernel: Kernel,
) {
    read_params(memories, m, &mut workspace.params);
    let x = operands(g, m, memories, &workspace.params);
    if kernel == Kernel::Scalar {
        scalar::matmul(&x, &mut workspace.outputs);
    } else {
        portable::matmul(&x, &mut workspace.outputs);
    }
    write::results(g, m, &workspace.outputs, memories);
}

/// One of several MATMULs that are executed as one, and where its weights lie.
#[derive(Debug)]
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "for the vector kernels")
)]
pub struct Member<'a> {
    pub matmul: &'a Matmul,
    pub weights: Lent<'a>,
    /// Byte of the first word.
    pub first: usize,
    /// Bytes from column tile to column tile.
    pub stride: usize,
}

/// Whether `kernel` executes MATMULs as one that [`in_any_order`] accepts.
pub fn joins(kernel: Kernel) -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return path(kernel).is_some();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = kernel;
        false
    }
}

/// Whether `members`, which `m` is the whole of, give the same in any order.
pub fn in_any_order<'a>(
    g: &Geometry,
    m: &Matmul,
    members: impl Iterator<Item = &'a Matmul>,
) -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return fused::in_any_order(g, m, members);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = (g, m, members);
        false
    }
}

/// Executes MATMULs that [`in_any_order`] has accepted and `m` is the whole of, by a kernel that
/// [`joins`]. `params` are those of all their channels.
pub fn matmul_joined(
    g: &Geometry,
    m: &Matmul,
    members: &[Member<'_>],
    params: &[Requant],
    memories: &mut Memories,
    workspace: &mut Workspace,
    kernel: Kernel,
) {
    workspace.params.clear();
    workspace.params.extend_from_slice(params);
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if let Some(path) = path(kernel) {
        fused::matmul(path, g, m, memories, workspace, members);
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = (g, m, members, memories, kernel);
}

/// The operands of a MATMUL. One whose memory has been taken out is empty.
pub fn operands<'a>(
    g: &Geometry,
    m: &Matmul,
    memories: &'a Memories,
    params: &'a [Requant],
) -> Operands<'a> {
    let a_memory = if m.a_probs {
        MemoryId::Prb
    } else {
        MemoryId::Act
    };
    let b_memory = if m.b_opd {
        MemoryId::Opd
    } else {
        weight_slot(m.b_slot)
    };
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

/// The memory of a weight slot.
pub fn weight_slot(slot: u8) -> MemoryId {
    match slot & 3 {
        0 => MemoryId::Wgt0,
        1 => MemoryId::Wgt1,
        2 => MemoryId::Wgt2,
        _ => MemoryId::Wgt3,
    }
}

/// The record of each output channel of `m`, instead of what `params` holds.
fn read_params(memories: &Memories, m: &Matmul, params: &mut Vec<Requant>) {
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
