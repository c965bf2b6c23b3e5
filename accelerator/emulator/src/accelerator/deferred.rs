//! What the accelerator does with the MATMULs held back and the weights lent ([`super::joined`]).

use fqbert_contract::isa::{FaultCause, Layernorm, Matmul, Operation};
use fqbert_contract::operands::weight_slot;

use super::joined::{Held, LentWeights, Waiting};
use super::{Accelerator, axi_cause};
use crate::kernels;
use fqbert_simulated::{AxiFault, Ddr};

/// A vector without elements, whose allocation is used again for elements that live shorter.
#[derive(Debug, Default)]
pub(super) struct Recycled(Vec<kernels::Member<'static>>);

impl Recycled {
    /// Keeps the allocation.
    fn of(mut members: Vec<kernels::Member<'_>>) -> Self {
        members.clear();
        Self(relabelled(members))
    }

    /// Takes the allocation.
    fn reused<'a>(self) -> Vec<kernels::Member<'a>> {
        relabelled(self.0)
    }
}

/// An empty vector with another lifetime. Collected in place: what is collected comes from a vector
/// of the same layout (the test of allocations would notice if it did not).
fn relabelled<'a>(empty: Vec<kernels::Member<'_>>) -> Vec<kernels::Member<'a>> {
    empty.into_iter().map_while(|_| None).collect()
}

impl Accelerator {
    /// Executes `m`, or holds it back.
    pub(super) fn matmul(&mut self, m: &Matmul, ddr: &dyn Ddr) -> Result<(), (FaultCause, u64)> {
        if !self
            .norms
            .may_wait_for(&self.geometry, &Operation::Matmul(*m))
        {
            self.execute_waiting(ddr)?;
        }
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

    /// The words that the weights of `m` are a part of.
    fn lent_words(&self, m: &Matmul) -> Option<LentWeights> {
        let lent = self.lent[usize::from(m.b_slot & 3)].as_ref()?;
        let first = usize::from(m.b_base);
        let tiles = usize::from(m.col_tiles).max(1) - 1;
        let end = first + tiles * usize::from(m.b_stride) + usize::from(m.k_chunks);
        let inside = lent.words.start <= first && end <= lent.words.end;
        (!m.b_opd && inside).then(|| lent.clone())
    }

    /// Executes `l`, or holds it back.
    pub(super) fn layer_norm(
        &mut self,
        l: &Layernorm,
        ddr: &dyn Ddr,
    ) -> Result<(), (FaultCause, u64)> {
        if kernels::joins(self.kernel) {
            if self.norms.hold(&self.geometry, l) {
                return Ok(());
            }
            self.execute_waiting(ddr)?;
            if self.norms.hold(&self.geometry, l) {
                return Ok(());
            }
        }
        self.execute_waiting(ddr)?;
        self.execute_layer_norm(l);
        Ok(())
    }

    fn execute_layer_norm(&mut self, l: &Layernorm) {
        let (g, memories) = (&self.geometry, &mut self.memories);
        kernels::layer_norm(g, l, memories, &mut self.workspace, self.kernel);
    }

    /// Executes what waits: the MATMULs, then the LAYERNORMs.
    pub(super) fn execute_waiting(&mut self, ddr: &dyn Ddr) -> Result<(), (FaultCause, u64)> {
        let norms = self.norms.take();
        self.execute_matmuls(ddr)?;
        if let Some(norms) = norms {
            self.execute_layer_norm(&norms);
        }
        Ok(())
    }

    fn execute_matmuls(&mut self, ddr: &dyn Ddr) -> Result<(), (FaultCause, u64)> {
        if self.waiting.members.is_empty() {
            return Ok(());
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut members = std::mem::take(&mut self.members).reused();
        let executed = self.execute_held(&waiting, &mut members, ddr);
        self.members = Recycled::of(members);
        waiting.clear();
        self.waiting = waiting;
        executed
    }

    /// Executes the MATMULs of `waiting`; `members` are filled on the way.
    fn execute_held<'a>(
        &mut self,
        waiting: &'a Waiting,
        members: &mut Vec<kernels::Member<'a>>,
        ddr: &'a dyn Ddr,
    ) -> Result<(), (FaultCause, u64)> {
        let (all, begun) = (waiting.members.len(), waiting.begun);
        for Held {
            matmul, weights, ..
        } in &waiting.members
        {
            let word = self.memories.word_bytes(weight_slot(matmul.b_slot));
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
        weights: LentWeights,
        bytes: usize,
        ddr: &dyn Ddr,
    ) -> Result<bool, (FaultCause, u64)> {
        let old = self.lent[slot].as_ref().map(|old| old.words.clone());
        let replaced =
            old.is_none_or(|old| weights.words.start <= old.start && old.end <= weights.words.end);
        if !replaced {
            self.fill_slot(slot, ddr)?;
        }
        if !kernels::joins(self.kernel) {
            return Ok(false);
        }
        let lends = ddr.lends(weights.address, bytes);
        let lends = lends.map_err(|e| (axi_cause(e), weights.address))?;
        self.lent[slot] = lends.then_some(weights);
        Ok(lends)
    }

    /// Copies to a weight slot what it stands for.
    pub(super) fn fill_slot(
        &mut self,
        slot: usize,
        ddr: &dyn Ddr,
    ) -> Result<(), (FaultCause, u64)> {
        let Some(LentWeights { address, words }) = self.lent[slot].take() else {
            return Ok(());
        };
        let memory = weight_slot(slot as u8);
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
