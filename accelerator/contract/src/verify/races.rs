//! Data races between instructions that nothing orders, by vector clocks over the queues.
//!
//! An instruction knows of another queue's instruction when a chain of semaphores leads from that
//! one's completion to its own start. In its own queue it knows that every earlier one has started,
//! and reads before it and writes in order with it, but not that it has completed: MATRIX and
//! VECTOR overlap the drain of one instruction with the next. So within a queue only a read of an
//! earlier write needs a semaphore.

use std::collections::HashMap;

use crate::geometry::Geometry;
use crate::isa::{Instruction, MemoryId, SEMAPHORES};
use crate::timing::{self, QUEUES, Queue};
use crate::verify::footprint::footprint;
use crate::verify::violation::Violation;

/// For each queue, how many of its instructions are known to have completed.
type Clock = [u32; QUEUES];

/// The `position`-th instruction of a queue.
#[derive(Clone, Copy)]
struct Event {
    queue: usize,
    position: u32,
    index: u32,
}

impl Event {
    fn completed_in(&self, clock: &Clock) -> bool {
        clock[self.queue] > self.position
    }
}

#[derive(Clone, Default)]
struct Word {
    writer: Option<Event>,
    /// The last reader of each queue since the last write.
    readers: [Option<Event>; QUEUES],
}

struct Checker<'a> {
    words: HashMap<MemoryId, Vec<Word>>,
    found: &'a mut Vec<Violation>,
    limit: usize,
}

/// Checks instructions taken in `order`, a linearisation of their semaphores; adds at most `limit`
/// violations.
pub fn check(
    g: &Geometry,
    instructions: &[Instruction],
    order: &[u32],
    limit: usize,
    found: &mut Vec<Violation>,
) {
    let words = MemoryId::ALL
        .iter()
        .map(|m| (*m, vec![Word::default(); g.depth(*m) as usize]))
        .collect();
    let mut checker = Checker {
        words,
        found,
        limit,
    };
    let mut clocks: [Clock; QUEUES] = Default::default();
    let mut executed = [0u32; QUEUES];
    let mut tokens: Vec<std::collections::VecDeque<Clock>> = vec![Default::default(); SEMAPHORES];
    for &index in order {
        let Some(instruction) = instructions.get(index as usize) else {
            return;
        };
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
        checker.instruction(g, instruction, event, &clocks[queue]);
        if checker.found.len() >= limit {
            return;
        }
        // Completion of this one implies completion of the earlier ones of its queue: they retire
        // in order.
        let mut completed = clocks[queue];
        completed[queue] = executed[queue];
        for id in timing::signals(instruction) {
            tokens[id].push_back(completed);
        }
    }
}

impl Checker<'_> {
    fn instruction(
        &mut self,
        g: &Geometry,
        instruction: &Instruction,
        event: Event,
        clock: &Clock,
    ) {
        let footprint = footprint(g, &instruction.operation);
        for area in &footprint.reads {
            for word in area.words() {
                if !self.read(area.memory, word, event, clock) {
                    break;
                }
            }
        }
        for area in &footprint.writes {
            for word in area.words() {
                if !self.write(area.memory, word, event, clock) {
                    break;
                }
            }
        }
    }

    /// Notes a read; false when it is a violation, which is then reported once for the area.
    fn read(&mut self, memory: MemoryId, word: u64, event: Event, clock: &Clock) -> bool {
        let Some(state) = state(&mut self.words, memory, word) else {
            return true;
        };
        let violation = match state.writer {
            None => Some(Violation::Uninitialised {
                index: event.index,
                memory: memory.name(),
                word: word as u32,
            }),
            Some(writer) if !writer.completed_in(clock) => {
                Some(race(writer, event, memory, word, "read after write"))
            }
            Some(_) => None,
        };
        state.readers[event.queue] = Some(event);
        self.report(violation)
    }

    fn write(&mut self, memory: MemoryId, word: u64, event: Event, clock: &Clock) -> bool {
        let Some(state) = state(&mut self.words, memory, word) else {
            return true;
        };
        let unordered = |other: &Event| other.queue != event.queue && !other.completed_in(clock);
        let violation = match (
            state.writer,
            state.readers.iter().flatten().find(|r| unordered(r)),
        ) {
            (Some(writer), _) if unordered(&writer) => {
                Some(race(writer, event, memory, word, "write after write"))
            }
            (_, Some(reader)) => Some(race(*reader, event, memory, word, "write after read")),
            _ => None,
        };
        // Readers that are ordered before this write need not be remembered; those of other queues
        // that are not were reported.
        state.writer = Some(event);
        state.readers = Default::default();
        self.report(violation)
    }

    fn report(&mut self, violation: Option<Violation>) -> bool {
        match violation {
            None => true,
            Some(v) => {
                if self.found.len() < self.limit {
                    self.found.push(v);
                }
                false
            }
        }
    }
}

/// What is known of a word of a memory.
fn state(
    words: &mut HashMap<MemoryId, Vec<Word>>,
    memory: MemoryId,
    word: u64,
) -> Option<&mut Word> {
    words.get_mut(&memory)?.get_mut(word as usize)
}

fn race(a: Event, b: Event, memory: MemoryId, word: u64, hazard: &'static str) -> Violation {
    Violation::Race {
        first: a.index.min(b.index),
        second: a.index.max(b.index),
        memory: memory.name(),
        word: word as u32,
        hazard,
    }
}
