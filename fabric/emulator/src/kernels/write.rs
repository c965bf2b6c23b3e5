//! The drain of a MATMUL: results to the layout of their destination.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Matmul, MemoryId};
use rayon::prelude::*;

use super::matmul::Outputs;
use crate::memories::Memories;

/// Below this many results, handing row tiles to other threads costs more than it saves.
const PARALLEL: usize = 1 << 14;

/// Writes the results of `m` to its destination.
pub fn results(g: &Geometry, m: &Matmul, outputs: &Outputs, memories: &mut Memories) {
    match m.dest {
        Matmul::DEST_ACT => {
            let table = m.gelu.then(|| gelu_table(memories, m.table));
            let lanes = g.lanes as usize;
            by_rows(
                m,
                outputs,
                memories,
                MemoryId::Act,
                lanes,
                |word, row, channel, value| {
                    // Results of 8 bits are in -127..=127.
                    let code = value as i8;
                    let code = table
                        .as_ref()
                        .map_or(code, |t| t[usize::from((code as u8) ^ 0x80)]);
                    word[row * lanes + channel] = code as u8;
                },
            );
        }
        Matmul::DEST_RESB => {
            by_rows(
                m,
                outputs,
                memories,
                MemoryId::Resb,
                2,
                |word, row, channel, value| {
                    let at = (row * 2 + channel) * 2;
                    word[at..at + 2].copy_from_slice(&value.to_le_bytes());
                },
            );
        }
        Matmul::DEST_SCR => {
            by_rows(
                m,
                outputs,
                memories,
                MemoryId::Scr,
                2,
                |word, row, channel, value| {
                    word[row * 2 + channel] = value as u8;
                },
            );
        }
        Matmul::DEST_KEYS => keys(g, m, outputs, memories),
        _ => values(g, m, outputs, memories),
    }
}

/// GELU table `table`: entry `x + 128` is the code of `x`.
fn gelu_table(memories: &Memories, table: u8) -> [i8; 256] {
    let bytes = memories.words_from(MemoryId::Gel, u16::from(table) * 16);
    let mut codes = [0; 256];
    for (code, byte) in codes.iter_mut().zip(bytes) {
        *code = *byte as i8;
    }
    codes
}

/// Destinations whose words hold `per_word` channels of the R rows of a row tile. `put(word, row, channel in word, value)` stores one result.
fn by_rows(
    m: &Matmul,
    outputs: &Outputs,
    memories: &mut Memories,
    memory: MemoryId,
    per_word: usize,
    put: impl Fn(&mut [u8], usize, usize, i16) + Sync,
) {
    let word_bytes = memories.word_bytes(memory);
    let (first, channels) = (usize::from(m.dst_channel), usize::from(m.channels));
    let skipped = first / per_word;
    let words = (first + channels).div_ceil(per_word) - skipped;
    let target = memories.words_from_mut(memory, m.dst_base);
    let target = target.get_mut(skipped * word_bytes..).unwrap_or(&mut []);
    let write_tile = |tile: usize, bytes: &mut [u8]| {
        for row in 0..outputs.rows {
            // Word and channel in it, stepped along: a division per result would cost more than the rest.
            let (mut at, mut channel) = (0, first - skipped * per_word);
            let mut left = channels;
            for results in outputs.row(tile, row) {
                let count = results.len().min(left);
                left -= count;
                for &value in &results[..count] {
                    put(&mut bytes[at..at + word_bytes], row, channel, value);
                    channel += 1;
                    if channel == per_word {
                        channel = 0;
                        at += word_bytes;
                    }
                }
            }
        }
    };
    let stride = usize::from(m.dst_stride);
    let tiles = usize::from(m.row_tiles);
    if stride >= words && tiles > 1 && tiles * outputs.rows * channels >= PARALLEL {
        let strips = target.par_chunks_mut(stride * word_bytes).take(tiles);
        strips
            .enumerate()
            .for_each(|(tile, bytes)| write_tile(tile, bytes));
    } else {
        // Row tiles may overlap: a later one overwrites an earlier one, as the drain's order has it.
        for tile in 0..tiles {
            write_tile(tile, &mut target[tile * stride * word_bytes..]);
        }
    }
}

/// Keys: token t is channel `t % C` of key tile `t / C`.
fn keys(g: &Geometry, m: &Matmul, outputs: &Outputs, memories: &mut Memories) {
    let (rows, pairs, lanes) = (g.rows as usize, g.pairs as usize, g.lanes as usize);
    let word_bytes = memories.word_bytes(MemoryId::Opd);
    let target = memories.words_from_mut(MemoryId::Opd, m.dst_base);
    for tile in 0..usize::from(m.row_tiles) {
        for row in 0..rows {
            let token = (usize::from(m.row_tile0) + tile) * rows + row;
            let word = token / pairs * usize::from(m.dst_stride);
            let results = outputs
                .row(tile, row)
                .flatten()
                .take(usize::from(m.channels));
            for (value, channel) in results.zip(usize::from(m.dst_channel)..) {
                let at =
                    (word + channel / lanes) * word_bytes + token % pairs * lanes + channel % lanes;
                target[at] = *value as u8;
            }
        }
    }
}

/// Values: channels become rows of C per channel tile, starting anew with each head; tokens run along K.
fn values(g: &Geometry, m: &Matmul, outputs: &Outputs, memories: &mut Memories) {
    let (rows, pairs, lanes) = (g.rows as usize, g.pairs as usize, g.lanes as usize);
    let word_bytes = memories.word_bytes(MemoryId::Opd);
    let target = memories.words_from_mut(MemoryId::Opd, m.dst_base);
    let slots = value_slots(m, pairs);
    for tile in 0..usize::from(m.row_tiles) {
        for row in 0..rows {
            let token = (usize::from(m.row_tile0) + tile) * rows + row;
            let results = outputs.row(tile, row).flatten();
            for (value, (word, slot)) in results.zip(&slots) {
                let at = (word + token / lanes) * word_bytes + slot * lanes + token % lanes;
                target[at] = *value as u8;
            }
        }
    }
}

/// For each output channel the first word of its channel tile, counted from `dst_base`, and its pair in it.
fn value_slots(m: &Matmul, pairs: usize) -> Vec<(usize, usize)> {
    let mut d = usize::from(m.dst_channel & 0xff);
    let mut slot = usize::from(m.dst_channel >> 8);
    let mut word = 0;
    let mut slots = Vec::with_capacity(usize::from(m.channels));
    for _ in 0..m.channels {
        slots.push((word, slot));
        d += 1;
        slot += 1;
        if d == usize::from(m.head_dim) {
            (d, slot) = (0, 0);
            word += usize::from(m.dst_stride);
        } else if slot == pairs {
            slot = 0;
            word += usize::from(m.dst_stride);
        }
    }
    slots
}
