//! LOAD and STORE.

use fqbert_contract::isa::{Load, MemoryId, Operation, Store};

use crate::bench::Bench;
use crate::code::{code, plain, tokens};
use crate::report::{Failure, ensure};

/// Memory to memory through ACT and RESX, at the first word, the last, and random spans between.
pub fn round_trip(b: &mut Bench<'_>) -> Result<(), Failure> {
    let g = b.geometry.clone();
    for memory in [MemoryId::Act, MemoryId::Resx] {
        let (depth, word) = (g.depth(memory) as usize, g.word_bytes(memory) as usize);
        let mut spans = vec![(0, 1), (depth - 1, 1), (0, depth.min(2000))];
        for _ in 0..5 {
            let words = b.rng.within(1, 300.min(depth));
            spans.push((b.rng.within(0, depth - words), words));
        }
        let mut program = Vec::new();
        let mut buffers = Vec::new();
        for (first, words) in spans {
            let data = b.rng.bytes(words * word);
            let from = b.upload(&data)?;
            let to = b.upload(&vec![0; data.len() + 32])?;
            let beats = (data.len() / 16) as u32;
            let (code, word_offset) = (memory.code(), first as u16);
            let (source, target) = (from.address.0, to.address.0 + 16);
            let load = Load {
                memory: code,
                port: 0,
                address: source,
                word_offset,
                beats,
            };
            let store = Store {
                memory: code,
                address: target,
                word_offset,
                beats,
            };
            // Each load waits for the store before it: spans overlap. The first finds the token of
            // a NOP of the STORE queue.
            program.push(tokens(Operation::Load(load), [2, 0, 0], [1, 0, 0]));
            program.push(tokens(Operation::Store(store), [1, 0, 0], [2, 0, 0]));
            buffers.push((to, data));
        }
        let nop = fqbert_contract::isa::Nop { engine: 3, port: 0 };
        program.insert(0, tokens(Operation::Nop(nop), [0; 3], [2, 0, 0]));
        b.complete(&code(&program)?)?;
        for (to, data) in buffers {
            let seen = b.download(&to)?;
            let (edges, body) = (
                [&seen[..16], &seen[16 + data.len()..]].concat(),
                &seen[16..],
            );
            ensure!(
                body[..data.len()] == data,
                "{} bytes through {} came back changed",
                data.len(),
                memory.name()
            );
            ensure!(
                edges.iter().all(|v| *v == 0),
                "STORE wrote beside its target"
            );
        }
        b.free_all()?;
    }
    Ok(())
}

/// Every memory that LOAD fills takes its first and its last word, through the port the contract
/// names.
pub fn every_memory(b: &mut Bench<'_>) -> Result<(), Failure> {
    let g = b.geometry.clone();
    let mut program = Vec::new();
    for memory in MemoryId::ALL {
        let port = match memory {
            MemoryId::Resb | MemoryId::Opd | MemoryId::Scr | MemoryId::Prb => continue,
            MemoryId::Wgt0 => g.slot_port(0),
            MemoryId::Wgt1 => g.slot_port(1),
            MemoryId::Wgt2 => g.slot_port(2),
            MemoryId::Wgt3 => g.slot_port(3),
            _ => 0,
        };
        let word = g.word_bytes(*memory) as usize;
        let data = b.rng.bytes(word);
        let from = b.upload(&data)?;
        for word_offset in [0, (g.depth(*memory) - 1) as u16] {
            program.push(plain(Operation::Load(Load {
                memory: memory.code(),
                port: port as u8,
                address: from.address.0,
                word_offset,
                beats: (word / 16) as u32,
            })));
        }
    }
    b.complete(&code(&program)?)?;
    Ok(())
}
