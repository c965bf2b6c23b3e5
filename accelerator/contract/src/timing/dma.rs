//! What LOAD and STORE share: transfers under way, of which a part is certain and the rest is a
//! forecast.
//!
//! A transfer yields the on-chip memory's port to engines whose instructions may start after it. So
//! it is moved forward only as far as those are known, up to now, and beyond from a copy that is
//! thrown away when another instruction starts.

use std::collections::VecDeque;

use super::ports::Ports;
use crate::isa::MemoryId;

/// When an engine is done with an instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// First cycle in which the engine can take the next.
    pub free: u64,
    /// Cycle in which it reports completion.
    pub retire: u64,
    /// Cycles in which it waited for a port that another unit took.
    pub held: u64,
}

/// A LOAD or a STORE.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    pub(super) start: u64,
    pub(super) memory: MemoryId,
    pub(super) address: u64,
    pub(super) beats: u64,
}

/// How far an engine has come.
pub(super) trait Progress: Clone {
    /// Moves `transfer` on, of which earlier calls may have moved a part, with accesses in cycles
    /// up to `until`. Its times if it is complete.
    fn advance(&mut self, transfer: &Transfer, ports: &Ports, until: u64) -> Option<Times>;

    /// The cycle before which it does not look at ports any more.
    fn horizon(&self) -> u64;
}

/// The transfers of a queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Dma<P> {
    settled: P,
    /// Not complete in `settled`, oldest first.
    open: VecDeque<Transfer>,
    /// Of transfers that are complete and have not been taken.
    complete: VecDeque<Times>,
    /// Of `open`.
    forecast: VecDeque<Times>,
    free: u64,
}

impl<P: Progress> Dma<P> {
    /// First cycle in which the engine can take an instruction.
    pub(super) fn free(&self) -> u64 {
        self.free
    }

    /// Whether anything here depends on who else takes ports.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The cycle before which it does not look at ports any more; `now` if it has nothing to do.
    pub(super) fn horizon(&self, now: u64) -> u64 {
        if self.open.is_empty() {
            now
        } else {
            self.settled.horizon().min(now)
        }
    }

    pub(super) fn start(&mut self, transfer: Transfer, ports: &Ports) {
        self.open.push_back(transfer);
        self.refresh(ports, transfer.start);
    }

    /// Forecasts anew, knowing all accesses up to cycle `now`.
    pub(super) fn refresh(&mut self, ports: &Ports, now: u64) {
        self.forecast.clear();
        while let Some(transfer) = self.open.front() {
            let Some(times) = self.settled.advance(transfer, ports, now) else {
                break;
            };
            self.open.pop_front();
            self.complete.push_back(times);
            self.free = times.free;
        }
        if self.open.is_empty() {
            return;
        }
        let mut copy = self.settled.clone();
        for transfer in &self.open {
            if let Some(times) = copy.advance(transfer, ports, u64::MAX) {
                self.forecast.push_back(times);
                self.free = times.free;
            }
        }
    }

    /// Times of the oldest transfer that has not been taken.
    pub(super) fn front(&self) -> Option<Times> {
        self.complete
            .front()
            .or_else(|| self.forecast.front())
            .copied()
    }

    /// Takes the oldest transfer, which completes at `now`.
    pub(super) fn take(&mut self, ports: &Ports, now: u64) {
        if self.complete.is_empty() {
            self.refresh(ports, now);
        }
        self.complete.pop_front();
    }
}
