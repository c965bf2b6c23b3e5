//! Instructions of single operations, and programs of them as bytes.

use fqbert_contract::isa::{End, Header, Instruction, Operation};

use crate::report::Failure;

/// Instructions and an END as bytes.
pub fn code(instructions: &[Instruction]) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    for instruction in instructions.iter().chain([&plain(Operation::End(End {}))]) {
        let words = instruction
            .to_bytes()
            .map_err(|e| Failure::Wrong(e.to_string()))?;
        bytes.extend_from_slice(&words);
    }
    Ok(bytes)
}

/// An operation without waits and signals.
pub fn plain(operation: Operation) -> Instruction {
    Instruction {
        header: Header::default(),
        operation,
    }
}

/// An operation that waits for the first semaphores and raises the second ones; 0 is none.
pub fn tokens(operation: Operation, wait: [u8; 3], signal: [u8; 3]) -> Instruction {
    Instruction {
        header: Header {
            layer: 0,
            wait,
            signal,
        },
        operation,
    }
}
