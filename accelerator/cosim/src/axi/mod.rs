//! The memory on the other side of the accelerator's AXI4 ports.
//!
//! Each port of 128 bits moves at most a beat of 16 bytes a cycle in each direction. A cycle goes:
//! [`Bus::drive`] reads the accelerator's outputs and sets its inputs; the clock edge;
//! [`Bus::commit`] books what was transferred at that edge. What the accelerator drives is checked
//! against the protocol all the time ([`Bus::violations`]).

mod check;
mod options;
mod read;
mod write;

use fqbert_simulated::{AxiFault, Ddr};

use fqbert_random::Random;

use crate::model::Model;
pub use options::Memory;
use read::ReadPort;
use write::WritePort;

/// Bytes of a beat.
const BEAT: usize = fqbert_contract::isa::BEAT_BYTES;

/// What all ports share.
pub(crate) struct Shared<'a> {
    pub(crate) ddr: &'a mut dyn Ddr,
    pub(crate) memory: &'a Memory,
    pub(crate) stall: &'a mut Stall,
    pub(crate) bandwidth: &'a mut Bandwidth,
    pub(crate) now: u64,
}

/// Random back-pressure: in bursts of cycles, so that both long stalls and single bubbles occur.
pub(crate) struct Stall {
    random: Option<Random>,
}

impl Stall {
    /// Whether a handshake is held up in this cycle.
    pub(crate) fn now(&mut self) -> bool {
        self.random
            .as_mut()
            .is_some_and(|r| r.next_u64() % 100 < 35)
    }

    /// Cycles more of latency for a burst.
    pub(crate) fn jitter(&mut self) -> u64 {
        let Some(random) = &mut self.random else {
            return 0;
        };
        let most = if random.next_u64().is_multiple_of(8) {
            200
        } else {
            12
        };
        random.next_u64() % most
    }
}

/// Beats a cycle that all ports together may move, in hundredths; no bound if `None`.
pub(crate) struct Bandwidth {
    per_cycle: Option<u64>,
    credit: u64,
}

impl Bandwidth {
    fn tick(&mut self) {
        if let Some(per_cycle) = self.per_cycle {
            // Unused credit does not pile up beyond a few beats.
            self.credit = (self.credit + per_cycle).min(4 * per_cycle.max(100));
        }
    }

    pub(crate) fn take(&mut self) -> bool {
        if self.per_cycle.is_none() {
            return true;
        }
        let enough = self.credit >= 100;
        if enough {
            self.credit -= 100;
        }
        enough
    }
}

/// AXI4 response code (Arm IHI 0022, A3.4.4).
pub(crate) fn response(fault: Option<AxiFault>) -> u64 {
    match fault {
        None => 0b00,
        Some(AxiFault::Slverr) => 0b10,
        Some(AxiFault::Decerr) => 0b11,
    }
}

/// What the ports have carried since the bus was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Lowest address of any burst; above [`Self::end`] if there was none.
    pub start: u64,
    /// One past the highest address of any burst.
    pub end: u64,
    /// Lowest address of a write burst.
    pub write_start: u64,
    /// One past the highest address of a write burst.
    pub write_end: u64,
    /// Beats read.
    pub beats_read: u64,
    /// Beats written.
    pub beats_written: u64,
}

/// All AXI4 ports of a device.
pub struct Bus {
    memory: Memory,
    reads: Vec<ReadPort>,
    write: WritePort,
    stall: Stall,
    bandwidth: Bandwidth,
    now: u64,
    violations: Vec<String>,
    traffic: Traffic,
}

/// Not more are kept: the first says what is wrong.
const VIOLATIONS: usize = 16;

impl Bus {
    /// The ports of `model`: the control port and `ports` read ports.
    pub(crate) fn new(model: &Model, ports: usize, memory: Memory) -> Self {
        let mut reads = vec![ReadPort::new(model, "ctl", 0)];
        reads.extend((0..ports).map(|p| ReadPort::new(model, "load", p)));
        Self {
            stall: Stall {
                random: memory.seed.map(Random::new),
            },
            bandwidth: Bandwidth {
                per_cycle: memory.bandwidth,
                credit: 0,
            },
            memory,
            reads,
            write: WritePort::new(model),
            now: 0,
            violations: Vec::new(),
            traffic: Traffic {
                start: u64::MAX,
                end: 0,
                write_start: u64::MAX,
                write_end: 0,
                beats_read: 0,
                beats_written: 0,
            },
        }
    }

    /// Where the accelerator broke the protocol.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// What was carried.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Whether no burst is open.
    pub fn is_idle(&self) -> bool {
        self.write.is_idle() && self.reads.iter().all(ReadPort::is_idle)
    }

    /// Bursts that are open.
    pub fn open_bursts(&self) -> usize {
        self.write.open() + self.reads.iter().map(ReadPort::open).sum::<usize>()
    }

    pub(crate) fn drive(&mut self, model: &mut Model, ddr: &mut dyn Ddr) {
        self.bandwidth.tick();
        let mut shared = Shared {
            ddr,
            memory: &self.memory,
            stall: &mut self.stall,
            bandwidth: &mut self.bandwidth,
            now: self.now,
        };
        for port in &mut self.reads {
            port.drive(model, &mut shared);
        }
        self.write.drive(model, &mut shared);
    }

    pub(crate) fn commit(&mut self, ddr: &mut dyn Ddr) {
        let mut shared = Shared {
            ddr,
            memory: &self.memory,
            stall: &mut self.stall,
            bandwidth: &mut self.bandwidth,
            now: self.now,
        };
        let mut found = Vec::new();
        for port in &mut self.reads {
            port.commit(&mut shared, &mut self.traffic, &mut found);
        }
        self.write
            .commit(&mut shared, &mut self.traffic, &mut found);
        for violation in found {
            if self.violations.len() < VIOLATIONS {
                self.violations
                    .push(format!("cycle {}: {violation}", self.now));
            }
        }
        self.now += 1;
    }
}
