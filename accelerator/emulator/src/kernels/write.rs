//! The drain of a MATMUL: results to the layout of their destination.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Matmul, MemoryId};
use rayon::prelude::*;

use super::outputs::OCTET;
use super::outputs::Outputs;
use crate::memories::Memories;

/// Below this many results, handing row tiles to other threads costs more than it saves.
const PARALLEL: usize = 1 << 14;

/// Writes the results of `m` to its destination.
pub fn results(g: &Geometry, m: &Matmul, outputs: &Outputs, memories: &mut Memories) {
    match m.dest {
        Matmul::DEST_ACT => {
            let lanes = g.lanes as usize;
            // Results of 8 bits are in -127..=127.
            match m.gelu.then(|| gelu_table(memories, m.table)) {
                None => by_rows::<1>(m, outputs, memories, MemoryId::Act, lanes, |v| [v as u8]),
                Some(table) => by_rows::<1>(m, outputs, memories, MemoryId::Act, lanes, |v| {
                    [table[usize::from(v as u8 ^ 0x80)]]
                }),
            }
        }
        Matmul::DEST_RESB => {
            by_rows::<2>(m, outputs, memories, MemoryId::Resb, 2, i16::to_le_bytes);
        }
        Matmul::DEST_SCR => {
            by_rows::<1>(m, outputs, memories, MemoryId::Scr, 2, |v| [v as u8]);
        }
        Matmul::DEST_KEYS => keys(g, m, outputs, memories),
        _ => values(g, m, outputs, memories),
    }
}

/// GELU table `table`: entry `x + 128` is the code of `x`.
pub fn gelu_table(memories: &Memories, table: u8) -> [u8; 256] {
    let bytes = memories.words_from(MemoryId::Gel, u16::from(table) * 16);
    bytes.first_chunk().copied().unwrap_or([0; 256])
}

/// Destinations whose words hold `per_word` channels of each of the R rows of a row tile, `N` bytes
/// a channel.
fn by_rows<const N: usize>(
    m: &Matmul,
    outputs: &Outputs,
    memories: &mut Memories,
    memory: MemoryId,
    per_word: usize,
    encode: impl Fn(i16) -> [u8; N] + Sync,
) {
    let word_bytes = memories.word_bytes(memory);
    let (first, channels) = (usize::from(m.dst_channel), usize::from(m.channels));
    let skipped = first / per_word;
    let words = (first + channels).div_ceil(per_word) - skipped;
    let target = memories.words_from_mut(memory, m.dst_base);
    let target = target.get_mut(skipped * word_bytes..).unwrap_or(&mut []);
    let write_tile = |tile: usize, bytes: &mut [u8]| {
        for row in 0..outputs.rows {
            // The row's part of a word and the channel in it, stepped along: a division per result
            // would cost more than the rest.
            let (mut at, mut channel) = (row * per_word * N, first - skipped * per_word);
            let mut left = channels;
            for group in outputs.row(tile, row) {
                let mut results = &group[..group.len().min(left)];
                left -= results.len();
                while !results.is_empty() {
                    let count = results.len().min(per_word - channel);
                    let (these, rest) = results.split_at(count);
                    let part = &mut bytes[at + channel * N..][..count * N];
                    for (code, &value) in part.as_chunks_mut::<N>().0.iter_mut().zip(these) {
                        *code = encode(value);
                    }
                    results = rest;
                    channel += count;
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
        // Row tiles may overlap: a later one overwrites an earlier one, as the drain's order has
        // it.
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

/// Values: channels become rows of C per channel tile, starting anew with each head; tokens run
/// along K.
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

/// Whether key tiles or value tiles lie closer together than the words that are written of each.
pub fn tiles_overlap(g: &Geometry, m: &Matmul) -> bool {
    usize::from(m.dst_stride) < tile_words(g, m)
}

/// Words of a key tile or channel tile that are written.
fn tile_words(g: &Geometry, m: &Matmul) -> usize {
    let lanes = g.lanes as usize;
    let (first, count) = if m.dest == Matmul::DEST_KEYS {
        (usize::from(m.dst_channel), usize::from(m.channels))
    } else {
        let rows = g.rows as usize;
        (
            usize::from(m.row_tile0) * rows,
            usize::from(m.row_tiles) * rows,
        )
    };
    (first + count).div_ceil(lanes) - first / lanes
}

/// As [`keys`], from words of ACT: `[row tile][octet][row][8]`, the first channel at its place in
/// an octet of the destination.
pub fn keys_from_words(g: &Geometry, m: &Matmul, words: &[u8], memories: &mut Memories) {
    let (rows, pairs) = (g.rows as usize, g.pairs as usize);
    let word_bytes = memories.word_bytes(MemoryId::Opd);
    let (first, channels) = (usize::from(m.dst_channel), usize::from(m.channels));
    let (skew, stride) = (first % OCTET, usize::from(m.dst_stride));
    let octets = (skew + channels).div_ceil(OCTET);
    let target = memories.words_from_mut(MemoryId::Opd, m.dst_base);
    let start = usize::from(m.row_tile0) * rows;
    for (at, octets_words) in words.chunks_exact(rows * OCTET).enumerate() {
        let (tile, octet) = (at / octets, at % octets);
        let low = skew.saturating_sub(octet * OCTET);
        let high = (skew + channels - octet * OCTET).min(OCTET);
        // Stepped along: two divisions a row would cost more than the rest.
        let token = start + tile * rows;
        let (mut key_tile, mut place) = (token / pairs, token % pairs);
        for codes in octets_words.as_chunks::<OCTET>().0 {
            let word = key_tile * stride + first / OCTET + octet;
            let eight = &mut target[word * word_bytes + place * OCTET..];
            if let Some(eight) = eight.first_chunk_mut()
                && high - low == OCTET
            {
                *eight = *codes;
            } else {
                eight[low..high].copy_from_slice(&codes[low..high]);
            }
            place += 1;
            if place == pairs {
                (key_tile, place) = (key_tile + 1, 0);
            }
        }
    }
}

/// As [`values`], from words of ACT: `[row tile][octet][row][8]`, to the [`value_places`] of all
/// channels.
pub fn values_from_words(
    g: &Geometry,
    m: &Matmul,
    places: &[(usize, usize)],
    words: &[u8],
    memories: &mut Memories,
) {
    let rows = g.rows as usize;
    let word_bytes = memories.word_bytes(MemoryId::Opd);
    let target = memories.words_from_mut(MemoryId::Opd, 0);
    let octets = places.len().div_ceil(OCTET);
    let start = usize::from(m.row_tile0) * rows;
    for (at, octet_words) in words.chunks_exact(rows * OCTET).enumerate() {
        let (tile, octet) = (at / octets, at % octets);
        let places = &places[octet * OCTET..places.len().min((octet + 1) * OCTET)];
        let eights = octet_words.as_chunks::<{ OCTET * OCTET }>();
        if start.is_multiple_of(OCTET) && rows.is_multiple_of(OCTET) && eights.1.is_empty() {
            // Eight rows are eight tokens side by side: a word's part of a channel.
            for (eight, codes) in eights.0.iter().enumerate() {
                let token = start + tile * rows + OCTET * eight;
                let channels = transposed(codes);
                for (tokens, (word, slot)) in channels.into_iter().zip(places) {
                    let at = (word + token / OCTET) * word_bytes + slot * OCTET;
                    if let Some(target) = target[at..].first_chunk_mut() {
                        *target = tokens;
                    }
                }
            }
            continue;
        }
        // Four rows are four tokens side by side: rows come in fours.
        for (quad, codes) in octet_words
            .as_chunks::<{ 4 * OCTET }>()
            .0
            .iter()
            .enumerate()
        {
            let token = start + tile * rows + 4 * quad;
            for (channel, (word, slot)) in places.iter().enumerate() {
                let at = (word + token / OCTET) * word_bytes + slot * OCTET + token % OCTET;
                let four = [
                    codes[channel],
                    codes[OCTET + channel],
                    codes[2 * OCTET + channel],
                    codes[3 * OCTET + channel],
                ];
                if let Some(target) = target[at..].first_chunk_mut() {
                    *target = four;
                }
            }
        }
    }
}

/// Eight rows of eight bytes as eight columns: halves of halves of the square change places.
fn transposed(square: &[u8; OCTET * OCTET]) -> [[u8; OCTET]; OCTET] {
    let mut rows: [u64; OCTET] = std::array::from_fn(|row| {
        let bytes = square[row * OCTET..].first_chunk().copied();
        u64::from_le_bytes(bytes.unwrap_or_default())
    });
    let steps: [(usize, u64); 3] = [
        (4, 0x0000_0000_ffff_ffff),
        (2, 0x0000_ffff_0000_ffff),
        (1, 0x00ff_00ff_00ff_00ff),
    ];
    for (apart, low) in steps {
        let bits = 8 * apart;
        for row in (0..OCTET).filter(|row| row & apart == 0) {
            let (a, b) = (rows[row], rows[row + apart]);
            rows[row] = (a & low) | (b & low) << bits;
            rows[row + apart] = (a >> bits & low) | (b & !low);
        }
    }
    rows.map(u64::to_le_bytes)
}

/// For each output channel the word of OPD with its first token, and its pair in it.
pub fn value_places(m: &Matmul, pairs: usize) -> Vec<(usize, usize)> {
    let mut places = value_slots(m, pairs);
    for (word, _) in &mut places {
        *word += usize::from(m.dst_base);
    }
    places
}

/// Whether no word of values of `members`, which `m` is the whole of, is that of other tokens too.
pub fn values_are_apart<'a>(
    g: &Geometry,
    m: &Matmul,
    members: impl Iterator<Item = &'a Matmul>,
) -> bool {
    let places = members.flat_map(|m| value_places(m, g.pairs as usize));
    let mut words: Vec<usize> = places.map(|(word, _)| word).collect();
    words.sort_unstable();
    words.dedup();
    let mut pairs = words.windows(2);
    pairs.all(|pair| pair[1] - pair[0] >= tile_words(g, m))
}

/// For each output channel the first word of its channel tile, counted from `dst_base`, and its
/// pair in it.
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
