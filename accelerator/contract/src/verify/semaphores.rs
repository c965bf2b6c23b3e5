//! Semaphores: one producer queue and one consumer queue each, as many takes as raises, and a count
//! that stays within its maximum in every timing.

use super::clocks::{QueuePositions, Step};
use super::violation::Violation;
use crate::isa::{Instruction, SEMAPHORE_MAX, SEMAPHORES};
use crate::timing::{self, Queue};

/// How often a semaphore is raised, or taken, and by which queue.
type Uses = [(usize, Option<Queue>); SEMAPHORES];

/// Checks owners and balance; the number of semaphores in use.
pub(super) fn check_owners(instructions: &[Instruction], found: &mut Vec<Violation>) -> usize {
    let mut raised: Uses = [(0, None); SEMAPHORES];
    let mut taken: Uses = [(0, None); SEMAPHORES];
    let mut count = |table: &mut Uses, id: usize, queue: Queue, index, role| {
        let Some((times, owner)) = table.get_mut(id) else {
            return;
        };
        *times += 1;
        match owner {
            None => *owner = Some(queue),
            Some(other) if *other != queue => found.push(Violation::Shared {
                index,
                semaphore: id,
                role,
                first: other.name(),
                second: queue.name(),
            }),
            Some(_) => {}
        }
    };
    for (index, instruction) in (0..).zip(instructions) {
        let queue = Queue::of(&instruction.operation);
        for id in timing::signals(instruction) {
            count(&mut raised, id, queue, index, "raised");
        }
        for id in timing::waits(instruction) {
            count(&mut taken, id, queue, index, "taken");
        }
    }
    let mut used = 0;
    for (semaphore, (up, down)) in raised.iter().zip(&taken).enumerate() {
        used += usize::from(up.0 + down.0 > 0);
        if up.0 != down.0 {
            found.push(Violation::Unbalanced {
                semaphore,
                raised: up.0,
                taken: down.0,
            });
        }
    }
    used
}

/// The highest count that each semaphore can have in any timing: when an instruction raises it, all
/// raises before have happened, and of the takes only those that this completion is forced to come
/// after.
pub(super) struct Counts {
    /// By semaphore, the places in the consumer's queue of the instructions that take it, in order
    /// and once for each take.
    takes: Vec<Vec<u32>>,
    consumer: [usize; SEMAPHORES],
    raised: [u32; SEMAPHORES],
}

impl Counts {
    pub fn new(instructions: &[Instruction]) -> Self {
        let mut takes = vec![Vec::new(); SEMAPHORES];
        let mut consumer = [0; SEMAPHORES];
        let mut positions = QueuePositions::default();
        for instruction in instructions {
            let (queue, position) = positions.next(instruction);
            for id in timing::waits(instruction) {
                takes[id].push(position);
                consumer[id] = queue;
            }
        }
        Self {
            takes,
            consumer,
            raised: [0; SEMAPHORES],
        }
    }

    /// Notes what an instruction raises.
    pub fn step(&mut self, step: &Step<'_>, found: &mut Vec<Violation>) {
        for id in timing::signals(step.instruction) {
            self.raised[id] += 1;
        }
        for id in timing::signals(step.instruction) {
            let known = step.completed[self.consumer[id]];
            let forced = self.takes[id].partition_point(|position| *position < known) as u32;
            let count = self.raised[id].saturating_sub(forced);
            if count > SEMAPHORE_MAX {
                found.push(Violation::Unbounded {
                    index: step.event.index,
                    semaphore: id,
                    count,
                });
                return;
            }
        }
    }
}
