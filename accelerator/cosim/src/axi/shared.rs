//! What the ports of a device share: the memory, its bandwidth and back-pressure, and what was
//! carried.

use fqbert_random::Random;
use fqbert_simulated::{AxiFault, Ddr};

use super::timing::MemoryTiming;

/// Bytes of a beat.
pub(crate) const BEAT: usize = fqbert_contract::isa::BEAT_BYTES;

/// What all ports share.
pub(crate) struct Shared<'a> {
    pub(crate) ddr: &'a mut dyn Ddr,
    pub(crate) memory: &'a MemoryTiming,
    pub(crate) stall: &'a mut Stall,
    pub(crate) bandwidth: &'a mut Bandwidth,
    pub(crate) now: u64,
}

/// Random back-pressure: in bursts of cycles, so that both long stalls and single bubbles occur.
pub(crate) struct Stall {
    random: Option<Random>,
}

impl Stall {
    /// None where there is no source of randomness.
    pub(crate) fn new(random: Option<Random>) -> Self {
        Self { random }
    }

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
    pub(crate) fn new(per_cycle: Option<u64>) -> Self {
        Self {
            per_cycle,
            credit: 0,
        }
    }

    /// A cycle begins.
    pub(crate) fn tick(&mut self) {
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

impl Traffic {
    pub(crate) const NONE: Self = Self {
        start: u64::MAX,
        end: 0,
        write_start: u64::MAX,
        write_end: 0,
        beats_read: 0,
        beats_written: 0,
    };
}
