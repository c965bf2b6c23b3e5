//! A device with memory of its own, behind the `Device` trait.
//!
//! A doorbell only starts the program; it executes while the owner waits for the interrupt, reads a
//! register or syncs memory, so that an emulated accelerator is busy between doorbell and wait as a
//! real one is, with no thread of its own and nothing left to chance.

mod awake;
mod clock;

use std::time::{Duration, Instant};

use fqbert_contract::capability::Capabilities;
use fqbert_contract::device::{
    Allocation, BufferId, Device, DeviceError, MemoryInfo, register_offset,
};
use fqbert_contract::registers::{self, control};
use fqbert_contract::{Bytes, RegisterOffset};
use fqbert_simulated::{DeviceMemory, Refusal, Simulated};
use rayon::ThreadPool;

use crate::accelerator::{Accelerator, RunState};
use crate::kernels::{Kernel, KernelError};
use crate::options::EmulatorOptions;

/// What to do about a memory that is too small.
const MORE_MEMORY: &str =
    "free buffers, or open the emulator with more, such as emu:zcu102?memory=2GiB";
/// A register read lets a running program go on for this long, so that polling makes progress and
/// still returns.
const POLL_SLICE: Duration = Duration::from_millis(5);
/// Cycles of the timing model between two looks at the clock: a small part of a slice.
const CLOCK_CYCLES: u64 = 1 << 14;

/// Why an emulated accelerator cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// This CPU does not run the kernel that was asked for.
    #[error(transparent)]
    Kernel(KernelError),
    /// `FQBERT_KERNEL` names no kernel of this CPU.
    #[error("environment variable FQBERT_KERNEL: {0}")]
    Variable(KernelError),
    /// More threads than any pool may have.
    #[error("the emulator's threads: {0}")]
    ThreadCount(#[from] fqbert_threads::ThreadsError),
    /// The threads could not be started.
    #[error(
        "cannot start {threads} threads for the emulator's kernels; ask for fewer with threads=N"
    )]
    Threads {
        /// How many were wanted.
        threads: usize,
        /// The cause.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
}

/// The emulated accelerator.
#[derive(Debug)]
pub struct EmulatedDevice {
    capabilities: Capabilities,
    accelerator: Accelerator,
    memory: DeviceMemory,
    pool: ThreadPool,
    /// Interrupts at the last wait.
    waited: u32,
}

impl EmulatedDevice {
    /// A device after power-on.
    ///
    /// # Errors
    /// A kernel this CPU does not run, or threads that cannot be started.
    pub fn new(options: EmulatorOptions) -> Result<Self, EmulatorError> {
        let kernel = match options.kernel {
            Some(kernel) => kernel,
            None => Kernel::from_env()
                .map_err(EmulatorError::Variable)?
                .unwrap_or(Kernel::detect()),
        };
        if !kernel.is_supported() {
            return Err(EmulatorError::Kernel(KernelError::Unsupported { kernel }));
        }
        let threads = fqbert_threads::count(options.threads)?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("fqbert-emu-{i}"))
            .build()
            .map_err(|source| EmulatorError::Threads { threads, source })?;
        Ok(Self {
            capabilities: Capabilities::of(&options.geometry),
            accelerator: Accelerator::with(&options.geometry, kernel, options.schedule),
            memory: DeviceMemory::new(options.memory_bytes, MORE_MEMORY),
            pool,
            waited: 0,
        })
    }

    /// The kernels it computes with.
    pub fn kernel(&self) -> Kernel {
        self.accelerator.kernel()
    }

    /// Threads its kernels use.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Lets a running program go on until `deadline`.
    fn advance(&mut self, deadline: Instant) -> RunState {
        if !self.accelerator.is_busy() {
            return RunState::Idle;
        }
        let (accelerator, dram) = (&mut self.accelerator, self.memory.dma());
        awake::install(&self.pool, || {
            accelerator.run_paced(dram, CLOCK_CYCLES, &mut || clock::now() >= deadline)
        })
    }

    /// Lets a running program go on for the time a bounded call may take.
    fn advance_a_little(&mut self) {
        if self.accelerator.is_busy() {
            self.advance(clock::now() + POLL_SLICE);
        }
    }
}

impl Device for EmulatedDevice {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn memory(&self) -> MemoryInfo {
        self.memory.info()
    }

    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        self.memory.allocate(size)
    }

    fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError> {
        self.memory.free(buffer)
    }

    fn write(&mut self, buffer: BufferId, offset: Bytes, data: &[u8]) -> Result<(), DeviceError> {
        self.memory.write(buffer, offset, data)
    }

    fn read(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        data: &mut [u8],
    ) -> Result<(), DeviceError> {
        self.memory.read(buffer, offset, data)
    }

    fn sync_to_device(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        self.memory.sync_to_device(buffer, offset, length)
    }

    fn sync_to_cpu(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        self.advance_a_little();
        self.memory.sync_to_cpu(buffer, offset, length)
    }

    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        let offset = register_offset(register)?;
        self.advance_a_little();
        Ok(self.accelerator.read32(offset))
    }

    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        let offset = register_offset(register)?;
        self.accelerator.write32(offset, value);
        Ok(())
    }

    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        let began = clock::now();
        if self.accelerator.interrupts() == self.waited {
            self.advance(deadline);
        }
        let count = self.accelerator.interrupts();
        if count != self.waited {
            self.waited = count;
            return Ok(count);
        }
        // Nobody else can make the line rise while this call has the accelerator; a real one would
        // be waited for.
        std::thread::sleep(deadline.saturating_duration_since(clock::now()));
        let waited = clock::now().saturating_duration_since(began);
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        Err(DeviceError::Timeout { waited_ms })
    }

    fn reset(&mut self) -> Result<(), DeviceError> {
        self.accelerator
            .write32(registers::CONTROL.0, control::RESET);
        Ok(())
    }
}

impl Simulated for EmulatedDevice {
    fn refuse(&mut self, refusals: Vec<Refusal>) {
        self.memory.refuse(refusals);
    }

    fn advance(&mut self, cycles: u32) {
        let (accelerator, dram) = (&mut self.accelerator, self.memory.dma());
        let now = |accelerator: &Accelerator| {
            u64::from(accelerator.read32(registers::CYCLES_LOW.0))
                | u64::from(accelerator.read32(registers::CYCLES_HIGH.0)) << 32
        };
        self.pool.install(|| {
            let until = now(accelerator) + u64::from(cycles);
            while now(accelerator) < until {
                // Not the first look, which comes before the next instruction, but the second.
                let mut executed = false;
                let state =
                    accelerator.run_pending(dram, &mut || std::mem::replace(&mut executed, true));
                if state != RunState::Paused {
                    break;
                }
            }
        });
    }

    fn open_bursts(&self) -> Option<usize> {
        None
    }
}

#[cfg(test)]
mod tests;
