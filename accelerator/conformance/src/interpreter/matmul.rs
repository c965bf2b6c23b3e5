//! MATMUL.

use fqbert_contract::isa::{Matmul, MemoryId};
use fqbert_numerics::dot::{dot_i8_i8, dot_u8_i8};
use fqbert_numerics::gelu;
use fqbert_numerics::packed::unpack_pair;
use fqbert_numerics::requant::Requant;

use super::Memories;

const SLOTS: [MemoryId; 4] = [
    MemoryId::Wgt0,
    MemoryId::Wgt1,
    MemoryId::Wgt2,
    MemoryId::Wgt3,
];

/// A row of the left operand.
enum Row {
    Codes(Vec<i8>),
    Probabilities(Vec<u8>),
}

impl Row {
    fn dot(&self, weights: &[i8]) -> i32 {
        match self {
            Self::Codes(a) => dot_i8_i8(a, weights),
            Self::Probabilities(a) => dot_u8_i8(a, weights),
        }
    }
}

/// Which result: the `output`-th channel of the instruction, in a row of one of its row tiles.
#[derive(Clone, Copy)]
struct Position {
    tile: usize,
    row: usize,
    output: usize,
}

impl Memories {
    /// All operands are read before the first result is written. Results are written column tile by
    /// column tile, and in each row tile by row tile: where row tiles of the destination overlap,
    /// the order shows.
    pub(super) fn matmul(&mut self, m: &Matmul) {
        let rows = self.g.rows as usize;
        let left: Vec<Vec<Row>> = (0..usize::from(m.row_tiles))
            .map(|tile| (0..rows).map(|row| self.row(m, tile, row)).collect())
            .collect();
        let table: [i8; 256] =
            std::array::from_fn(|i| self.all(MemoryId::Gel)[usize::from(m.table) * 256 + i] as i8);
        let channels: Vec<(Vec<i8>, Requant)> = (0..usize::from(m.channels))
            .map(|output| (self.weights(m, output), self.requant(m, output)))
            .collect();
        let column_tile = self.column_tile(m);
        for (j, group) in channels.chunks(column_tile).enumerate() {
            for (tile, rows) in left.iter().enumerate() {
                for (n, (weights, requant)) in group.iter().enumerate() {
                    for (row, a) in rows.iter().enumerate() {
                        let sum = a.dot(weights);
                        let result = match (m.dest, m.gelu) {
                            (Matmul::DEST_RESB, _) => requant.apply_i16(sum),
                            (_, true) => gelu::lookup(&table, requant.apply_i8(sum)).into(),
                            (_, false) => requant.apply_i8(sum).into(),
                        };
                        let output = j * column_tile + n;
                        self.write_result(m, Position { tile, row, output }, result);
                    }
                }
            }
        }
    }

    /// Channels of a column tile.
    fn column_tile(&self, m: &Matmul) -> usize {
        self.g.pairs as usize * if m.mode8 { 1 } else { 2 }
    }

    fn row(&self, m: &Matmul, tile: usize, row: usize) -> Row {
        let lanes = self.g.lanes as usize;
        let memory = if m.a_probs {
            MemoryId::Prb
        } else {
            MemoryId::Act
        };
        let first = usize::from(m.a_base) + tile * usize::from(m.a_stride);
        let bytes = (0..usize::from(m.k_chunks))
            .flat_map(|k| &self.word(memory, first + k)[row * lanes..][..lanes])
            .copied();
        if m.a_probs {
            Row::Probabilities(bytes.collect())
        } else {
            Row::Codes(bytes.map(|byte| byte as i8).collect())
        }
    }

    /// The codes of an output channel, by term.
    fn weights(&self, m: &Matmul, output: usize) -> Vec<i8> {
        let lanes = self.g.lanes as usize;
        let memory = if m.b_opd {
            MemoryId::Opd
        } else {
            SLOTS[usize::from(m.b_slot)]
        };
        let per_pair = if m.mode8 { 1 } else { 2 };
        let (tile, n) = (output / self.column_tile(m), output % self.column_tile(m));
        assert!(tile < usize::from(m.col_tiles), "more channels than tiles");
        let mut codes = Vec::new();
        for k in 0..usize::from(m.k_chunks) {
            let address = usize::from(m.b_base) + tile * usize::from(m.b_stride) + k;
            let bytes = &self.word(memory, address)[n / per_pair * lanes..][..lanes];
            codes.extend(bytes.iter().map(|&byte| {
                let (even, odd) = unpack_pair(byte);
                match (m.mode8, n % 2) {
                    (true, _) => byte as i8,
                    (false, 0) => even,
                    (false, _) => odd,
                }
            }));
        }
        codes
    }

    fn requant(&self, m: &Matmul, output: usize) -> Requant {
        let record = usize::from(m.par_base) * 2 + if m.uniform { 0 } else { output };
        let r = &self.word(MemoryId::Par, record / 2)[record % 2 * 8..][..8];
        Requant {
            bias: i32::from_le_bytes([r[0], r[1], r[2], r[3]]),
            multiplier: u16::from_le_bytes([r[4], r[5]]),
            shift: r[6],
        }
    }

    fn write_result(&mut self, m: &Matmul, position: Position, result: i16) {
        let (rows, pairs, lanes) = (
            self.g.rows as usize,
            self.g.pairs as usize,
            self.g.lanes as usize,
        );
        let Position { tile, row, output } = position;
        let stride = usize::from(m.dst_stride);
        let base = usize::from(m.dst_base);
        let along = base + tile * stride;
        let channel = usize::from(m.dst_channel) + output;
        let token = (usize::from(m.row_tile0) + tile) * rows + row;
        let (memory, word, byte) = match m.dest {
            Matmul::DEST_ACT => (
                MemoryId::Act,
                along + channel / lanes,
                row * lanes + channel % lanes,
            ),
            Matmul::DEST_RESB => (
                MemoryId::Resb,
                along + channel / 2,
                (row * 2 + channel % 2) * 2,
            ),
            Matmul::DEST_SCR => (MemoryId::Scr, along + channel / 2, row * 2 + channel % 2),
            Matmul::DEST_KEYS => (
                MemoryId::Opd,
                base + token / pairs * stride + channel / lanes,
                token % pairs * lanes + channel % lanes,
            ),
            Matmul::DEST_VALUES => {
                let (tile, pair) = value_place(m, pairs, output);
                (
                    MemoryId::Opd,
                    base + tile * stride + token / lanes,
                    pair * lanes + token % lanes,
                )
            }
            other => panic!("no destination has the code {other}"),
        };
        let target = &mut self.word_mut(memory, word)[byte..];
        if memory == MemoryId::Resb {
            target[..2].copy_from_slice(&result.to_le_bytes());
        } else {
            target[0] = result as u8;
        }
    }
}

/// Column tile and pair of an output channel among the values: heads of `head_dim` channels, each
/// beginning a column tile.
fn value_place(m: &Matmul, pairs: usize, output: usize) -> (usize, usize) {
    let mut channel = usize::from(m.dst_channel & 0xff);
    let mut pair = usize::from(m.dst_channel >> 8);
    let mut tile = 0;
    for _ in 0..output {
        channel += 1;
        pair += 1;
        if channel == usize::from(m.head_dim) {
            (channel, pair, tile) = (0, 0, tile + 1);
        } else if pair == pairs {
            (pair, tile) = (0, tile + 1);
        }
    }
    (tile, pair)
}
