//! Plays a program event by event: completions and starts in order of time, a cycle's completions
//! before its starts.
//!
//! What an engine forecasts holds until the next start of an instruction that takes ports from it;
//! since no start comes before the earliest event, the earliest event is never a mere forecast.

use std::collections::VecDeque;

use super::cost::{DECODE_CYCLES, FETCH_CYCLES, READ_LATENCY};
use super::dma::{Dma, Times, Transfer};
use super::load::LoadProgress;
use super::matrix::Matrix;
use super::ports::Ports;
use super::queue::{FETCH_UNIT, MATRIX, QUEUES, Queue, STORE, VECTOR};
use super::schedule::{Counters, Schedule, Slot, Stuck, Waits};
use super::semaphores::{signals, waits};
use super::store::StoreProgress;
use super::vector::Vector;
use crate::geometry::Geometry;
use crate::isa::{Instruction, MemoryId, Operation, QUEUE_DEPTH, SEMAPHORE_MAX, SEMAPHORES};

/// Read ports that LOAD can have.
const LOADS: usize = 4;
/// Instructions of a queue between start and completion, at most (`fqbert_queue.sv`).
const IN_FLIGHT: usize = 64;

/// An instruction that has started.
#[derive(Clone, Copy, Debug)]
struct Flight {
    index: u32,
    /// `None`: the engine's oldest, whose times may move.
    times: Option<Times>,
}

#[derive(Default)]
struct QueueState {
    /// Dispatched, not started.
    waiting: VecDeque<u32>,
    /// Start times of what has left, newest last, to know when a place became free.
    left: VecDeque<u64>,
    flights: VecDeque<Flight>,
    /// The cycle after the last start, and one in which something in flight made place.
    free: u64,
    last_retire: u64,
}

/// A token of a semaphore: when it was raised, by which unit.
type Token = (u64, usize);

struct Player<'a> {
    g: &'a Geometry,
    instructions: &'a [Instruction],
    queues: [QueueState; QUEUES],
    tokens: Vec<VecDeque<Token>>,
    next: usize,
    dispatch_time: u64,
    loads: [Dma<LoadProgress>; LOADS],
    store: Dma<StoreProgress>,
    matrix: Matrix,
    vector: Vector,
    ports: Ports,
    schedule: Schedule,
}

/// Plays a program with the times of an ideal memory.
pub(super) fn play(g: &Geometry, instructions: &[Instruction]) -> Result<Schedule, Stuck> {
    let mut player = Player {
        g,
        instructions,
        queues: Default::default(),
        tokens: vec![VecDeque::new(); SEMAPHORES],
        next: 0,
        dispatch_time: READ_LATENCY + DECODE_CYCLES,
        loads: Default::default(),
        store: Dma::default(),
        matrix: Matrix::default(),
        vector: Vector::default(),
        ports: Ports::default(),
        schedule: Schedule {
            order: Vec::with_capacity(instructions.len()),
            timeline: vec![Slot::default(); instructions.len()],
            cycles: 0,
            counters: Counters::default(),
            waits: Waits::default(),
        },
    };
    loop {
        player.dispatch();
        let retire = (0..QUEUES).filter_map(|q| player.retire_time(q).map(|t| (t, q)));
        let retire = retire.min();
        let start = (0..QUEUES).filter_map(|q| player.start_time(q).map(|t| (t, q)));
        match (retire, start.min()) {
            (Some((at, queue)), start) if start.is_none_or(|(start, _)| at <= start) => {
                player.retire(queue, at)?;
            }
            (_, Some((at, queue))) => player.start(queue, at),
            _ if player.schedule.order.len() == instructions.len() => break,
            _ => return Err(player.deadlock()),
        }
    }
    let ends = player.queues.iter().map(|q| q.last_retire);
    player.schedule.cycles = ends.max().unwrap_or(0);
    Ok(player.schedule)
}

impl Player<'_> {
    /// Moves instructions from FETCH into their queues while there is a place whose time is known.
    fn dispatch(&mut self) {
        while let Some(instruction) = self.instructions.get(self.next) {
            let queue = Queue::of(&instruction.operation);
            let state = &mut self.queues[queue.index()];
            if state.waiting.len() == QUEUE_DEPTH {
                return;
            }
            // The place was freed by the start of the instruction QUEUE_DEPTH earlier in this
            // queue.
            let occupied_by = QUEUE_DEPTH - state.waiting.len();
            let freed = if state.left.len() >= occupied_by {
                let at = state.left.len() - occupied_by;
                state.left.get(at).copied().unwrap_or(0)
            } else {
                0
            };
            let earliest = self.dispatch_time + FETCH_CYCLES;
            let time = earliest.max(freed + 1);
            let counters = &mut self.schedule.counters;
            counters.busy[FETCH_UNIT] += FETCH_CYCLES;
            counters.stall[FETCH_UNIT] += time - earliest;
            counters.retired[FETCH_UNIT] += 1;
            self.schedule.waits.stall[FETCH_UNIT][queue.unit()] += time - earliest;
            self.dispatch_time = time;
            self.schedule.timeline[self.next].queued = time;
            state.waiting.push_back(self.next as u32);
            self.next += 1;
        }
    }

    /// Times of the oldest instruction in flight.
    fn times(&self, queue: usize) -> Option<Times> {
        let flight = self.queues[queue].flights.front()?;
        flight.times.or_else(|| match queue {
            VECTOR => self.vector.front(),
            STORE => self.store.front(),
            port => self.loads.get(port).and_then(Dma::front),
        })
    }

    fn retire_time(&self, queue: usize) -> Option<u64> {
        // A queue retires in order, one instruction a cycle.
        let times = self.times(queue)?;
        Some(times.retire.max(self.queues[queue].last_retire + 1))
    }

    fn engine_free(&self, queue: usize) -> u64 {
        match queue {
            MATRIX => self.matrix.free(),
            VECTOR => self.vector.free(),
            STORE => self.store.free(),
            port => self.loads.get(port).map_or(0, Dma::free),
        }
    }

    /// When the instruction at the head of a queue could start if no semaphore held it.
    fn at_head(&self, queue: usize, index: u32) -> u64 {
        self.engine_free(queue)
            .max(self.queues[queue].free)
            .max(self.schedule.timeline[index as usize].queued)
    }

    /// When the head of a queue starts, if what it waits for has happened.
    fn start_time(&self, queue: usize) -> Option<u64> {
        let state = &self.queues[queue];
        let index = *state.waiting.front()?;
        let instruction = self.instructions.get(index as usize)?;
        if state.flights.len() == IN_FLIGHT {
            return None;
        }
        let (since, _) = self.up(instruction)?;
        Some(self.at_head(queue, index).max(since))
    }

    /// What an instruction waits for last, if all of it has happened.
    fn up(&self, instruction: &Instruction) -> Option<Token> {
        let mut last = (0, FETCH_UNIT);
        // The same semaphore may be waited for twice: the second wait takes the second token.
        let mut taken = [0usize; SEMAPHORES];
        for id in waits(instruction) {
            last = last.max(*self.tokens[id].get(taken[id])?);
            taken[id] += 1;
        }
        if matches!(instruction.operation, Operation::End(_)) {
            let quiet = self.queues.iter().all(|q| q.flights.is_empty());
            if !quiet || self.schedule.order.len() + 1 < self.next {
                return None;
            }
            let retired = self.queues.iter().enumerate();
            last = last.max(retired.map(|(q, s)| (s.last_retire, q + 1)).max()?);
        }
        Some(last)
    }

    fn start(&mut self, queue: usize, at: u64) {
        let Some(index) = self.queues[queue].waiting.front().copied() else {
            return;
        };
        let instruction = &self.instructions[index as usize];
        let head = self.at_head(queue, index);
        let unit = queue + 1;
        self.schedule.counters.stall[unit] += at - head;
        if let Some((_, by)) = self.up(instruction) {
            self.schedule.waits.stall[unit][by] += at - head;
        }
        for id in waits(instruction) {
            self.tokens[id].pop_front();
        }
        self.schedule.timeline[index as usize].start = at;
        self.schedule.order.push(index);
        let times = self.execute(&instruction.operation, queue, at);
        let state = &mut self.queues[queue];
        state.waiting.pop_front();
        state.left.push_back(at);
        if state.left.len() > QUEUE_DEPTH {
            state.left.pop_front();
        }
        state.free = state.free.max(at + 1);
        state.flights.push_back(Flight { index, times });
    }

    /// Gives an operation to its engine; its times if they are fixed from the start.
    fn execute(&mut self, operation: &Operation, queue: usize, at: u64) -> Option<Times> {
        let transfer = |memory: u8, address, beats: u32| Transfer {
            start: at,
            memory: MemoryId::from_code(memory).unwrap_or(MemoryId::Par),
            address,
            beats: u64::from(beats),
        };
        match operation {
            Operation::Nop(_) | Operation::End(_) => Some(Times {
                free: at + 1,
                retire: at + 1,
                held: 0,
            }),
            Operation::Load(l) => {
                let load = &mut self.loads[queue % LOADS];
                load.start(transfer(l.memory, l.address, l.beats), &self.ports);
                None
            }
            Operation::Store(s) => {
                self.store
                    .start(transfer(s.memory, s.address, s.beats), &self.ports);
                None
            }
            Operation::Matmul(m) => {
                let times = self.matrix.start(self.g, m, at, &mut self.ports);
                if self.vector.is_open() {
                    self.vector.refresh(&mut self.ports, at);
                }
                self.ports_changed(at);
                Some(times)
            }
            Operation::Softmax(s) => Some(self.vector.start_softmax(s, at)),
            Operation::Layernorm(l) => {
                self.vector.start_layer_norm(self.g, l, at, &mut self.ports);
                self.ports_changed(at);
                None
            }
        }
    }

    /// Another instruction takes ports from cycle `now` on.
    fn ports_changed(&mut self, now: u64) {
        for load in &mut self.loads {
            if load.is_open() {
                load.refresh(&self.ports, now);
            }
        }
        if self.store.is_open() {
            self.store.refresh(&self.ports, now);
        }
        let loads = self.loads.iter().map(|l| l.horizon(now));
        let horizon = loads.min().unwrap_or(now);
        let others = self.store.horizon(now).min(self.vector.horizon(now));
        self.ports.forget(horizon.min(others));
    }

    fn retire(&mut self, queue: usize, at: u64) -> Result<(), Stuck> {
        let (Some(times), Some(flight)) = (
            self.times(queue),
            self.queues[queue].flights.front().copied(),
        ) else {
            return Ok(());
        };
        let index = flight.index;
        if flight.times.is_none() {
            match queue {
                VECTOR => self.vector.take(&mut self.ports, at),
                STORE => self.store.take(&self.ports, at),
                port => self.loads[port % LOADS].take(&self.ports, at),
            }
        }
        let state = &mut self.queues[queue];
        if state.flights.len() == IN_FLIGHT {
            state.free = state.free.max(at);
        }
        state.flights.pop_front();
        state.last_retire = at;
        let unit = queue + 1;
        let slot = &mut self.schedule.timeline[index as usize];
        slot.issue_end = times.free;
        slot.retire = at;
        self.schedule.counters.busy[unit] += slot.issue_end - slot.start;
        self.schedule.counters.retired[unit] += 1;
        self.schedule.waits.ports[unit] += times.held;
        for id in signals(&self.instructions[index as usize]) {
            self.tokens[id].push_back((at, unit));
            if self.tokens[id].len() as u32 > SEMAPHORE_MAX {
                return Err(Stuck::Overflow {
                    instruction: index,
                    semaphore: id as u8,
                    order: std::mem::take(&mut self.schedule.order),
                });
            }
        }
        Ok(())
    }

    fn deadlock(mut self) -> Stuck {
        let heads = (0..QUEUES)
            .filter_map(|q| {
                let head = self.queues[q].waiting.front();
                head.map(|i| (Queue(q as u8), *i))
            })
            .collect();
        let mut semaphores = Box::new([0; SEMAPHORES]);
        for (count, tokens) in semaphores.iter_mut().zip(&self.tokens) {
            *count = tokens.len() as u32;
        }
        Stuck::Deadlock {
            heads,
            semaphores,
            order: std::mem::take(&mut self.schedule.order),
        }
    }
}
