//! Other orders in which ready queues could be served.

use fqbert_random::Random;

use std::collections::VecDeque;

use super::queue::{QUEUES, Queue};
use super::semaphores::{signals, waits};
use crate::isa::{Instruction, Operation, QUEUE_DEPTH, SEMAPHORE_MAX, SEMAPHORES};

/// An order of execution drawn from `seed`, among those that queues and semaphores allow. For a
/// program that comes to its end.
///
/// A semaphore has one producer and one consumer queue, so no choice takes anything from another:
/// every draw comes to the end too.
pub(super) fn draw(instructions: &[Instruction], seed: u64) -> Vec<u32> {
    let mut random = Random::new(seed);
    let mut queues: [VecDeque<u32>; QUEUES] = Default::default();
    let mut counts = [0u32; SEMAPHORES];
    let mut next = 0;
    let mut order = Vec::with_capacity(instructions.len());
    loop {
        while let Some(instruction) = instructions.get(next) {
            let queue = &mut queues[Queue::of(&instruction.operation).index()];
            if queue.len() == QUEUE_DEPTH {
                break;
            }
            queue.push_back(next as u32);
            next += 1;
        }
        let ready: Vec<usize> = (0..QUEUES)
            .filter(|q| {
                queues[*q].front().is_some_and(|index| {
                    let instruction = &instructions[*index as usize];
                    let ends = matches!(instruction.operation, Operation::End(_));
                    may_start(instruction, &counts) && (!ends || order.len() + 1 >= next)
                })
            })
            .collect();
        if ready.is_empty() {
            return order;
        }
        let queue = ready[(random.next_u64() % ready.len() as u64) as usize];
        let Some(index) = queues[queue].pop_front() else {
            return order;
        };
        let instruction = &instructions[index as usize];
        for id in waits(instruction) {
            counts[id] -= 1;
        }
        for id in signals(instruction) {
            counts[id] += 1;
        }
        order.push(index);
    }
}

/// Whether its semaphores are up, and none that it raises is at its maximum, which its consumer has
/// time to prevent.
fn may_start(instruction: &Instruction, counts: &[u32; SEMAPHORES]) -> bool {
    let mut after = *counts;
    let mut up = true;
    for id in waits(instruction) {
        up &= after[id] > 0;
        after[id] = after[id].saturating_sub(1);
    }
    for id in signals(instruction) {
        after[id] += 1;
    }
    up && after.iter().all(|count| *count <= SEMAPHORE_MAX)
}
