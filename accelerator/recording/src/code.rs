//! Programs as they lie in device memory.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{INSTRUCTION_BYTES, Instruction, Operation, PROGRAM_MAX};
use fqbert_contract::verify::check_operation;

/// Why bytes are no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Its length is none of a program.
    #[error("a program has 1..={PROGRAM_MAX} instructions, this one {count}")]
    Length {
        /// Instructions it is said to have.
        count: u32,
    },
    /// It is not in memory that was reserved.
    #[error("the program of {count} instructions at {address:#x} lies in no buffer")]
    Outside {
        /// Its address.
        address: u64,
        /// Its instructions.
        count: u32,
    },
    /// An instruction is none of the contract or the geometry.
    #[error("instruction {index} is none: {reason}")]
    Instruction {
        /// Its index.
        index: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// The end is not where it must be.
    #[error("instruction {index}: END is the last instruction, and the only END")]
    End {
        /// The last instruction, or the first END.
        index: u32,
    },
    /// A LOAD or STORE whose bytes are in no buffer.
    #[error("instruction {index}: its bytes at {address:#x} lie in no buffer")]
    Address {
        /// Its index.
        index: u32,
        /// Its address.
        address: u64,
    },
    /// It does not come to its end.
    #[error("it does not come to its end: {reason}")]
    Stuck {
        /// The timing model's reason.
        reason: String,
    },
}

/// Bytes of a program of `count` instructions.
pub(crate) fn code_bytes(count: u32) -> Result<usize, CodeError> {
    match count {
        1..=PROGRAM_MAX => Ok(count as usize * INSTRUCTION_BYTES),
        _ => Err(CodeError::Length { count }),
    }
}

/// The instructions of a program that the geometry can execute.
pub(crate) fn decode(g: &Geometry, code: &[u8]) -> Result<Vec<Instruction>, CodeError> {
    let mut instructions = Vec::with_capacity(code.len() / INSTRUCTION_BYTES);
    for (index, bytes) in code.as_chunks::<INSTRUCTION_BYTES>().0.iter().enumerate() {
        let index = index as u32;
        let wrong = |reason: String| CodeError::Instruction { index, reason };
        let instruction = Instruction::from_bytes(bytes).map_err(|e| wrong(e.to_string()))?;
        check_operation(g, &instruction.operation).map_err(|e| wrong(e.to_string()))?;
        instructions.push(instruction);
    }
    let is_end = |i: &Instruction| matches!(i.operation, Operation::End(_));
    let last = instructions.len().saturating_sub(1);
    match instructions.iter().position(is_end) {
        Some(index) if index == last => Ok(instructions),
        other => Err(CodeError::End {
            index: other.unwrap_or(last) as u32,
        }),
    }
}

/// A program as bytes.
pub(crate) fn encode(instructions: &[Instruction]) -> Result<Vec<u8>, CodeError> {
    let mut code = Vec::with_capacity(instructions.len() * INSTRUCTION_BYTES);
    for (index, instruction) in instructions.iter().enumerate() {
        let bytes = instruction.to_bytes().map_err(|e| CodeError::Instruction {
            index: index as u32,
            reason: e.to_string(),
        })?;
        code.extend_from_slice(&bytes);
    }
    Ok(code)
}
