//! Cycles of each instruction and of a program, as formulas of the geometry.
//!
//! The formulas are those of `docs/fabric.md`; the RTL must take exactly these cycles when the memory answers without
//! back-pressure and with [`READ_LATENCY`]. [`simulate`] plays a program through the queues: FETCH dispatches in program order, each
//! queue starts its instructions in order, an instruction starts when its semaphores are up. Because a semaphore has one producer and
//! one consumer queue, the result does not depend on the order in which ready queues are looked at.

use std::collections::VecDeque;

use crate::geometry::Geometry;
use crate::isa::{
    Engine, Instruction, Layernorm, Load, Matmul, Operation, QUEUE_DEPTH, SEMAPHORE_MAX,
    SEMAPHORES, Softmax, Store,
};

/// Cycles from a read burst's address to its first beat (DDR and interconnect, about 280 ns at 214 MHz).
pub const READ_LATENCY: u64 = 60;
/// Cycles from the last beat of a write burst to its response.
pub const WRITE_LATENCY: u64 = 40;
/// Cycles FETCH needs for an instruction: two beats of 128 bits.
pub const FETCH_CYCLES: u64 = 2;
/// Cycles from an instruction's second beat to its place in a queue: buffer, and the field check's pipeline.
pub const DECODE_CYCLES: u64 = 10;
/// Cycles an engine needs between taking an instruction and its first element.
pub const START_CYCLES: u64 = 2;
/// Matrix pipeline beside the cascade: two of block RAM, two of operand registers, two of the DSP's own.
pub const MATRIX_PIPELINE: u64 = 6;
/// Requantization pipeline: join, bias, multiply (3), shift, saturate, table, write.
pub const REQUANTIZE_PIPELINE: u64 = 9;
/// Softmax, per row tile beside its columns: divider (18) and pipeline.
pub const SOFTMAX_OVERHEAD: u64 = 26;
/// Layer norm, per row tile beside its channels and rows: pipelines of variance, root and output.
pub const LAYER_NORM_OVERHEAD: u64 = 24;

/// Number of units that have counters.
pub const UNITS: usize = 8;

/// A queue of the fabric: LOAD0..LOAD3, MATRIX, VECTOR, STORE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Queue(u8);

/// Number of queues.
pub const QUEUES: usize = 7;

impl Queue {
    /// The queue an operation goes to, ports above the geometry's included (the verifier refuses them).
    pub fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Load(l) => Self(l.port & 3),
            Operation::Nop(n) if n.engine == Engine::Load.code() => Self(n.port & 3),
            Operation::Nop(n) if n.engine == Engine::Matrix.code() => Self(4),
            Operation::Nop(n) if n.engine == Engine::Vector.code() => Self(5),
            Operation::Matmul(_) => Self(4),
            Operation::Softmax(_) | Operation::Layernorm(_) => Self(5),
            Operation::Store(_) | Operation::End(_) | Operation::Nop(_) => Self(6),
        }
    }

    /// 0..7: LOAD0..LOAD3, MATRIX, VECTOR, STORE.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Index of its counters in the registers (FETCH is 0).
    pub fn unit(self) -> usize {
        self.index() + 1
    }

    /// Name for listings.
    pub fn name(self) -> &'static str {
        [
            "LOAD0", "LOAD1", "LOAD2", "LOAD3", "MATRIX", "VECTOR", "STORE",
        ][self.index()]
    }
}

/// Name of the unit that has counters `unit`.
pub fn unit_name(unit: usize) -> &'static str {
    [
        "FETCH", "LOAD0", "LOAD1", "LOAD2", "LOAD3", "MATRIX", "VECTOR", "STORE",
    ]
    .get(unit)
    .copied()
    .unwrap_or("?")
}

/// What an instruction costs, in cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The engine is occupied: the next instruction of its queue can start this much later.
    pub issue: u64,
    /// From start until all effects are visible and the signals rise; at least `issue`.
    pub latency: u64,
}

/// Cost of an operation on a geometry.
pub fn cost(g: &Geometry, operation: &Operation) -> Cost {
    match operation {
        Operation::Nop(_) | Operation::End(_) => Cost {
            issue: 1,
            latency: 1,
        },
        Operation::Load(l) => load_cost(l),
        Operation::Store(s) => store_cost(s),
        Operation::Matmul(m) => matmul_cost(g, m),
        Operation::Softmax(s) => softmax_cost(g, s),
        Operation::Layernorm(l) => layer_norm_cost(g, l),
    }
}

fn load_cost(l: &Load) -> Cost {
    let issue = START_CYCLES + u64::from(l.beats);
    Cost {
        issue,
        latency: issue + READ_LATENCY,
    }
}

fn store_cost(s: &Store) -> Cost {
    let issue = START_CYCLES + u64::from(s.beats);
    Cost {
        issue,
        latency: issue + WRITE_LATENCY,
    }
}

/// Cycles the drain of one tile takes: one channel pair a cycle (8x4) or two (8x8), times the writes a column of R tokens needs in OPD.
pub fn drain_cycles(g: &Geometry, m: &Matmul) -> u64 {
    let columns = u64::from(if m.mode8 { g.pairs / 2 } else { g.pairs });
    let writes = if matches!(m.dest, 3 | 4) {
        u64::from(g.rows / g.operand_tokens())
    } else {
        1
    };
    columns * writes
}

fn matmul_cost(g: &Geometry, m: &Matmul) -> Cost {
    let drain = drain_cycles(g, m);
    let tiles = u64::from(m.row_tiles) * u64::from(m.col_tiles);
    let issue = START_CYCLES + tiles * u64::from(m.k_chunks).max(drain);
    let latency = issue + u64::from(g.lanes) + MATRIX_PIPELINE + drain + REQUANTIZE_PIPELINE;
    Cost { issue, latency }
}

fn softmax_cost(g: &Geometry, s: &Softmax) -> Cost {
    debug_assert!(g.rows > 0);
    let beat = u64::from(s.columns) / 2 + SOFTMAX_OVERHEAD;
    let tiles = u64::from(s.row_tiles);
    // Three passes (maximum, exponential and sum, normalise) work on three row tiles at once.
    Cost {
        issue: START_CYCLES + tiles * beat,
        latency: START_CYCLES + (tiles + 2) * beat,
    }
}

fn layer_norm_cost(g: &Geometry, l: &Layernorm) -> Cost {
    let beat =
        u64::from(l.channels) / u64::from(g.ln_channels) + u64::from(g.rows) + LAYER_NORM_OVERHEAD;
    let tiles = u64::from(l.row_tiles);
    // Two passes (add and statistics, normalise) work on two row tiles at once.
    Cost {
        issue: START_CYCLES + tiles * beat,
        latency: START_CYCLES + (tiles + 1) * beat,
    }
}

/// In which order [`simulate`] looks at queues that could start an instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The queue whose head starts first.
    #[default]
    Earliest,
    /// Any, drawn by a generator from this seed: a program that lacks a semaphore gives other results under some seed.
    Seeded(u64),
}

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

/// A program played through the queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Executing whole instructions one after the other in this order has the fabric's result.
    pub order: Vec<u32>,
    /// By index of instruction.
    pub timeline: Vec<Slot>,
    /// From the doorbell to the interrupt.
    pub cycles: u64,
    /// The counter registers.
    pub counters: Counters,
}

/// Why a program does not come to its end.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Stuck {
    /// Every queue's head waits for a semaphore that nothing will raise: the fabric stays busy until reset.
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
        /// Instructions that did execute, in order, the raising one last.
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

struct Player<'a> {
    g: &'a Geometry,
    instructions: &'a [Instruction],
    queues: [VecDeque<u32>; QUEUES],
    /// Start times of what has left each queue, newest last, to know when a place became free.
    left: [VecDeque<u64>; QUEUES],
    engine_free: [u64; QUEUES],
    last_retire: [u64; QUEUES],
    /// Times at which each semaphore was raised and not yet taken.
    tokens: Vec<VecDeque<u64>>,
    next: usize,
    dispatch_time: u64,
    schedule: Schedule,
}

/// Plays `instructions` through the queues of `g`. END completes when everything before it has.
pub fn simulate(
    g: &Geometry,
    instructions: &[Instruction],
    policy: Policy,
) -> Result<Schedule, Stuck> {
    let mut player = Player {
        g,
        instructions,
        queues: Default::default(),
        left: Default::default(),
        engine_free: [0; QUEUES],
        last_retire: [0; QUEUES],
        tokens: vec![VecDeque::new(); SEMAPHORES],
        next: 0,
        dispatch_time: READ_LATENCY + DECODE_CYCLES,
        schedule: Schedule {
            order: Vec::with_capacity(instructions.len()),
            timeline: vec![Slot::default(); instructions.len()],
            cycles: 0,
            counters: Counters::default(),
        },
    };
    let mut random = match policy {
        Policy::Earliest => None,
        Policy::Seeded(seed) => Some(SplitMix(seed)),
    };
    while player.schedule.order.len() < instructions.len() {
        player.dispatch();
        let ready = player.ready();
        let choice = match &mut random {
            None => ready.iter().min_by_key(|(start, q)| (*start, *q)).copied(),
            Some(_) if ready.is_empty() => None,
            Some(r) => Some(ready[(r.next() % ready.len() as u64) as usize]),
        };
        match choice {
            Some((start, queue)) => player.execute(queue, start)?,
            None => return Err(player.deadlock()),
        }
    }
    player.schedule.cycles = player.last_retire.iter().copied().max().unwrap_or(0);
    Ok(player.schedule)
}

impl Player<'_> {
    /// Moves instructions from FETCH into their queues while there is a place whose time is known.
    fn dispatch(&mut self) {
        while let Some(instruction) = self.instructions.get(self.next) {
            let queue = Queue::of(&instruction.operation).index();
            if self.queues[queue].len() == QUEUE_DEPTH {
                return;
            }
            // The place was freed by the start of the instruction QUEUE_DEPTH earlier in this queue.
            let occupied_by = QUEUE_DEPTH - self.queues[queue].len();
            let freed = if self.left[queue].len() >= occupied_by {
                let at = self.left[queue].len() - occupied_by;
                self.left[queue].get(at).copied().unwrap_or(0)
            } else {
                0
            };
            let time = (self.dispatch_time + FETCH_CYCLES).max(freed + 1);
            self.schedule.counters.busy[0] += FETCH_CYCLES;
            self.schedule.counters.stall[0] += time - self.dispatch_time - FETCH_CYCLES;
            self.schedule.counters.retired[0] += 1;
            self.dispatch_time = time;
            self.schedule.timeline[self.next].queued = time;
            self.queues[queue].push_back(self.next as u32);
            self.next += 1;
        }
    }

    /// Queues whose head can start, with the time.
    fn ready(&self) -> Vec<(u64, usize)> {
        (0..QUEUES)
            .filter_map(|q| self.start_time(q).map(|t| (t, q)))
            .collect()
    }

    fn start_time(&self, queue: usize) -> Option<u64> {
        let index = *self.queues[queue].front()?;
        let instruction = self.instructions.get(index as usize)?;
        if matches!(instruction.operation, Operation::End(_))
            && self.schedule.order.len() + 1 < self.next
        {
            return None;
        }
        let mut time = self.at_head(queue, index);
        // The same semaphore may be waited for twice: the second wait takes the second token.
        let mut taken = [0usize; SEMAPHORES];
        for id in waits(instruction) {
            let token = self.tokens[id].get(taken[id])?;
            taken[id] += 1;
            time = time.max(*token);
        }
        if matches!(instruction.operation, Operation::End(_)) {
            time = time.max(self.last_retire.iter().copied().max().unwrap_or(0));
        }
        Some(time)
    }

    /// When the instruction at the head of a queue could start if no semaphore held it.
    fn at_head(&self, queue: usize, index: u32) -> u64 {
        self.engine_free[queue].max(self.schedule.timeline[index as usize].queued)
    }

    fn execute(&mut self, queue: usize, start: u64) -> Result<(), Stuck> {
        let Some(index) = self.queues[queue].pop_front() else {
            return Ok(());
        };
        let instruction = &self.instructions[index as usize];
        for id in waits(instruction) {
            self.tokens[id].pop_front();
        }
        let cost = cost(self.g, &instruction.operation);
        let unit = queue + 1;
        let head = self.at_head(queue, index);
        let counters = &mut self.schedule.counters;
        counters.busy[unit] += cost.issue;
        counters.stall[unit] += start - head;
        counters.retired[unit] += 1;
        // A queue retires in order, one instruction a cycle.
        let retire = (start + cost.latency).max(self.last_retire[queue] + 1);
        let slot = &mut self.schedule.timeline[index as usize];
        slot.start = start;
        slot.issue_end = start + cost.issue;
        slot.retire = retire;
        self.engine_free[queue] = start + cost.issue;
        self.last_retire[queue] = retire;
        self.left[queue].push_back(start);
        if self.left[queue].len() > QUEUE_DEPTH {
            self.left[queue].pop_front();
        }
        self.schedule.order.push(index);
        for id in signals(instruction) {
            self.tokens[id].push_back(retire);
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
            .filter_map(|q| self.queues[q].front().map(|i| (Queue(q as u8), *i)))
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

/// Semaphores an instruction waits for, as indices.
pub fn waits(instruction: &Instruction) -> impl Iterator<Item = usize> {
    instruction
        .header
        .wait
        .into_iter()
        .filter(|id| *id != 0)
        .map(|id| usize::from(id) % SEMAPHORES)
}

/// Semaphores an instruction raises, as indices.
pub fn signals(instruction: &Instruction) -> impl Iterator<Item = usize> {
    instruction
        .header
        .signal
        .into_iter()
        .filter(|id| *id != 0)
        .map(|id| usize::from(id) % SEMAPHORES)
}

/// Sebastiano Vigna's SplitMix64: a seed gives the same order on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
