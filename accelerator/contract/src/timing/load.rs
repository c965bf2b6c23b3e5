//! LOAD's beats (`fqbert_load.sv`): a beat is taken from the bus into a register and from there
//! written, when VECTOR and MATRIX leave the memory's port. The bus gives a beat a cycle, the first
//! of a burst [`READ_LATENCY`] cycles after it was issued.

use super::bursts::{Bursts, burst_beats};
use super::cost::{READ_LATENCY, START_CYCLES};
use super::dma::{Progress, Times, Transfer};
use super::ports::{Ports, contended};
use crate::isa::BEAT_BYTES;

/// The transfer under way.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    address: u64,
    /// Beats to come.
    left: u64,
    /// Of them in this burst.
    burst: u64,
    /// First cycle in which a beat of this burst can be taken.
    available: u64,
    held: u64,
}

/// How far a LOAD queue has come.
#[derive(Clone, Debug, Default)]
pub(super) struct LoadProgress {
    bursts: Bursts,
    /// Cycle of the last write.
    written: u64,
    cursor: Option<Cursor>,
}

impl Progress for LoadProgress {
    fn advance(&mut self, transfer: &Transfer, ports: &Ports, until: u64) -> Option<Times> {
        let mut cursor = self.cursor.take().unwrap_or(Cursor {
            address: transfer.address,
            left: transfer.beats,
            burst: 0,
            available: 0,
            held: 0,
        });
        while cursor.left > 0 {
            if cursor.burst == 0 {
                cursor.burst = burst_beats(cursor.address, cursor.left);
                cursor.available = self.bursts.issue(transfer.start + 1) + READ_LATENCY;
            }
            let wanted = self.written.max(cursor.available) + 1;
            let window = ports.load(transfer.memory, wanted);
            // Where nobody else takes the port, nothing that may yet start matters.
            let certain = if contended(transfer.memory) {
                until
            } else {
                u64::MAX
            };
            if window.from > certain {
                self.cursor = Some(cursor);
                return None;
            }
            let beats = cursor
                .burst
                .min(window.until - window.from)
                .min((certain - window.from).saturating_add(1));
            cursor.held += window.from - wanted;
            self.written = window.from + beats - 1;
            cursor.burst -= beats;
            cursor.left -= beats;
            cursor.address = cursor.address.wrapping_add(beats * BEAT_BYTES as u64);
            if cursor.burst == 0 {
                // A beat is taken in the cycle in which the one before it is written.
                self.bursts.end(if beats > 1 {
                    self.written - 1
                } else {
                    wanted - 1
                });
            }
        }
        Some(Times {
            free: (transfer.start + START_CYCLES + transfer.beats).max(self.bursts.last_issue()),
            retire: self.written + 1,
            held: cursor.held,
        })
    }

    fn horizon(&self) -> u64 {
        self.written
    }
}
