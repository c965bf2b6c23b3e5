//! Which instructions are known to have completed when another starts: vector clocks over the
//! queues.
//!
//! A queue starts its instructions in order and retires them in order. A semaphore has one producer
//! and one consumer queue, so its n-th take comes after its n-th raise, whatever the timing. These
//! are the only edges used: what they order is ordered in every timing. That a full queue holds
//! FETCH is left out, which can only make more pairs unordered.

use std::collections::VecDeque;

use crate::isa::{Instruction, SEMAPHORES};
use crate::timing::{self, QUEUES, Queue};

/// For each queue, how many of its instructions are known to have completed.
pub(super) type Clock = [u32; QUEUES];

/// The `position`-th instruction of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub queue: usize,
    pub position: u32,
    /// In the program.
    pub index: u32,
}

/// An instruction with what is known at two moments of its life.
pub(super) struct Step<'a> {
    pub event: Event,
    pub instruction: &'a Instruction,
    /// Completed when it starts.
    pub started: Clock,
    /// Completed when it has: itself and the earlier ones of its queue too.
    pub completed: Clock,
}

/// The instructions in `order`, which is one that queues and semaphores allow.
pub(super) fn steps<'a>(
    instructions: &'a [Instruction],
    order: &'a [u32],
) -> impl Iterator<Item = Step<'a>> {
    let mut clocks: [Clock; QUEUES] = Default::default();
    let mut executed = [0u32; QUEUES];
    let mut tokens: Vec<VecDeque<Clock>> = vec![VecDeque::new(); SEMAPHORES];
    order.iter().filter_map(move |&index| {
        let instruction = instructions.get(index as usize)?;
        let queue = Queue::of(&instruction.operation).index();
        for id in timing::waits(instruction) {
            if let Some(known) = tokens[id].pop_front() {
                for (mine, theirs) in clocks[queue].iter_mut().zip(known) {
                    *mine = (*mine).max(theirs);
                }
            }
        }
        let event = Event {
            queue,
            position: executed[queue],
            index,
        };
        executed[queue] += 1;
        let started = clocks[queue];
        let mut completed = started;
        completed[queue] = executed[queue];
        for id in timing::signals(instruction) {
            tokens[id].push_back(completed);
        }
        Some(Step {
            event,
            instruction,
            started,
            completed,
        })
    })
}

/// Counts the instructions of each queue.
#[derive(Default)]
pub(super) struct QueuePositions([u32; QUEUES]);

impl QueuePositions {
    /// The queue of the next instruction of the program, and how many before it went there.
    pub fn next(&mut self, instruction: &Instruction) -> (usize, u32) {
        let queue = Queue::of(&instruction.operation).index();
        let position = self.0[queue];
        self.0[queue] += 1;
        (queue, position)
    }
}
