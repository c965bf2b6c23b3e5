//! Which element of which matrix a byte of an on-chip memory is.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{BEAT_BYTES, Instruction, Matmul, MemoryId, Operation};

/// A place in an on-chip memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnChip {
    pub memory: MemoryId,
    pub word: u64,
    pub byte: u64,
}

/// What lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Row of the instruction's rows, and channel, unless it was loaded.
    pub element: Option<(u64, u64)>,
    /// First byte of the value in its word.
    pub start: u64,
    /// Bytes of the value.
    pub bytes: u64,
}

/// A matrix in a memory: rows cut into tiles, channels into words.
struct Matrix {
    memory: MemoryId,
    /// Rows of a tile.
    rows: u64,
    base: u64,
    stride: u64,
    row_tiles: u64,
    first_channel: u64,
    channels: u64,
    /// Channels of a word, and bytes of a value.
    per_word: u64,
    bytes: u64,
}

impl Matrix {
    fn at(&self, place: &OnChip) -> Option<Written> {
        if place.memory != self.memory {
            return None;
        }
        let in_row = self.per_word * self.bytes;
        let (row, value) = (place.byte / in_row, place.byte % in_row / self.bytes);
        (0..self.row_tiles).find_map(|tile| {
            let words = place.word.checked_sub(self.base + tile * self.stride)?;
            let channel = words * self.per_word + value;
            let own = self.first_channel..self.first_channel + self.channels;
            own.contains(&channel).then(|| Written {
                element: Some((tile * self.rows + row, channel)),
                start: row * in_row + value * self.bytes,
                bytes: self.bytes,
            })
        })
    }
}

/// What an instruction wrote to this place of ACT or RESX, if it did.
pub(crate) fn written(g: &Geometry, operation: &Operation, place: &OnChip) -> Option<Written> {
    let lanes = u64::from(g.lanes);
    let rows = u64::from(g.rows);
    match operation {
        Operation::Load(l) if l.memory == place.memory.code() => {
            let word = u64::from(g.word_bytes(place.memory)).max(1);
            let words = u64::from(l.beats) * BEAT_BYTES as u64 / word;
            let first = u64::from(l.word_offset);
            let loaded = Written {
                element: None,
                start: place.byte,
                bytes: 1,
            };
            (first..first + words)
                .contains(&place.word)
                .then_some(loaded)
        }
        Operation::Matmul(m) if m.dest == Matmul::DEST_ACT => Matrix {
            memory: MemoryId::Act,
            rows,
            base: u64::from(m.dst_base),
            stride: u64::from(m.dst_stride),
            row_tiles: u64::from(m.row_tiles),
            first_channel: u64::from(m.dst_channel),
            channels: u64::from(m.channels),
            per_word: lanes,
            bytes: 1,
        }
        .at(place),
        Operation::Layernorm(l) => {
            let (memory, base, stride, per_word, bytes) = match place.memory {
                MemoryId::Resx => (MemoryId::Resx, l.y16_base, l.stride, 2, 2),
                _ => (MemoryId::Act, l.y8_base, l.y8_stride, lanes, 1),
            };
            Matrix {
                memory,
                rows,
                base: u64::from(base),
                stride: u64::from(stride),
                row_tiles: u64::from(l.row_tiles),
                first_channel: 0,
                channels: u64::from(l.channels),
                per_word,
                bytes,
            }
            .at(place)
        }
        _ => None,
    }
}

/// The row of the sequence that row 0 of an instruction is, as the compiler lays matrices out:
/// hidden states of all rows from word 0 of ACT and RESX.
pub(crate) fn first_row(g: &Geometry, program: &[Instruction], index: usize) -> u64 {
    let tile = |base: u16, stride: u16| u64::from(base.checked_div(stride).unwrap_or(0));
    let tile = match program.get(index).map(|i| &i.operation) {
        Some(Operation::Layernorm(l)) => tile(l.x_base, l.stride),
        Some(Operation::Matmul(m)) if m.a_probs => {
            // Context lies over the queries of all rows.
            let contexts = program.iter().filter_map(|i| match &i.operation {
                Operation::Matmul(m) if m.a_probs => Some(m.dst_base),
                _ => None,
            });
            let first = contexts.min().unwrap_or(m.dst_base);
            tile(m.dst_base - first, m.dst_stride)
        }
        Some(Operation::Matmul(m)) => tile(m.a_base, m.a_stride),
        _ => 0,
    };
    tile * u64::from(g.rows)
}

/// A weight that a LOAD copied to a place of a weight slot: which output of the instruction that
/// multiplies by it, and which term. Of two weights in a byte, the one that differs in `bits`.
pub(crate) fn weight(g: &Geometry, m: &Matmul, place: &OnChip, bits: u8) -> Option<(u64, u64)> {
    let (pairs, lanes) = (u64::from(g.pairs), u64::from(g.lanes));
    let words = place.word.checked_sub(u64::from(m.b_base))?;
    let stride = u64::from(m.b_stride).max(1);
    let (tile, chunk) = (words / stride, words % stride);
    if tile >= u64::from(m.col_tiles) || chunk >= u64::from(m.k_chunks) {
        return None;
    }
    let (pair, lane) = (place.byte / lanes, place.byte % lanes);
    let output = match m.mode8 {
        true => tile * pairs + pair,
        false => 2 * (tile * pairs + pair) + u64::from(bits & 0xf == 0),
    };
    Some((output, chunk * lanes + lane))
}
