//! MATMULs held back, to be executed as one, and weights that stay where DDR has them until then.
//!
//! A program cuts a matrix into what a weight slot holds, and where the next unit waits for the
//! first rows, into row tiles. On a CPU each of these instructions is too little for several
//! threads, and each LOAD copies what is read once. So a device keeps in mind which bytes of DDR a
//! slot stands for, and holds MATMULs back as long as nothing else could see whether they have been
//! executed.

use std::ops::Range;

use fqbert_contract::Geometry;
use fqbert_contract::isa::{FaultCause, Matmul, MemoryId};
use fqbert_numerics::requant::Requant;

use super::{Accelerator, axi_cause};
use crate::kernels;
use crate::memories::Memories;
use fqbert_simulated::{AxiFault, Ddr};

/// What words of a weight slot stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Of the first byte in DDR.
    pub address: u64,
    pub words: Range<usize>,
}

/// A MATMUL held back.
#[derive(Debug)]
struct Held {
    matmul: Matmul,
    weights: Transfer,
    /// Of PAR, when its parameters were read.
    params: u64,
}

/// MATMULs held back: neighbouring channels of the same rows, then perhaps the same channels of the
/// rows behind them.
#[derive(Debug, Default)]
pub struct Waiting {
    members: Vec<Held>,
    /// Of the channels of all members.
    params: Vec<Requant>,
    /// How often the rows of the first member follow one another with all members.
    steps: usize,
    /// Members of one more such step.
    begun: usize,
}

impl Waiting {
    /// Holds `m` back, whose slot stands for `weights`; false if it must not be together with those
    /// that are.
    fn hold(&mut self, g: &Geometry, m: &Matmul, weights: &Transfer, memories: &Memories) -> bool {
        let params = memories.generation(MemoryId::Par);
        if self.members.is_empty() {
            self.steps = 1;
            self.begun = 0;
        } else if let Some(next) = self.members.get(self.begun)
            && self.moved(&next.matmul, self.steps).as_ref() == Some(m)
            && next.weights == *weights
            && next.params == params
        {
            if !self.in_any_order(g, self.steps + 1) {
                return false;
            }
            self.begun += 1;
            if self.begun == self.members.len() {
                (self.steps, self.begun) = (self.steps + 1, 0);
            }
            return true;
        } else if self.steps > 1 || self.begun > 0 || !self.follows(m) {
            return false;
        }
        self.members.push(Held {
            matmul: *m,
            weights: weights.clone(),
            params,
        });
        if !self.in_any_order(g, 1) {
            self.members.pop();
            return false;
        }
        kernels::add_params(memories, m, &mut self.params);
        true
    }

    /// Whether all members on `steps` times their rows can be executed as one.
    fn in_any_order(&self, g: &Geometry, steps: usize) -> bool {
        let members = self.members.iter().map(|held| &held.matmul);
        let whole = self.whole(self.members.len(), steps);
        whole.is_some_and(|whole| kernels::in_any_order(g, &whole, members))
    }

    /// `m` on the rows `steps` times those of the first member further.
    fn moved(&self, m: &Matmul, steps: usize) -> Option<Matmul> {
        let rows = steps * usize::from(m.row_tiles);
        let further = |base: u16, stride: u16| {
            u16::try_from(usize::from(base) + rows * usize::from(stride)).ok()
        };
        // Keys and values count their rows in a field of their own.
        let by_words = !matches!(m.dest, Matmul::DEST_KEYS | Matmul::DEST_VALUES);
        by_words.then_some(Matmul {
            a_base: further(m.a_base, m.a_stride)?,
            dst_base: further(m.dst_base, m.dst_stride)?,
            ..*m
        })
    }

    /// Whether the channels of `m` are those behind the last member's, of the same rows.
    fn follows(&self, m: &Matmul) -> bool {
        let Some(first) = self.members.first() else {
            return true;
        };
        let first = &first.matmul;
        let channel = usize::from(first.dst_channel) + self.channels(self.members.len());
        // Values say of each channel where it goes; others go side by side.
        let values = m.dest == Matmul::DEST_VALUES;
        // All that may differ: where weights and parameters lie, and how many channels there are.
        let alike = Matmul {
            b_slot: m.b_slot,
            b_base: m.b_base,
            b_stride: m.b_stride,
            col_tiles: m.col_tiles,
            channels: m.channels,
            par_base: m.par_base,
            uniform: m.uniform,
            dst_channel: m.dst_channel,
            dst_base: if values { m.dst_base } else { first.dst_base },
            ..*first
        };
        alike == *m && (values || usize::from(m.dst_channel) == channel)
    }

    /// Channels of the first `members` members.
    fn channels(&self, members: usize) -> usize {
        let held = self.members.iter().take(members);
        held.map(|held| usize::from(held.matmul.channels)).sum()
    }

    /// What the first `members` members on `steps` times their rows are together.
    fn whole(&self, members: usize, steps: usize) -> Option<Matmul> {
        let first = &self.members.first()?.matmul;
        Some(Matmul {
            channels: u16::try_from(self.channels(members)).ok()?,
            row_tiles: u8::try_from(steps * usize::from(first.row_tiles)).ok()?,
            ..*first
        })
    }
}

impl Accelerator {
    /// Executes `m`, or holds it back.
    pub(super) fn matmul(&mut self, m: &Matmul, ddr: &dyn Ddr) -> Result<(), (FaultCause, u64)> {
        if let Some(weights) = self.lent_words(m) {
            for _ in 0..2 {
                let held = self
                    .waiting
                    .hold(&self.geometry, m, &weights, &self.memories);
                if held {
                    return Ok(());
                }
                // Not together with those that wait; perhaps as the first of others.
                self.execute_waiting(ddr)?;
            }
        }
        self.execute_waiting(ddr)?;
        if !m.b_opd {
            self.fill_slot(usize::from(m.b_slot & 3), ddr)?;
        }
        let (g, memories) = (&self.geometry, &mut self.memories);
        kernels::matmul(g, m, memories, &mut self.workspace, self.kernel);
        Ok(())
    }

    /// The transfer that the weights of `m` are a part of.
    fn lent_words(&self, m: &Matmul) -> Option<Transfer> {
        let lent = self.lent[usize::from(m.b_slot & 3)].as_ref()?;
        let first = usize::from(m.b_base);
        let tiles = usize::from(m.col_tiles).max(1) - 1;
        let end = first + tiles * usize::from(m.b_stride) + usize::from(m.k_chunks);
        let inside = lent.words.start <= first && end <= lent.words.end;
        (!m.b_opd && inside).then(|| lent.clone())
    }

    /// Executes what waits.
    pub(super) fn execute_waiting(&mut self, ddr: &dyn Ddr) -> Result<(), (FaultCause, u64)> {
        let waiting = std::mem::take(&mut self.waiting);
        let (all, begun) = (waiting.members.len(), waiting.begun);
        let mut members = Vec::with_capacity(all);
        for Held {
            matmul, weights, ..
        } in &waiting.members
        {
            let word = self
                .memories
                .word_bytes(kernels::weight_slot(matmul.b_slot));
            let lent = ddr.lend(weights.address, weights.words.len() * word);
            let lent = lent.and_then(|lent| lent.ok_or(AxiFault::Decerr));
            members.push(kernels::Member {
                matmul,
                weights: lent.map_err(|e| (axi_cause(e), weights.address))?,
                first: (usize::from(matmul.b_base) - weights.words.start) * word,
                stride: usize::from(matmul.b_stride) * word,
            });
        }
        let complete = waiting.whole(all, waiting.steps);
        let rest = waiting.whole(begun, 1);
        let rest = rest.and_then(|rest| waiting.moved(&rest, waiting.steps));
        for (count, whole) in [(all, complete), (begun, rest)] {
            if let Some(whole) = whole.filter(|_| count > 0) {
                let params = &waiting.params[..waiting.channels(count)];
                kernels::matmul_joined(
                    &self.geometry,
                    &whole,
                    &members[..count],
                    params,
                    &mut self.memories,
                    &mut self.workspace,
                    self.kernel,
                );
            }
        }
        Ok(())
    }

    /// Leaves the words of a weight slot where DDR has them, if they can be used there; false if
    /// they are to be copied.
    pub(super) fn leave(
        &mut self,
        slot: usize,
        transfer: Transfer,
        bytes: usize,
        ddr: &dyn Ddr,
    ) -> Result<bool, (FaultCause, u64)> {
        let old = self.lent[slot].as_ref().map(|old| old.words.clone());
        let replaced = old
            .is_none_or(|old| transfer.words.start <= old.start && old.end <= transfer.words.end);
        if !replaced {
            self.fill_slot(slot, ddr)?;
        }
        if !kernels::joins(self.kernel) {
            return Ok(false);
        }
        let lent = ddr.lend(transfer.address, bytes);
        let lent = lent.map_err(|e| (axi_cause(e), transfer.address))?;
        self.lent[slot] = lent.map(|_| transfer);
        Ok(self.lent[slot].is_some())
    }

    /// Copies to a weight slot what it stands for.
    pub(super) fn fill_slot(
        &mut self,
        slot: usize,
        ddr: &dyn Ddr,
    ) -> Result<(), (FaultCause, u64)> {
        let Some(Transfer { address, words }) = self.lent[slot].take() else {
            return Ok(());
        };
        let memory = kernels::weight_slot(slot as u8);
        let bytes = words.len() * self.memories.word_bytes(memory);
        let target = self.memories.words_from_mut(memory, words.start as u16);
        let target = target
            .get_mut(..bytes)
            .ok_or((FaultCause::IllegalField, 0))?;
        ddr.read(address, target)
            .map_err(|e| (axi_cause(e), address))
    }

    /// Executes what waits and fills the slots: nothing is left to DDR, which may change now.
    pub(super) fn settle(&mut self, ddr: &dyn Ddr) -> Result<(), (FaultCause, u64)> {
        self.execute_waiting(ddr)?;
        (0..self.lent.len()).try_for_each(|slot| self.fill_slot(slot, ddr))
    }
}

#[cfg(test)]
mod tests;
