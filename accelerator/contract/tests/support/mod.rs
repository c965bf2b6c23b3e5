//! Small programs for the verifier's tests.

use fqbert_contract::capability::Requirements;
use fqbert_contract::isa::{self, End, Header, Instruction, Load, MemoryId, Operation, feature};
use fqbert_contract::program::{PerRegion, Program, Region, Relocation, Span};
use fqbert_contract::{Bytes, Geometry};

pub fn tiny() -> &'static Geometry {
    Geometry::by_name("tiny").unwrap()
}

pub fn instruction(operation: Operation, wait: &[u8], signal: &[u8]) -> Instruction {
    let three = |ids: &[u8]| std::array::from_fn(|i| ids.get(i).copied().unwrap_or(0));
    Instruction {
        header: Header {
            layer: 0,
            wait: three(wait),
            signal: three(signal),
        },
        operation,
    }
}

pub fn load(memory: MemoryId, word_offset: u16, words: u32, address: u64) -> Operation {
    let beats = words * tiny().word_bytes(memory) / isa::BEAT_BYTES as u32;
    Operation::Load(Load {
        memory: memory.code(),
        port: 0,
        address,
        word_offset,
        beats,
    })
}

pub fn end() -> Operation {
    Operation::End(End {})
}

pub fn program(instructions: Vec<Instruction>) -> Program {
    let relocations = instructions
        .iter()
        .enumerate()
        .filter_map(|(i, instruction)| {
            let region = match instruction.operation {
                Operation::Load(_) => Region::Constants,
                Operation::Store(_) => Region::Output,
                _ => return None,
            };
            Some(Relocation {
                instruction: i as u32,
                region,
            })
        })
        .collect();
    Program {
        requirements: Requirements {
            major: isa::CONTRACT_MAJOR,
            minor: isa::CONTRACT_MINOR,
            features: feature::ALL,
            geometry: tiny().clone(),
        },
        sequence: 4,
        hidden: 8,
        instructions,
        relocations,
        sizes: PerRegion {
            constants: Bytes(4096),
            input: Bytes(0),
            output: Bytes(4096),
        },
        input_x8: Span::default(),
        input_x16: Span::default(),
        input_ranges: Span::default(),
        output_y16: Span::default(),
    }
}
