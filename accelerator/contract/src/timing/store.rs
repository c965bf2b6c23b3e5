//! STORE's beats (`fqbert_store.sv`): a beat is read when VECTOR and MATRIX leave the memory's
//! port, is in a buffer of eight three cycles later, and leaves it for the bus once its burst's
//! address is out. The burst's response comes [`WRITE_LATENCY`] cycles after its last beat.

use std::collections::VecDeque;

use super::bursts::{Bursts, burst_beats};
use super::cost::{START_CYCLES, WRITE_LATENCY};
use super::dma::{Progress, Times, Transfer};
use super::ports::Ports;
use crate::isa::BEAT_BYTES;

/// Beats between a read and the bus.
const BUFFER: usize = 8;
/// From a read to the cycle in which its beat can leave.
const READ_TO_BUS: u64 = 3;
/// From a burst's issue to the cycle in which its beats can leave.
const ISSUE_TO_BUS: u64 = 2;
/// From the last beat of a burst to the cycle in which its response is booked; the data's register
/// and the response's take the rest.
const RESPONSE: u64 = WRITE_LATENCY - 2;

/// The transfer under way.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    address: u64,
    /// Beats to read.
    left: u64,
    /// Of them in this burst.
    burst: u64,
    /// First cycle in which beats of this burst can leave.
    addressed: u64,
    /// No read before this cycle.
    earliest: u64,
    held: u64,
}

/// How far the STORE queue has come.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreProgress {
    bursts: Bursts,
    /// Cycle of the last read.
    read: u64,
    /// Cycles in which the newest beats left, oldest first.
    sent: VecDeque<u64>,
    response: u64,
    cursor: Option<Cursor>,
}

impl StoreProgress {
    fn last_sent(&self) -> u64 {
        self.sent.back().copied().unwrap_or(0)
    }

    /// First cycle in which the buffer has a place.
    fn place(&self) -> u64 {
        if self.sent.len() < BUFFER {
            0
        } else {
            self.sent.front().map_or(0, |at| at + 1)
        }
    }

    fn send(&mut self, at: u64) {
        self.sent.push_back(at);
        if self.sent.len() > BUFFER {
            self.sent.pop_front();
        }
    }
}

impl Progress for StoreProgress {
    fn advance(&mut self, transfer: &Transfer, ports: &Ports, until: u64) -> Option<Times> {
        let mut cursor = self.cursor.take().unwrap_or(Cursor {
            address: transfer.address,
            left: transfer.beats,
            burst: 0,
            addressed: 0,
            earliest: transfer.start + 1,
            held: 0,
        });
        while cursor.left > 0 {
            if cursor.burst == 0 {
                cursor.burst = burst_beats(cursor.address, cursor.left);
                cursor.addressed = self.bursts.issue(transfer.start + 1) + ISSUE_TO_BUS;
            }
            let wanted = cursor.earliest.max(self.place());
            let window = ports.store(transfer.memory, wanted);
            if window.from > until {
                self.cursor = Some(cursor);
                return None;
            }
            // Nothing but the read holds a beat up: neither those before it nor the burst's
            // address.
            let reaches = window.from + READ_TO_BUS;
            let flows = self.last_sent() < reaches && cursor.addressed <= reaches;
            let flows = flows && self.last_sent() <= self.read + READ_TO_BUS;
            let beats = if flows {
                cursor
                    .burst
                    .min(window.until - window.from)
                    .min((until - window.from).saturating_add(1))
            } else {
                1
            };
            cursor.held += window.from - wanted;
            self.read = window.from + beats - 1;
            cursor.earliest = self.read + 1;
            let sent = (self.read + READ_TO_BUS)
                .max(self.last_sent() + 1)
                .max(cursor.addressed);
            let kept = beats.min(BUFFER as u64);
            for back in (0..kept).rev() {
                self.send(sent - back);
            }
            cursor.burst -= beats;
            cursor.left -= beats;
            cursor.address = cursor.address.wrapping_add(beats * BEAT_BYTES as u64);
            if cursor.burst == 0 {
                self.response = (sent + RESPONSE).max(self.response + 1);
                self.bursts.end(self.response);
            }
        }
        let occupied = transfer.start + START_CYCLES + transfer.beats;
        Some(Times {
            free: occupied.max(self.bursts.last_issue()).max(self.read + 1),
            retire: self.response + 1,
            held: cursor.held,
        })
    }

    fn horizon(&self) -> u64 {
        self.read
    }
}
