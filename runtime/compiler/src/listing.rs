//! A program as text.

use std::collections::HashMap;
use std::fmt::Write;

use fqbert_contract::isa::{Matmul, MemoryId, Operation};
use fqbert_contract::program::{Program, Region};
use fqbert_contract::timing::Queue;

use crate::sem;

/// Lists a program, one instruction a line: index, layer, queue, mnemonic, fields that are not
/// zero, semaphores waited for (`<`) and raised (`>`). Addresses are offsets into their region.
/// Semaphores carry the compiler's names.
pub fn disassemble(program: &Program) -> String {
    let regions: HashMap<u32, Region> = program
        .relocations
        .iter()
        .map(|r| (r.instruction, r.region))
        .collect();
    let g = &program.requirements.geometry;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "; geometry {}, sequence {}, hidden {}, {} instructions",
        g.name,
        program.sequence,
        program.hidden,
        program.instructions.len()
    );
    for (index, instruction) in program.instructions.iter().enumerate() {
        let operation = &instruction.operation;
        let queue = Queue::of(operation).name();
        let mut line = format!(
            "{index:>5}  L{:<3} {queue:<7} {:<10}",
            instruction.header.layer,
            operation.mnemonic()
        );
        for (name, value) in operation.fields() {
            match name {
                "memory" => line += &format!(" {}", memory(value)),
                "address" | "address_low" => {
                    let region = regions.get(&(index as u32)).map_or("address", |r| r.name());
                    let address = address(operation).unwrap_or(value);
                    line += &format!(" {region}+{address:#x}");
                }
                "address_high" => {}
                "dest" => line += &format!(" dest={}", destination(value)),
                _ if value == 0 => {}
                _ => line += &format!(" {name}={value}"),
            }
        }
        let header = &instruction.header;
        for (sign, ids) in [('<', header.wait), ('>', header.signal)] {
            for id in ids.into_iter().filter(|id| *id != 0) {
                line += &format!(" {sign}{}", sem::name(id));
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn destination(value: u64) -> &'static str {
    match u8::try_from(value) {
        Ok(Matmul::DEST_ACT) => "ACT",
        Ok(Matmul::DEST_RESB) => "RESB",
        Ok(Matmul::DEST_SCR) => "SCR",
        Ok(Matmul::DEST_KEYS) => "KEYS",
        Ok(Matmul::DEST_VALUES) => "VALUES",
        _ => "?",
    }
}

fn memory(code: u64) -> &'static str {
    u8::try_from(code)
        .ok()
        .and_then(MemoryId::from_code)
        .map_or("?", MemoryId::name)
}

fn address(operation: &Operation) -> Option<u64> {
    Program::memory_access(operation).map(|(start, _)| start)
}
