//! The memory on the other side of the accelerator's AXI4 ports.
//!
//! Each port of 128 bits moves at most a beat of 16 bytes a cycle in each direction. A cycle goes:
//! [`Bus::drive`] reads the accelerator's outputs and sets its inputs; the clock edge;
//! [`Bus::commit`] books what was transferred at that edge. What the accelerator drives is checked
//! against the protocol all the time ([`Bus::violations`]).

mod check;
mod read;
mod shared;
mod timing;
mod write;

use fqbert_random::Random;
use fqbert_simulated::Ddr;

use crate::verilated::Verilated;
use read::ReadPort;
pub use shared::Traffic;
use shared::{Bandwidth, Shared, Stall};
pub use timing::MemoryTiming;
use write::WritePort;

/// All AXI4 ports of an accelerator.
pub(crate) struct Bus {
    memory: MemoryTiming,
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
    pub(crate) fn new(model: &Verilated, ports: usize, memory: MemoryTiming) -> Self {
        let mut reads = vec![ReadPort::new(model, "ctl", 0)];
        reads.extend((0..ports).map(|p| ReadPort::new(model, "load", p)));
        Self {
            stall: Stall::new(memory.seed.map(Random::new)),
            bandwidth: Bandwidth::new(memory.bandwidth),
            memory,
            reads,
            write: WritePort::new(model),
            now: 0,
            violations: Vec::new(),
            traffic: Traffic::NONE,
        }
    }

    /// Where the accelerator broke the protocol.
    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }

    /// What was carried.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Bursts that are open.
    pub(crate) fn open_bursts(&self) -> usize {
        self.write.open() + self.reads.iter().map(ReadPort::open).sum::<usize>()
    }

    /// The ports, and what they share.
    fn parts<'a>(&'a mut self, ddr: &'a mut dyn Ddr) -> Parts<'a> {
        Parts {
            reads: &mut self.reads,
            write: &mut self.write,
            traffic: &mut self.traffic,
            shared: Shared {
                ddr,
                memory: &self.memory,
                stall: &mut self.stall,
                bandwidth: &mut self.bandwidth,
                now: self.now,
            },
        }
    }

    pub(crate) fn drive(&mut self, model: &mut Verilated, ddr: &mut dyn Ddr) {
        self.bandwidth.tick();
        let mut parts = self.parts(ddr);
        for port in parts.reads {
            port.drive(model, &mut parts.shared);
        }
        parts.write.drive(model, &mut parts.shared);
    }

    pub(crate) fn commit(&mut self, ddr: &mut dyn Ddr) {
        let mut parts = self.parts(ddr);
        let mut found = Vec::new();
        for port in parts.reads {
            port.commit(&mut parts.shared, parts.traffic, &mut found);
        }
        parts
            .write
            .commit(&mut parts.shared, parts.traffic, &mut found);
        for violation in found {
            if self.violations.len() < VIOLATIONS {
                self.violations
                    .push(format!("cycle {}: {violation}", self.now));
            }
        }
        self.now += 1;
    }
}

/// A bus taken apart, so that its ports can be borrowed beside what they share.
struct Parts<'a> {
    reads: &'a mut [ReadPort],
    write: &'a mut WritePort,
    traffic: &'a mut Traffic,
    shared: Shared<'a>,
}
