//! Which bytes of the two memories that are written in part have been: ACT by channels, OPD by
//! channel and token. Words of the others are written whole.

use super::footprint::{self, Area};
use crate::geometry::Geometry;
use crate::isa::{Matmul, MemoryId, Operation};
use crate::operands::matmul_operands;

/// A bit for each lane: the contract has 8 (`geometry.toml`).
type Lanes = u8;
const ALL: Lanes = Lanes::MAX;

/// The lanes that `first..end` has in the word that begins at `start`.
fn lanes(first: u64, end: u64, start: u64) -> Lanes {
    let bits = Lanes::BITS.into();
    let low = first.saturating_sub(start).min(bits);
    let high = end.saturating_sub(start).min(bits);
    let below = |n: u64| ((1u16 << n) - 1) as Lanes;
    below(high) & !below(low)
}

pub(super) struct Written {
    lanes: u64,
    rows: u64,
    pairs: u64,
    /// By word: lanes written, in all rows.
    act: Vec<Lanes>,
    /// By word and pair.
    opd: Vec<Lanes>,
    geometry: Geometry,
}

impl Written {
    /// Nothing of so many words.
    pub fn new(g: &Geometry, act: usize, opd: usize) -> Self {
        Self {
            lanes: u64::from(g.lanes).max(1),
            rows: g.rows.into(),
            pairs: u64::from(g.pairs).max(1),
            act: vec![0; act],
            opd: vec![0; opd * g.pairs as usize],
            geometry: g.clone(),
        }
    }

    /// The first word of which an operation needs a byte that is not there.
    pub fn missing(&self, operation: &Operation) -> Option<(MemoryId, u64)> {
        let reads = footprint::footprint(&self.geometry, operation).reads;
        let act = reads.iter().filter(|a| a.memory == MemoryId::Act);
        let short = |word: &u64| self.act.get(*word as usize).is_none_or(|w| *w != ALL);
        if let Some(word) = act.flat_map(Area::words).find(short) {
            return Some((MemoryId::Act, word));
        }
        let Operation::Matmul(m) = operation else {
            return None;
        };
        if matmul_operands(m).1 != MemoryId::Opd {
            return None;
        }
        self.missing_operand(m).map(|word| (MemoryId::Opd, word))
    }

    /// Column tile j is of pairs j * C.., as far as there are channels.
    fn missing_operand(&self, m: &Matmul) -> Option<u64> {
        let (base, stride) = (u64::from(m.b_base), u64::from(m.b_stride));
        (0..u64::from(m.col_tiles)).find_map(|tile| {
            let left = u64::from(m.channels).saturating_sub(tile * self.pairs);
            let used = left.min(self.pairs);
            let first = base + tile * stride;
            (first..first + u64::from(m.k_chunks)).find(|word| {
                let at = (word * self.pairs) as usize;
                let pairs = self.opd.get(at..at + used as usize);
                pairs.is_none_or(|pairs| pairs.iter().any(|p| *p != ALL))
            })
        })
    }

    /// Notes what an operation writes.
    pub fn write(&mut self, operation: &Operation) {
        match operation {
            Operation::Matmul(m) if m.dest == Matmul::DEST_ACT => self.channels(m),
            Operation::Matmul(m) if m.dest == Matmul::DEST_KEYS => self.keys(m),
            Operation::Matmul(m) if m.dest == Matmul::DEST_VALUES => self.values(m),
            _ => {
                let writes = footprint::footprint(&self.geometry, operation).writes;
                let act = writes.iter().filter(|a| a.memory == MemoryId::Act);
                for word in act.flat_map(Area::words) {
                    if let Some(written) = self.act.get_mut(word as usize) {
                        *written = ALL;
                    }
                }
            }
        }
    }

    fn channels(&mut self, m: &Matmul) {
        let first = u64::from(m.dst_channel);
        let end = first + u64::from(m.channels);
        for tile in 0..u64::from(m.row_tiles) {
            let base = u64::from(m.dst_base) + tile * u64::from(m.dst_stride);
            for word in first / self.lanes..end.div_ceil(self.lanes) {
                if let Some(written) = self.act.get_mut((base + word) as usize) {
                    *written |= lanes(first, end, word * self.lanes);
                }
            }
        }
    }

    fn tokens(&self, m: &Matmul) -> std::ops::Range<u64> {
        let first = u64::from(m.row_tile0) * self.rows;
        first..first + u64::from(m.row_tiles) * self.rows
    }

    /// Token t is pair t mod C of key tile t / C; channels run along the words.
    fn keys(&mut self, m: &Matmul) {
        let first = u64::from(m.dst_channel);
        let end = first + u64::from(m.channels);
        for token in self.tokens(m) {
            let tile = token / self.pairs * u64::from(m.dst_stride) + u64::from(m.dst_base);
            for word in first / self.lanes..end.div_ceil(self.lanes) {
                let at = (tile + word) * self.pairs + token % self.pairs;
                if let Some(written) = self.opd.get_mut(at as usize) {
                    *written |= lanes(first, end, word * self.lanes);
                }
            }
        }
    }

    /// Channels take the pairs of one channel tile after the other; tokens run along the words.
    fn values(&mut self, m: &Matmul) {
        let tokens = self.tokens(m);
        for (tile, slot) in footprint::value_slots(m, self.pairs) {
            let base = u64::from(m.dst_base) + tile * u64::from(m.dst_stride);
            for word in tokens.start / self.lanes..tokens.end.div_ceil(self.lanes) {
                let at = (base + word) * self.pairs + slot;
                if let Some(written) = self.opd.get_mut(at as usize) {
                    *written |= lanes(tokens.start, tokens.end, word * self.lanes);
                }
            }
        }
    }
}
