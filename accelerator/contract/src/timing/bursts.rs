//! The AXI4 bursts of a port, and how many may be open.

use std::collections::VecDeque;

use crate::isa::BEAT_BYTES;

/// Most beats of a burst, which never crosses a multiple of its largest size (`fqbert_burst.sv`).
const MAX_BEATS: u64 = 256;
/// Bursts after which no further one begins: it is counted two cycles after it was, so that one
/// more may be open (`OPEN_BURSTS`).
const OPEN: u64 = 31;

/// The bursts of a port up to now.
#[derive(Clone, Debug, Default)]
pub(super) struct Bursts {
    count: u64,
    last_issue: u64,
    /// Cycles in which the newest ended, oldest first.
    ends: VecDeque<u64>,
}

impl Bursts {
    /// Cycle in which the last burst left the unit that makes them, for the port's address channel.
    pub(super) fn last_issue(&self) -> u64 {
        self.last_issue
    }

    /// Issues a burst as soon as possible from `earliest` on. Every burst before it must have been
    /// given its end.
    pub(super) fn issue(&mut self, earliest: u64) -> u64 {
        let ended = |burst: u64| {
            let back = self.count - burst;
            self.ends[self.ends.len() - back as usize]
        };
        let mut at = earliest;
        if self.count > 0 {
            at = at.max(self.last_issue + 1);
            let follows = at == self.last_issue + 1;
            // The burst of the cycle before is not counted yet.
            if follows && self.count > OPEN && ended(self.count - OPEN - 1) >= at {
                at += 1;
            }
            if at > self.last_issue + 1 && self.count >= OPEN {
                at = at.max(ended(self.count - OPEN) + 1);
            }
        }
        self.count += 1;
        self.last_issue = at;
        at
    }

    /// The newest burst ends in cycle `at`: its last beat has come, or its response.
    pub(super) fn end(&mut self, at: u64) {
        self.ends.push_back(at);
        if self.ends.len() as u64 > OPEN + 1 {
            self.ends.pop_front();
        }
    }
}

/// Beats of the burst that begins a transfer of `left` beats at `address`.
pub(super) fn burst_beats(address: u64, left: u64) -> u64 {
    let into = address / BEAT_BYTES as u64 % MAX_BEATS;
    left.min(MAX_BEATS - into)
}
