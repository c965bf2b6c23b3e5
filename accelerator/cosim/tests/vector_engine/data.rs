//! Contents of the memories: what models have, corners, and noise.

use fqbert_contract::isa::MemoryId;
use fqbert_contract::layout::pack_layer_norm;
use fqbert_numerics::layernorm;
use fqbert_numerics::softmax::exp_table;

use crate::bench::Bench;
use fqbert_random::Random;

/// New contents of all memories, and of the engine's tables.
pub fn refill(bench: &mut Bench, random: &mut Random) {
    scores(bench, random);
    ranges(bench, random);
    tables(bench, random);
    residuals(bench, random);
    parameters(bench, random);
}

fn scores(bench: &mut Bench, random: &mut Random) {
    // From rows of one score to scores from end to end.
    let spread = 1 << random.within(0, 8);
    let base = random.within(0, 255);
    for byte in bench.memories.all_mut(MemoryId::Scr) {
        *byte = (base + random.within(0, spread)) as u8;
    }
}

fn ranges(bench: &mut Bench, random: &mut Random) {
    let longest = u64::from(bench.g.max_seq);
    for range in bench.memories.all_mut(MemoryId::Rng).as_chunks_mut::<4>().0 {
        let (lo, hi) = match random.within(0, 5) {
            0 => (0, longest),
            1 => (0, random.within(0, longest)),
            2 => (random.within(0, 20), random.within(0, 20)),
            3 => (0, 0xffff),
            4 => (random.next_u64() & 0xffff, random.next_u64() & 0xffff),
            _ => (0, random.within(1, 64)),
        };
        range[..2].copy_from_slice(&(lo as u16).to_le_bytes());
        range[2..].copy_from_slice(&(hi as u16).to_le_bytes());
    }
}

fn tables(bench: &mut Bench, random: &mut Random) {
    for table in bench
        .memories
        .all_mut(MemoryId::Exp)
        .as_chunks_mut::<512>()
        .0
    {
        let entries = match random.within(0, 3) {
            // Any table, and small sums among them.
            0 => {
                let mask = (1u64 << random.within(0, 16)) - 1;
                core::array::from_fn(|_| (random.next_u64() & mask) as u16)
            }
            1 => [u16::MAX; 256],
            _ => exp_table(random.within(1, 200) as f64 / 1000.0),
        };
        for (bytes, entry) in table.as_chunks_mut::<2>().0.iter_mut().zip(entries) {
            *bytes = entry.to_le_bytes();
        }
    }
    bench.load_tables();
}

fn residuals(bench: &mut Bench, random: &mut Random) {
    let (amplitude, mean) = (random.within(0, 15), random.within(0, 0xffff) as i16);
    for memory in [MemoryId::Resx, MemoryId::Resb] {
        // The branch is often small, so that rows of one value or nearly so remain.
        let bits = if memory == MemoryId::Resb && random.one_in(2) {
            0
        } else {
            amplitude
        };
        let base = if memory == MemoryId::Resb { 0 } else { mean };
        for bytes in bench.memories.all_mut(memory).as_chunks_mut::<2>().0 {
            let value = match random.within(0, 300) {
                0 => i16::MIN,
                1 => i16::MAX,
                _ => base.wrapping_add((random.next_u64() & ((1 << bits) - 1)) as i16),
            };
            *bytes = if amplitude == 0 && bits == 0 {
                base.to_le_bytes()
            } else {
                value.to_le_bytes()
            };
        }
    }
}

/// LNP is read from any word on: every pair of words is a header or two channels, so a layer's
/// header is put into every word.
fn parameters(bench: &mut Bench, random: &mut Random) {
    let widest = bench.g.max_hidden as usize / 8;
    let n = 8 * random.within(1, widest as u64) as usize;
    let gamma: Vec<f32> = (0..n)
        .map(|_| random.within(1, 100) as f32 / 50.0)
        .collect();
    let beta: Vec<f32> = (0..n)
        .map(|_| random.within(0, 100) as f32 / 50.0 - 1.0)
        .collect();
    let p = layernorm::quantize(&gamma, &beta, 1e-12, n, 1e-3, 1e-3, 0.04).unwrap();
    let image = pack_layer_norm(&p).unwrap();
    let noise = random.one_in(3);
    let words = bench
        .memories
        .all_mut(MemoryId::Lnp)
        .as_chunks_mut::<16>()
        .0;
    for (index, word) in words.iter_mut().enumerate() {
        if noise {
            word.copy_from_slice(&random.bytes(16));
        } else if random.one_in(4) {
            word.copy_from_slice(&image[..16]);
        } else {
            for half in 0..2 {
                let channel = (2 * index + half) % n;
                word[8 * half..][..4].copy_from_slice(&p.beta[channel].to_le_bytes());
                word[8 * half + 4] = p.gamma[channel] as u8;
            }
        }
    }
}
