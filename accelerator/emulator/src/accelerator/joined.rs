//! MATMULs held back, to be executed as one, and weights that stay where DDR has them until then.
//!
//! A program cuts a matrix into what a weight slot holds, and where the next unit waits for the
//! first rows, into row tiles. On a CPU each of these instructions is too little for several
//! threads, and each LOAD copies what is read once. So a device keeps in mind which bytes of DDR a
//! slot stands for, and holds MATMULs back as long as nothing else could see whether they have been
//! executed.

use std::ops::Range;

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Matmul, MemoryId};
use fqbert_numerics::requant::Requant;

use crate::kernels;
use crate::memories::Memories;

/// Where DDR has the words of a weight slot that were not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LentWeights {
    /// Of the first byte in DDR.
    pub address: u64,
    pub words: Range<usize>,
}

/// A MATMUL held back.
#[derive(Debug)]
pub struct Held {
    pub matmul: Matmul,
    pub weights: LentWeights,
    /// Of PAR, when its parameters were read.
    params: u64,
}

/// MATMULs held back: neighbouring channels of the same rows, then perhaps the same channels of the
/// rows behind them.
#[derive(Debug, Default)]
pub struct Waiting {
    pub members: Vec<Held>,
    /// Of the channels of all members.
    pub params: Vec<Requant>,
    /// How often the rows of the first member follow one another with all members.
    pub steps: usize,
    /// Members of one more such step.
    pub begun: usize,
}

impl Waiting {
    /// Holds nothing back any more; what it allocated stays.
    pub fn clear(&mut self) {
        self.members.clear();
        self.params.clear();
        (self.steps, self.begun) = (0, 0);
    }

    /// Holds `m` back, whose slot stands for `weights`; false if it must not be together with those
    /// that are.
    pub fn hold(
        &mut self,
        g: &Geometry,
        m: &Matmul,
        weights: &LentWeights,
        memories: &Memories,
    ) -> bool {
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
    pub fn moved(&self, m: &Matmul, steps: usize) -> Option<Matmul> {
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
    pub fn channels(&self, members: usize) -> usize {
        let held = self.members.iter().take(members);
        held.map(|held| usize::from(held.matmul.channels)).sum()
    }

    /// What the first `members` members on `steps` times their rows are together.
    pub fn whole(&self, members: usize, steps: usize) -> Option<Matmul> {
        let first = &self.members.first()?.matmul;
        Some(Matmul {
            channels: u16::try_from(self.channels(members)).ok()?,
            row_tiles: u8::try_from(steps * usize::from(first.row_tiles)).ok()?,
            ..*first
        })
    }
}

#[cfg(test)]
mod tests;
