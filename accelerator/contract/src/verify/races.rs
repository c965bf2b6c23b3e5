//! Conflicting accesses that nothing orders, and reads of what nobody wrote, by the vector clocks
//! of [`super::clocks`].
//!
//! An instruction knows of another queue's instruction when a chain of semaphores leads from that
//! one's completion to its own start. In its own queue it knows that every earlier one has started,
//! and reads before it and writes in order with it, but not that it has completed: MATRIX and
//! VECTOR overlap the drain of one instruction with the next. So within a queue only a read of an
//! earlier write needs a semaphore.
//!
//! Words of on-chip memories, and beats of the output region: the other two regions are written by
//! nobody.

use std::collections::HashMap;

use super::clocks::{Clock, Event, QueuePositions, Step};
use super::footprint::{Area, Footprint, footprint};
use super::violation::{Place, Violation};
use super::written::Written;
use crate::geometry::Geometry;
use crate::isa::{BEAT_BYTES, MemoryId, Operation};
use crate::program::{Program, Region};
use crate::timing::QUEUES;

/// Who wrote a word last, and who of each queue read it last since. Numbers are places in a queue,
/// from 1; 0 is nobody.
#[derive(Clone, Copy, Default)]
struct Word {
    writer: u32,
    writer_queue: u8,
    readers: [u32; QUEUES],
}

/// Two instructions without an order.
struct Unordered {
    other: (usize, u32),
    hazard: &'static str,
}

/// What a read or write of a word runs into.
enum Clash {
    Unordered(Unordered),
    Unwritten,
}

impl Word {
    /// Notes a read.
    fn read(&mut self, event: Event, clock: &Clock) -> Option<Clash> {
        let writer = (usize::from(self.writer_queue), self.writer);
        self.readers[event.queue] = event.position + 1;
        if writer.1 == 0 {
            return Some(Clash::Unwritten);
        }
        let unordered = writer.1 > clock[writer.0];
        unordered.then_some(Clash::Unordered(Unordered {
            other: writer,
            hazard: "read after write",
        }))
    }

    /// Notes a write. Readers that are ordered before it need not be remembered; those of other
    /// queues that are not are reported.
    fn write(&mut self, event: Event, clock: &Clock) -> Option<Clash> {
        let writer = (usize::from(self.writer_queue), self.writer);
        let unordered = |&(queue, number): &(usize, u32)| {
            queue != event.queue && number > clock[queue] && number > 0
        };
        let clash = if unordered(&writer) {
            Some((writer, "write after write"))
        } else {
            let mut readers = self.readers.iter().copied().enumerate();
            readers.find(unordered).map(|r| (r, "write after read"))
        };
        *self = Self {
            writer: event.position + 1,
            writer_queue: event.queue as u8,
            readers: [0; QUEUES],
        };
        clash.map(|(other, hazard)| Clash::Unordered(Unordered { other, hazard }))
    }
}

/// Everything that is remembered of words, beats and bytes.
pub(super) struct Accesses<'a> {
    g: &'a Geometry,
    /// By memory's code, as far as the program reaches.
    words: Vec<Vec<Word>>,
    /// Beats of the output region.
    output: HashMap<u64, Word>,
    bytes: Written,
    /// By instruction: the region of its relocation.
    regions: HashMap<u32, Region>,
    /// By queue, the instructions that go to it.
    queues: [Vec<u32>; QUEUES],
}

impl<'a> Accesses<'a> {
    pub fn new(g: &'a Geometry, program: &Program) -> Self {
        let mut depths = [0usize; MEMORY_CODES];
        let mut queues: [Vec<u32>; QUEUES] = Default::default();
        let mut positions = QueuePositions::default();
        for (index, instruction) in (0..).zip(&program.instructions) {
            queues[positions.next(instruction).0].push(index);
            let Footprint { reads, writes } = footprint(g, &instruction.operation);
            for area in reads.iter().chain(&writes) {
                let depth = &mut depths[usize::from(area.memory.code())];
                *depth = area.last().map_or(0, |last| last as usize + 1).max(*depth);
            }
        }
        let depth = |memory: MemoryId| depths[usize::from(memory.code())];
        Self {
            g,
            bytes: Written::new(g, depth(MemoryId::Act), depth(MemoryId::Opd)),
            words: depths.iter().map(|d| vec![Word::default(); *d]).collect(),
            output: HashMap::new(),
            regions: program
                .relocations
                .iter()
                .map(|r| (r.instruction, r.region))
                .collect(),
            queues,
        }
    }

    /// Notes what an instruction touches; at most one violation for each of its areas.
    pub fn step(&mut self, step: &Step<'_>, found: &mut Vec<Violation>) {
        let Step {
            event,
            instruction,
            started,
            ..
        } = step;
        let Footprint { reads, writes } = footprint(self.g, &instruction.operation);
        let before = found.len();
        for area in &reads {
            let clash = self.first_clash(area, |word| word.read(*event, started));
            found.extend(clash.map(|(word, c)| self.violation(*event, Place::word(area, word), c)));
        }
        if found.len() == before
            && let Some((memory, word)) = self.bytes.missing(&instruction.operation)
        {
            let place = Place::Word(memory, word);
            found.push(self.violation(*event, place, Clash::Unwritten));
        }
        for area in &writes {
            let clash = self.first_clash(area, |word| word.write(*event, started));
            found.extend(clash.map(|(word, c)| self.violation(*event, Place::word(area, word), c)));
        }
        self.bytes.write(&instruction.operation);
        self.output(step, found);
    }

    fn first_clash(
        &mut self,
        area: &Area,
        mut note: impl FnMut(&mut Word) -> Option<Clash>,
    ) -> Option<(u64, Clash)> {
        let words = self.words.get_mut(usize::from(area.memory.code()))?;
        area.words().find_map(|at| {
            let clash = note(words.get_mut(at as usize)?)?;
            Some((at, clash))
        })
    }

    /// LOADs from the output region and STOREs to it.
    fn output(&mut self, step: &Step<'_>, found: &mut Vec<Violation>) {
        let Step { event, started, .. } = step;
        let operation = &step.instruction.operation;
        let Some((start, end)) = Program::memory_access(operation) else {
            return;
        };
        if self.regions.get(&event.index) != Some(&Region::Output) {
            return;
        }
        let stores = matches!(operation, Operation::Store(_));
        let beat = BEAT_BYTES as u64;
        for at in start / beat..end.div_ceil(beat) {
            let word = self.output.entry(at).or_default();
            let clash = if stores {
                word.write(*event, started)
            } else {
                word.read(*event, started)
            };
            if let Some(clash) = clash {
                let place = Place::Output(at * beat);
                found.push(self.violation(*event, place, clash));
                return;
            }
        }
    }

    fn violation(&self, event: Event, place: Place, clash: Clash) -> Violation {
        match clash {
            Clash::Unwritten => Violation::Uninitialised {
                index: event.index,
                place,
            },
            Clash::Unordered(Unordered { other, hazard }) => {
                let (queue, number) = other;
                let other = self.queues[queue].get(number as usize - 1);
                let other = other.copied().unwrap_or(event.index);
                Violation::Race {
                    first: other.min(event.index),
                    second: other.max(event.index),
                    place,
                    hazard,
                }
            }
        }
    }
}

/// Memories are told apart by four bits.
const MEMORY_CODES: usize = 16;
