//! What the timing model says of a program.

use super::queue::{Queue, UNITS};
use crate::isa::{SEMAPHORE_MAX, SEMAPHORES};

/// When one instruction passed each point, in cycles since the doorbell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// FETCH put it into its queue.
    pub queued: u64,
    /// It left the queue's head.
    pub start: u64,
    /// Its engine could take the next.
    pub issue_end: u64,
    /// Its effects were visible.
    pub retire: u64,
}

/// The counter registers of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Cycles executing, by unit.
    pub busy: [u64; UNITS],
    /// Cycles with an instruction at the head that waits for a semaphore, by unit.
    pub stall: [u64; UNITS],
    /// Instructions completed, by unit.
    pub retired: [u64; UNITS],
}

/// What units waited for, which the counter registers do not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// `stall[unit][other]`: of the unit's stalled cycles, those for a semaphore that `other` was
    /// the last to raise; FETCH's: those for a place in the queue of `other`; END's: those for the
    /// last completion.
    pub stall: [[u64; UNITS]; UNITS],
    /// Cycles in which an access of the unit's stood before a port of an on-chip memory that
    /// another unit took.
    pub ports: [u64; UNITS],
}

/// What the simulation of a program in the queues gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Executing whole instructions one after the other in this order has the accelerator's result.
    pub order: Vec<u32>,
    /// By index of instruction.
    pub timeline: Vec<Slot>,
    /// From the doorbell to the interrupt.
    pub cycles: u64,
    /// The counter registers.
    pub counters: Counters,
    /// What was waited for.
    pub waits: Waits,
}

/// Why a program does not come to its end.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Stuck {
    /// Every queue's head waits for a semaphore that nothing will raise: the accelerator stays busy
    /// until reset.
    #[error("deadlock: {}", describe(heads, semaphores))]
    Deadlock {
        /// The heads that wait: queue and index of instruction.
        heads: Vec<(Queue, u32)>,
        /// Counts of the semaphores.
        semaphores: Box<[u32; SEMAPHORES]>,
        /// Instructions that did execute, in order.
        order: Vec<u32>,
    },
    /// A signal would raise a semaphore above its maximum.
    #[error("instruction {instruction} raises semaphore {semaphore} above {SEMAPHORE_MAX}")]
    Overflow {
        /// Index of the instruction.
        instruction: u32,
        /// The semaphore.
        semaphore: u8,
        /// Instructions that had started by then, in order.
        order: Vec<u32>,
    },
}

fn describe(heads: &[(Queue, u32)], semaphores: &[u32; SEMAPHORES]) -> String {
    let waiting: Vec<String> = heads
        .iter()
        .map(|(q, i)| format!("{} waits at instruction {i}", q.name()))
        .collect();
    let up: Vec<String> = semaphores
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(id, count)| format!("s{id}={count}"))
        .collect();
    format!("{}; semaphores up: [{}]", waiting.join(", "), up.join(" "))
}
