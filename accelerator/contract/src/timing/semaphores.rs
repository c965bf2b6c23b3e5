//! The semaphores of an instruction.

use crate::isa::{Instruction, SEMAPHORES};

/// Semaphores an instruction waits for, as indices.
pub fn waits(instruction: &Instruction) -> impl Iterator<Item = usize> {
    indices(instruction.header.wait)
}

/// Semaphores an instruction raises, as indices.
pub fn signals(instruction: &Instruction) -> impl Iterator<Item = usize> {
    indices(instruction.header.signal)
}

fn indices(ids: [u8; 3]) -> impl Iterator<Item = usize> {
    let used = ids.into_iter().filter(|id| *id != 0);
    used.map(|id| usize::from(id) % SEMAPHORES)
}
