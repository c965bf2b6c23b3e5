//! What each instruction does to the memories.

use fqbert_contract::isa::{BEAT_BYTES, FaultCause, Load, MemoryId, Operation, Store};

use super::{Device, axi_cause};
use crate::ddr::Ddr;
use crate::kernels;

impl Device {
    /// Executes one instruction whose fields `check_operation` has accepted. An error is the fault's cause and DDR address.
    pub(super) fn execute(
        &mut self,
        operation: &Operation,
        ddr: &mut dyn Ddr,
    ) -> Result<(), (FaultCause, u64)> {
        let (g, memories, kernel) = (&self.geometry, &mut self.memories, self.kernel);
        match operation {
            Operation::Nop(_) | Operation::End(_) => Ok(()),
            Operation::Load(l) => self.load(l, ddr),
            Operation::Store(s) => self.store(s, ddr),
            Operation::Matmul(m) => {
                kernels::matmul(g, m, memories, &mut self.workspace, kernel);
                Ok(())
            }
            Operation::Softmax(s) => {
                kernels::softmax(g, s, memories, kernel);
                Ok(())
            }
            Operation::Layernorm(l) => {
                kernels::layer_norm(g, l, memories, &mut self.workspace, kernel);
                Ok(())
            }
        }
    }

    fn load(&mut self, l: &Load, ddr: &mut dyn Ddr) -> Result<(), (FaultCause, u64)> {
        let bytes = self.check_window(l.address, l.beats)?;
        let target = MemoryId::from_code(l.memory)
            .and_then(|m| {
                self.memories
                    .words_from_mut(m, l.word_offset)
                    .get_mut(..bytes)
            })
            .ok_or((FaultCause::IllegalField, 0))?;
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
