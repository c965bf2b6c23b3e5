//! Random instructions and random programs that end.

use fqbert_contract::isa::{Engine, Instruction, Layernorm, Matmul, MemoryId, Operation, Softmax};
use fqbert_contract::timing::{QUEUES, Queue};

use fqbert_random::Random;

use super::{end, load, nop, store, with};

/// What a random program is made of.
#[derive(Clone, Copy)]
pub struct Mix {
    /// Instructions before END.
    pub length: usize,
    /// Most beats of a transfer.
    pub beats: u64,
    /// MATMUL, SOFTMAX and LAYERNORM, beside transfers and NOPs.
    pub compute: bool,
    /// Percent of instructions that wait for an earlier one.
    pub waits: u64,
}

/// A small legal MATMUL, SOFTMAX or LAYERNORM of the tiny geometry.
pub fn compute(rng: &mut Random) -> Operation {
    let (row_tiles, col_tiles) = (1 + rng.below(3) as u8, 1 + rng.below(3) as u8);
    match rng.below(4) {
        0 => Operation::Softmax(Softmax {
            columns: 8 * (1 + rng.below(6)) as u16,
            row_tiles,
            ..Softmax::default()
        }),
        1 => Operation::Layernorm(Layernorm {
            channels: 8 * (1 + rng.below(6)) as u16,
            row_tiles,
            ..Layernorm::default()
        }),
        _ => Operation::Matmul(Matmul {
            mode8: rng.below(2) == 1,
            k_chunks: 1 + rng.below(20) as u16,
            row_tiles,
            col_tiles,
            dest: rng.below(4) as u8,
            channels: 0,
            ..Matmul::default()
        }),
    }
}

/// The channels that make a random MATMUL legal on the tiny geometry.
fn complete(operation: Operation) -> Operation {
    match operation {
        Operation::Matmul(m) => {
            let tile = if m.mode8 { 4 } else { 8 };
            Operation::Matmul(Matmul {
                channels: tile * u16::from(m.col_tiles),
                ..m
            })
        }
        other => other,
    }
}

/// A program in which an instruction may wait for earlier ones, by a semaphore for each pair of
/// queues: it always ends.
pub fn program(rng: &mut Random, mix: Mix, data: u64) -> Vec<Instruction> {
    let mut operations = Vec::new();
    for _ in 0..mix.length {
        let memory = if rng.below(2) == 0 {
            MemoryId::Act
        } else {
            MemoryId::Resx
        };
        let beats = 2 * (1 + rng.below(mix.beats / 2)) as u32;
        let (word, address) = (rng.below(64) as u16, data + 16 * rng.below(64));
        operations.push(match rng.below(if mix.compute { 10 } else { 6 }) {
            0 => nop(Engine::ALL[rng.below(4) as usize]),
            1..=3 => load(memory, word, address, beats),
            4 | 5 => store(memory, word, address, beats),
            _ => complete(compute(rng)),
        });
    }
    let queue = |i: usize| Queue::of(&operations[i]).index();
    let mut ids = [[0u8; QUEUES]; QUEUES];
    let mut next = 0;
    let mut waits = vec![Vec::new(); operations.len()];
    let mut signals = vec![Vec::new(); operations.len()];
    for i in 1..operations.len() {
        while waits[i].len() < 3 && rng.below(100) < mix.waits {
            let from = i - 1 - rng.below((i as u64).min(24)) as usize;
            let id = &mut ids[queue(from)][queue(i)];
            if signals[from].len() == 3 {
                continue;
            }
            if *id == 0 {
                next += 1;
                *id = next;
            }
            signals[from].push(*id);
            waits[i].push(*id);
        }
    }
    let mut program: Vec<Instruction> = operations
        .into_iter()
        .enumerate()
        .map(|(i, operation)| with(&waits[i], &signals[i], operation))
        .collect();
    program.push(end());
    program
}
