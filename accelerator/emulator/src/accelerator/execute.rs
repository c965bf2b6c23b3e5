//! What each instruction does to the memories.

use fqbert_contract::isa::{
    BEAT_BYTES, FaultCause, Load, MemoryId, Operation, Store, WEIGHT_SLOTS,
};
use fqbert_contract::operands::weight_slot;

use super::joined::LentWeights;
use super::{Accelerator, axi_cause};
use crate::kernels;
use fqbert_simulated::Ddr;

impl Accelerator {
    /// Executes one instruction whose fields `check_operation` has accepted. An error is the
    /// fault's cause and DDR address.
    pub(super) fn execute(
        &mut self,
        operation: &Operation,
        ddr: &mut dyn Ddr,
    ) -> Result<(), (FaultCause, u64)> {
        match operation {
            Operation::Nop(_) | Operation::End(_) => Ok(()),
            Operation::Load(l) => self.load(l, ddr),
            Operation::Store(s) => {
                self.settle(ddr)?;
                self.store(s, ddr)
            }
            Operation::Matmul(m) => self.matmul(m, ddr),
            Operation::Softmax(s) => {
                self.execute_waiting(ddr)?;
                kernels::softmax(&self.geometry, s, &mut self.memories, self.kernel);
                Ok(())
            }
            Operation::Layernorm(l) => self.layer_norm(l, ddr),
        }
    }

    fn load(&mut self, l: &Load, ddr: &dyn Ddr) -> Result<(), (FaultCause, u64)> {
        let bytes = self.check_window(l.address, l.beats)?;
        let illegal = (FaultCause::IllegalField, 0);
        let memory = MemoryId::from_code(l.memory).ok_or(illegal)?;
        if let Some(slot) = slot_of(memory) {
            let (start, word) = (usize::from(l.word_offset), self.memories.word_bytes(memory));
            let weights = LentWeights {
                address: l.address,
                words: start..start + bytes / word,
            };
            if self.leave(slot, weights, bytes, ddr)? {
                return Ok(());
            }
            self.fill_slot(slot, ddr)?;
        } else if !is_apart(memory)
            || !self
                .norms
                .may_wait_for(&self.geometry, &Operation::Load(*l))
        {
            self.execute_waiting(ddr)?;
        }
        let target = self.memories.words_from_mut(memory, l.word_offset);
        let target = target.get_mut(..bytes).ok_or(illegal)?;
        ddr.read(l.address, target)
            .map_err(|e| (axi_cause(e), l.address))
    }

    fn store(&mut self, s: &Store, ddr: &mut dyn Ddr) -> Result<(), (FaultCause, u64)> {
        let bytes = self.check_window(s.address, s.beats)?;
        let source = MemoryId::from_code(s.memory)
            .and_then(|m| self.memories.words_from(m, s.word_offset).get(..bytes))
            .ok_or((FaultCause::IllegalField, 0))?;
        ddr.write(s.address, source)
            .map_err(|e| (axi_cause(e), s.address))
    }

    fn check_window(&self, address: u64, beats: u32) -> Result<usize, (FaultCause, u64)> {
        let bytes = u64::from(beats) * BEAT_BYTES as u64;
        if !self.registers.window_holds(address, bytes) {
            return Err((FaultCause::Window, address));
        }
        // At most 2^28 bytes: `beats` has 24 bits.
        Ok(bytes as usize)
    }
}

/// The weight slot that a memory is.
pub(super) fn slot_of(memory: MemoryId) -> Option<usize> {
    (0..WEIGHT_SLOTS).find(|slot| weight_slot(*slot as u8) == memory)
}

/// Whether a MATMUL held back has no more to do with a memory: its parameters were read.
fn is_apart(memory: MemoryId) -> bool {
    matches!(
        memory,
        MemoryId::Par | MemoryId::Lnp | MemoryId::Exp | MemoryId::Rng | MemoryId::Resx
    )
}
