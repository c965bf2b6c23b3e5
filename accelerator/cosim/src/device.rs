//! The verilated accelerator behind the `Device` trait.
//!
//! It has no thread and no clock of its own: the clock runs while the owner accesses registers or
//! waits for the interrupt. A register access takes as many cycles as one of a processor does, so
//! polling makes progress.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fqbert_contract::capability::Capabilities;
use fqbert_contract::device::{
    Allocation, BufferId, Device, DeviceError, MemoryInfo, register_offset,
};
use fqbert_contract::registers::{self, control};
use fqbert_contract::{Bytes, RegisterOffset};
use fqbert_files::{Input, Output};
use fqbert_simulated::{DeviceMemory, Refusal, Simulated};

use crate::axi::Traffic;
use crate::options::CosimOptions;
use crate::system::{BusFunctionalModel, MakeBfm, NoAnswer, System};
use crate::verilated::{self, Unavailable, Verilated};

/// How Verilator's waveforms begin: the header block of an FST, the first section of a VCD.
const TRACES: [&[u8]; 2] = [&[0, 0, 0, 0, 0, 0, 0, 1, 0x49], b"$"];
/// What to do about a memory that is too small.
const MORE_MEMORY: &str =
    "free buffers, or open the simulation with more, such as cosim:tiny?memory=2GiB";
/// Cycles that pass around a register access: a processor's way to the accelerator and back.
const ACCESS_CYCLES: u32 = 24;
/// Cycles between looks at the wall clock.
const SLICE: u32 = 512;
/// Cycles that open bursts may take to end in a reset: far more than all bursts a device can have
/// open, at any latency that options allow.
const RESET_CYCLES: u32 = 20_000_000;

/// Why a simulated accelerator cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CosimError {
    /// The RTL was not verilated.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Waveforms were asked for, and this build cannot write them.
    #[error("this build writes no waveforms; build with FQBERT_COSIM_TRACE=fst (or vcd)")]
    NoTrace,
    /// The file for the waveforms cannot be written.
    #[error("cannot write waveforms to {}", file.display())]
    TraceFile {
        /// The file that was asked for.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The accelerator broke a rule of AXI4.
#[derive(Debug, thiserror::Error)]
#[error("the RTL broke the AXI4 protocol: {}", .0.join("; "))]
struct Protocol(Vec<String>);

/// The accelerator in simulation.
pub struct CosimDevice {
    capabilities: Capabilities,
    system: System,
    memory: DeviceMemory,
    /// Interrupts at the last wait.
    waited: u32,
}

impl std::fmt::Debug for CosimDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CosimDevice")
            .field("geometry", &self.capabilities.geometry.name)
            .field("cycles", &self.system.cycles())
            .finish_non_exhaustive()
    }
}

/// Makes the file that waveforms are written to. It is written as the simulation goes, so a file
/// that is there is lost at once: only an older trace may be.
fn make_trace(file: &Path) -> std::io::Result<()> {
    Output::whole(file)?;
    if file.exists() {
        let input = Input::open(file, u64::MAX).map_err(std::io::Error::other)?;
        let mut start = vec![0; input.length().min(9) as usize];
        input
            .read_at(&mut start, 0)
            .map_err(std::io::Error::other)?;
        if !(start.is_empty() || TRACES.iter().any(|trace| start.starts_with(trace))) {
            let what = "it is there and no trace; name another file, or delete it";
            return Err(std::io::Error::other(what));
        }
    }
    File::create(file).map(drop)
}

impl CosimDevice {
    /// A device after power-on.
    ///
    /// # Errors
    /// RTL of that geometry was not verilated, or waveforms cannot be written.
    pub fn new(options: CosimOptions) -> Result<Self, CosimError> {
        let top = format!("top_{}", options.geometry.name);
        Self::build(&top, options, None)
    }

    /// A device made of another top, with a bus-functional model of what that lacks: for tests of
    /// parts of the design.
    ///
    /// # Errors
    /// As [`CosimDevice::new`].
    pub fn of_top(
        top: &str,
        options: CosimOptions,
        bfm: impl FnOnce(&Verilated) -> Box<dyn BusFunctionalModel>,
    ) -> Result<Self, CosimError> {
        Self::build(top, options, Some(Box::new(bfm)))
    }

    fn build(
        top: &str,
        options: CosimOptions,
        bfm: Option<MakeBfm<'_>>,
    ) -> Result<Self, CosimError> {
        if options.trace.is_some() && verilated::TRACE.is_none() {
            return Err(CosimError::NoTrace);
        }
        let mut memory = DeviceMemory::new(options.memory_bytes, MORE_MEMORY);
        let power_on = options.memory.seed.unwrap_or(1) as u32;
        let g = &options.geometry;
        let mut system = System::open(top, g, options.memory, power_on, bfm, memory.dma())?;
        if let Some(file) = options.trace {
            // Verilator's writer of FST takes a file that cannot be made for open.
            let made = make_trace(&file).and_then(|()| match system.trace(&file) {
                true => Ok(()),
                false => Err(std::io::Error::other("Verilator did not open it")),
            });
            made.map_err(|source| CosimError::TraceFile { file, source })?;
        }
        Ok(Self {
            capabilities: Capabilities::of(g),
            system,
            memory,
            waited: 0,
        })
    }

    /// What the AXI4 ports have carried.
    pub fn traffic(&self) -> Traffic {
        self.system.bus().traffic()
    }

    /// Runs the clock.
    pub fn run(&mut self, cycles: u32) {
        for _ in 0..cycles {
            self.system.cycle(self.memory.dma());
        }
    }

    /// An error once the RTL has broken the protocol: nothing it says counts any more.
    fn check_protocol(&self) -> Result<(), DeviceError> {
        match self.system.bus().violations() {
            [] => Ok(()),
            found => Err(DeviceError::Backend {
                context: "simulating the accelerator".to_owned(),
                source: Box::new(Protocol(found.to_vec())),
            }),
        }
    }
}

fn no_answer(error: NoAnswer) -> DeviceError {
    DeviceError::Backend {
        context: "accessing a register of the simulated accelerator".to_owned(),
        source: Box::new(error),
    }
}

impl Device for CosimDevice {
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
        self.memory.sync_to_cpu(buffer, offset, length)
    }

    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        let offset = register_offset(register)?;
        self.run(ACCESS_CYCLES);
        let value = self
            .system
            .read32(offset, self.memory.dma())
            .map_err(no_answer)?;
        self.check_protocol()?;
        Ok(value)
    }

    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        let offset = register_offset(register)?;
        self.run(ACCESS_CYCLES);
        self.system
            .write32(offset, value, self.memory.dma())
            .map_err(no_answer)?;
        self.check_protocol()
    }

    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        let began = Instant::now();
        loop {
            let mut left = SLICE;
            while self.system.interrupts() == self.waited && left > 0 {
                self.system.cycle(self.memory.dma());
                left -= 1;
            }
            self.check_protocol()?;
            let count = self.system.interrupts();
            if count != self.waited {
                self.waited = count;
                return Ok(count);
            }
            if Instant::now() >= deadline {
                let waited: Duration = began.elapsed();
                let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
                return Err(DeviceError::Timeout { waited_ms });
            }
        }
    }

    fn reset(&mut self) -> Result<(), DeviceError> {
        let offset = registers::CONTROL.0;
        let began = self.system.cycles();
        self.write32(registers::CONTROL, control::RESET)?;
        while self.system.cycles() - began < u64::from(RESET_CYCLES) {
            let now = self
                .system
                .read32(offset, self.memory.dma())
                .map_err(no_answer)?;
            if now & control::RESET == 0 {
                return self.check_protocol();
            }
        }
        Err(DeviceError::Unavailable {
            what: format!("the soft reset did not end within {RESET_CYCLES} cycles"),
            remedy: "a memory that does not answer keeps a burst open: open the device anew"
                .to_owned(),
        })
    }
}

impl Simulated for CosimDevice {
    fn refuse(&mut self, refusals: Vec<Refusal>) {
        self.memory.refuse(refusals);
    }

    fn advance(&mut self, cycles: u32) {
        self.run(cycles);
    }

    fn open_bursts(&self) -> Option<usize> {
        Some(self.system.bus().open_bursts())
    }
}
