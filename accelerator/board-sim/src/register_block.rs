//! The accelerator behind the register page: the emulator's register-level device.

use crate::{Ddr, RegisterModel};
use fqbert_contract::Geometry;
use fqbert_contract::registers::BLOCK_BYTES;
use fqbert_emulator::{Accelerator, RunState};
use fqbert_simulated::AxiFault;
use std::time::{Duration, Instant};

/// How long the worker computes before it lets stores in and refreshes the registers.
const SLICE: Duration = Duration::from_millis(2);

/// An emulated accelerator.
pub struct RegisterBlock {
    accelerator: Accelerator,
    /// Deadlocked, so that there is nothing to run until the next store: without this the worker
    /// would spin until the guest's deadline.
    hung: bool,
}

impl RegisterBlock {
    /// An accelerator of this geometry after power-on.
    pub fn new(geometry: &Geometry) -> Self {
        Self {
            accelerator: Accelerator::new(geometry),
            hung: false,
        }
    }
}

impl RegisterModel for RegisterBlock {
    fn block_bytes(&self) -> u32 {
        BLOCK_BYTES
    }

    fn read32(&mut self, offset: u32) -> u32 {
        self.accelerator.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32, _ddr: &mut Ddr) {
        self.accelerator.write32(offset, value);
        self.hung = false;
    }

    fn irq_level(&self) -> bool {
        self.accelerator.irq_level()
    }

    fn busy(&self) -> bool {
        self.accelerator.is_busy() && !self.hung
    }

    fn step(&mut self, ddr: &mut Ddr) {
        let start = Instant::now();
        let state = self
            .accelerator
            .run_pending(ddr, &mut || start.elapsed() > SLICE);
        self.hung = state == RunState::Hung;
    }
}

/// The guest's DDR on the accelerator's AXI ports.
impl fqbert_simulated::Ddr for Ddr {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), AxiFault> {
        Ddr::read(self, address, out).map_err(|_| AxiFault::Decerr)
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), AxiFault> {
        Ddr::write(self, address, data).map_err(|_| AxiFault::Decerr)
    }
}
