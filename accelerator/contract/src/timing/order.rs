//! Other orders in which ready queues could be served.

use fqbert_random::Random;

use std::collections::VecDeque;

use super::queue::{QUEUES, Queue};
use super::schedule::Stuck;
use super::semaphores::{signals, waits};
use crate::isa::{Instruction, Operation, QUEUE_DEPTH, SEMAPHORE_MAX, SEMAPHORES};

/// An order of execution drawn from `seed`, among those that queues and semaphores allow.
///
/// # Errors
/// The order does not come to its end. That of a verified program always does: its counts are
/// bounded, and as a semaphore has one producer and one consumer queue, no choice takes anything
/// from another. Another program may end with one timing and not with another.
pub(super) fn draw(instructions: &[Instruction], seed: u64) -> Result<Vec<u32>, Stuck> {
    let mut random = Random::new(seed);
    let mut queues: [VecDeque<u32>; QUEUES] = Default::default();
    let mut counts = [0u32; SEMAPHORES];
    let mut next = 0;
    let mut order = Vec::with_capacity(instructions.len());
    while order.len() < instructions.len() {
        while let Some(instruction) = instructions.get(next) {
            let queue = &mut queues[Queue::of(&instruction.operation).index()];
            if queue.len() == QUEUE_DEPTH {
                break;
            }
            queue.push_back(next as u32);
            next += 1;
        }
        let heads = queues.iter().filter_map(|q| q.front().copied());
        let ready: Vec<(u32, Option<u8>)> = heads
            .filter_map(|index| {
                let instruction = &instructions[index as usize];
                let ends = matches!(instruction.operation, Operation::End(_));
                let overflow = may_start(instruction, &counts)?;
                (!ends || order.len() + 1 >= next).then_some((index, overflow))
            })
            .collect();
        // A producer of a semaphore at its maximum waits while others can start: its consumer has
        // time to take. Where none can, this timing overflows it.
        let bounded: Vec<u32> = ready
            .iter()
            .filter(|(_, overflow)| overflow.is_none())
            .map(|(index, _)| *index)
            .collect();
        let index = match (bounded.as_slice(), ready.as_slice()) {
            ([], []) => return Err(deadlock(&queues, &counts, order)),
            ([], [(instruction, semaphore), ..]) => {
                order.push(*instruction);
                return Err(Stuck::Overflow {
                    instruction: *instruction,
                    semaphore: semaphore.unwrap_or(0),
                    order,
                });
            }
            (some, _) => some[(random.next_u64() % some.len() as u64) as usize],
        };
        let instruction = &instructions[index as usize];
        queues[Queue::of(&instruction.operation).index()].pop_front();
        for id in waits(instruction) {
            counts[id] -= 1;
        }
        for id in signals(instruction) {
            counts[id] += 1;
        }
        order.push(index);
    }
    Ok(order)
}

fn deadlock(queues: &[VecDeque<u32>], counts: &[u32; SEMAPHORES], order: Vec<u32>) -> Stuck {
    let heads = queues.iter().enumerate();
    Stuck::Deadlock {
        heads: heads
            .filter_map(|(q, waiting)| Some((Queue(q as u8), *waiting.front()?)))
            .collect(),
        semaphores: Box::new(*counts),
        order,
    }
}

/// If its semaphores are up, the first that it would raise above its maximum.
fn may_start(instruction: &Instruction, counts: &[u32; SEMAPHORES]) -> Option<Option<u8>> {
    let mut after = *counts;
    for id in waits(instruction) {
        after[id] = after[id].checked_sub(1)?;
    }
    for id in signals(instruction) {
        after[id] += 1;
    }
    let over = after.iter().position(|count| *count > SEMAPHORE_MAX);
    Some(over.map(|id| id as u8))
}
