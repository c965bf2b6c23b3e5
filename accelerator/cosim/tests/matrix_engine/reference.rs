//! What a MATMUL does, from docs/contract.md and the scalar arithmetic of `fqbert-numerics`, one
//! result after another.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Matmul, MemoryId};
use fqbert_numerics::dot::{dot_i8_i8, dot_u8_i8};
use fqbert_numerics::gelu;
use fqbert_numerics::packed::unpack_pair;
use fqbert_numerics::requant::Requant;

use crate::memories::Memories;

/// Executes `m` on `memories`.
pub fn matmul(g: &Geometry, m: &Matmul, memories: &mut Memories) {
    let (rows, pairs) = (g.rows as usize, g.pairs as usize);
    let per_pair = if m.mode8 { 1 } else { 2 };
    let tile = pairs * per_pair;
    for j in 0..usize::from(m.col_tiles) {
        let weights: Vec<Vec<i8>> = (0..tile).map(|n| weights(g, m, memories, j, n)).collect();
        // Values: where the first channel of this column tile goes.
        for i in 0..usize::from(m.row_tiles) {
            for (n, w) in weights.iter().enumerate() {
                let output = j * tile + n;
                if output >= usize::from(m.channels) {
                    continue;
                }
                let parameters = parameters(m, memories, output);
                for row in 0..rows {
                    let sum = sum(g, m, memories, i, row, w);
                    let wide = m.dest == Matmul::DEST_RESB;
                    let mut result = if wide {
                        parameters.apply_i16(sum)
                    } else {
                        parameters.apply_i8(sum).into()
                    };
                    if m.gelu {
                        result = gelu::lookup(&table(m, memories), result as i8).into();
                    }
                    let (memory, word, byte) = place(g, m, i, row, output);
                    let target = &mut memories.word_mut(memory, word)[byte..];
                    if wide {
                        target[..2].copy_from_slice(&result.to_le_bytes());
                    } else {
                        target[0] = result as u8;
                    }
                }
            }
        }
    }
}

/// Codes of channel `n` of column tile `j`, by term.
fn weights(g: &Geometry, m: &Matmul, memories: &Memories, j: usize, n: usize) -> Vec<i8> {
    let lanes = g.lanes as usize;
    let memory = if m.b_opd {
        MemoryId::Opd
    } else {
        [
            MemoryId::Wgt0,
            MemoryId::Wgt1,
            MemoryId::Wgt2,
            MemoryId::Wgt3,
        ][usize::from(m.b_slot)]
    };
    let mut codes = Vec::new();
    for k in 0..usize::from(m.k_chunks) {
        let address = usize::from(m.b_base) + j * usize::from(m.b_stride) + k;
        let word = memories.word(memory, address);
        for lane in 0..lanes {
            codes.push(if m.mode8 {
                word[n * lanes + lane] as i8
            } else {
                let (even, odd) = unpack_pair(word[n / 2 * lanes + lane]);
                [even, odd][n % 2]
            });
        }
    }
    codes
}

/// The dot product of one row of row tile `i`.
fn sum(g: &Geometry, m: &Matmul, memories: &Memories, i: usize, row: usize, w: &[i8]) -> i32 {
    let lanes = g.lanes as usize;
    let memory = if m.a_probs {
        MemoryId::Prb
    } else {
        MemoryId::Act
    };
    let mut a = Vec::new();
    for k in 0..usize::from(m.k_chunks) {
        let address = usize::from(m.a_base) + i * usize::from(m.a_stride) + k;
        a.extend_from_slice(&memories.word(memory, address)[row * lanes..][..lanes]);
    }
    if m.a_probs {
        dot_u8_i8(&a, w)
    } else {
        let a: Vec<i8> = a.iter().map(|v| *v as i8).collect();
        dot_i8_i8(&a, w)
    }
}

fn parameters(m: &Matmul, memories: &Memories, output: usize) -> Requant {
    let record = usize::from(m.par_base) * 2 + if m.uniform { 0 } else { output };
    let word = memories.word(MemoryId::Par, record / 2);
    let r = &word[record % 2 * 8..][..8];
    Requant {
        bias: i32::from_le_bytes([r[0], r[1], r[2], r[3]]),
        multiplier: u16::from_le_bytes([r[4], r[5]]),
        shift: r[6],
    }
}

fn table(m: &Matmul, memories: &Memories) -> [i8; 256] {
    std::array::from_fn(|i| {
        memories.word(MemoryId::Gel, usize::from(m.table) * 16 + i / 16)[i % 16] as i8
    })
}

/// Memory, word and byte of one result.
fn place(
    g: &Geometry,
    m: &Matmul,
    i: usize,
    row: usize,
    output: usize,
) -> (MemoryId, usize, usize) {
    let (rows, pairs, lanes) = (g.rows as usize, g.pairs as usize, g.lanes as usize);
    let (base, stride) = (usize::from(m.dst_base), usize::from(m.dst_stride));
    let channel = usize::from(m.dst_channel) + output;
    let token = (usize::from(m.row_tile0) + i) * rows + row;
    match m.dest {
        Matmul::DEST_ACT => (
            MemoryId::Act,
            base + i * stride + channel / lanes,
            row * lanes + channel % lanes,
        ),
        Matmul::DEST_RESB => (
            MemoryId::Resb,
            base + i * stride + channel / 2,
            (row * 2 + channel % 2) * 2,
        ),
        Matmul::DEST_SCR => (
            MemoryId::Scr,
            base + i * stride + channel / 2,
            row * 2 + channel % 2,
        ),
        Matmul::DEST_KEYS => (
            MemoryId::Opd,
            base + token / pairs * stride + channel / lanes,
            token % pairs * lanes + channel % lanes,
        ),
        _ => {
            let (word, slot) = value_place(g, m, output);
            (
                MemoryId::Opd,
                word + token / lanes,
                slot * lanes + token % lanes,
            )
        }
    }
}

/// Word of the channel tile and pair of an output channel among the values: heads of `head_dim`
/// channels, tiles of C.
fn value_place(g: &Geometry, m: &Matmul, output: usize) -> (usize, usize) {
    let mut d = usize::from(m.dst_channel & 0xff);
    let mut slot = usize::from(m.dst_channel >> 8);
    let mut word = usize::from(m.dst_base);
    for _ in 0..output {
        d += 1;
        slot += 1;
        if d == usize::from(m.head_dim) {
            (d, slot) = (0, 0);
            word += usize::from(m.dst_stride);
        } else if slot == g.pairs as usize {
            slot = 0;
            word += usize::from(m.dst_stride);
        }
    }
    (word, slot)
}
