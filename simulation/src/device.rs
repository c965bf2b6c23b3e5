//! An accelerator in virtual time: the emulator's registers, memories and arithmetic, with a clock
//! that only calls move.
//!
//! Every call takes a few microseconds. A program takes as long as the seed draws, and executes as
//! that time passes, so that its output is there in part before it has ended. A wait moves the
//! clock to the interrupt or to its deadline, and never sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fqbert_contract::address::{Bytes, RegisterOffset};
use fqbert_contract::capability::Capabilities;
use fqbert_contract::device::{
    Allocation, BufferId, Device, DeviceError, MemoryInfo, register_offset,
};
use fqbert_contract::geometry::Geometry;
use fqbert_contract::registers::{self as regs, control};
use fqbert_emulator::Accelerator;
use fqbert_random::Random;
use fqbert_simulated::DeviceMemory;

/// Bytes of its memory: some programs of a very small model.
const MEMORY: u64 = 4 << 20;
/// What a call takes, and each KiB that it copies.
const CALL: Duration = Duration::from_micros(2);
const KIB: Duration = Duration::from_micros(1);
/// Calls after which a history has no end.
const CALLS: u64 = 300_000;

/// The clock, for who does not own the device.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// What the clock counts from. No history depends on it.
    epoch: Instant,
    nanoseconds: AtomicU64,
    /// Programs take no longer than they should.
    calm: AtomicBool,
    /// The longest that a program took.
    longest: AtomicU64,
}

impl Clock {
    fn new() -> Self {
        Self(Arc::new(Shared {
            epoch: Instant::now(),
            nanoseconds: AtomicU64::new(0),
            calm: AtomicBool::new(false),
            longest: AtomicU64::new(0),
        }))
    }

    /// Time since the beginning.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.nanoseconds.load(Ordering::Relaxed))
    }

    /// The longest time that a program has taken or takes.
    pub fn longest_run(&self) -> Duration {
        Duration::from_nanos(self.0.longest.load(Ordering::Relaxed))
    }

    /// From now on programs take a normal time.
    pub fn calm(&self) {
        self.0.calm.store(true, Ordering::Relaxed);
    }

    fn instant(&self) -> Instant {
        self.0.epoch + self.elapsed()
    }

    fn set(&self, elapsed: Duration) {
        let nanoseconds = elapsed.as_nanos() as u64;
        self.0.nanoseconds.fetch_max(nanoseconds, Ordering::Relaxed);
    }

    fn set_instant(&self, instant: Instant) {
        self.set(instant.saturating_duration_since(self.0.epoch));
    }
}

/// A program under way.
struct Run {
    began: Duration,
    takes: Duration,
    instructions: u64,
    executed: u64,
}

/// An accelerator in virtual time.
pub struct VirtualDevice {
    capabilities: Capabilities,
    accelerator: Accelerator,
    memory: DeviceMemory,
    clock: Clock,
    random: Random,
    run: Option<Run>,
    /// Interrupts at the last wait.
    waited: u32,
    calls: u64,
}

impl VirtualDevice {
    /// A device after power-on. The seed draws how long programs take.
    pub fn new(geometry: &'static Geometry, seed: u64) -> Self {
        Self {
            capabilities: Capabilities::of(geometry),
            accelerator: Accelerator::new(geometry),
            memory: DeviceMemory::new(MEMORY, "give the simulated device more"),
            clock: Clock::new(),
            random: Random::new(seed),
            run: None,
            waited: 0,
            calls: 0,
        }
    }

    /// Its clock.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// A call begins: it takes its time, and the program goes on meanwhile.
    fn call(&mut self, bytes: u64) {
        self.calls += 1;
        assert!(self.calls < CALLS, "{CALLS} calls and no end");
        self.clock
            .set(self.clock.elapsed() + CALL + KIB * (bytes / 1024) as u32);
        self.go_on();
    }

    /// How long the next program takes: mostly milliseconds, sometimes seconds.
    fn draw_time(&mut self) -> Duration {
        let most = match self.random.below(50) {
            0 => 8_000_000,
            1..=4 => 900_000,
            _ => 20_000,
        };
        let calm = self.clock.0.calm.load(Ordering::Relaxed);
        let most = if calm { 20_000 } else { most };
        let time = Duration::from_micros(10 + self.random.below(most));
        let longest = &self.clock.0.longest;
        longest.fetch_max(time.as_nanos() as u64, Ordering::Relaxed);
        time
    }

    /// Executes what the program has had the time for.
    fn go_on(&mut self) {
        let Some(run) = &mut self.run else {
            return;
        };
        let passed = self.clock.elapsed().saturating_sub(run.began);
        let part = passed.as_nanos() as u64 * run.instructions / run.takes.as_nanos() as u64;
        let over = passed >= run.takes;
        let executed = &mut run.executed;
        self.accelerator.run_pending(self.memory.dma(), &mut || {
            let pause = !over && *executed >= part;
            *executed += u64::from(!pause);
            pause
        });
        if !self.accelerator.is_busy() {
            self.run = None;
        }
    }
}

impl Device for VirtualDevice {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn memory(&self) -> MemoryInfo {
        self.memory.info()
    }

    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        self.call(0);
        self.memory.allocate(size)
    }

    fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError> {
        self.call(0);
        self.memory.free(buffer)
    }

    fn write(&mut self, buffer: BufferId, offset: Bytes, data: &[u8]) -> Result<(), DeviceError> {
        self.call(data.len() as u64);
        self.memory.write(buffer, offset, data)
    }

    fn read(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        data: &mut [u8],
    ) -> Result<(), DeviceError> {
        self.call(data.len() as u64);
        self.memory.read(buffer, offset, data)
    }

    fn sync_to_device(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        self.call(length.0);
        self.memory.sync_to_device(buffer, offset, length)
    }

    fn sync_to_cpu(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        self.call(length.0);
        self.memory.sync_to_cpu(buffer, offset, length)
    }

    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        let offset = register_offset(register)?;
        self.call(0);
        Ok(self.accelerator.read32(offset))
    }

    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        let offset = register_offset(register)?;
        self.call(0);
        let was_busy = self.accelerator.is_busy();
        self.accelerator.write32(offset, value);
        if register == regs::DOORBELL && !was_busy && self.accelerator.is_busy() {
            self.run = Some(Run {
                began: self.clock.elapsed(),
                takes: self.draw_time(),
                instructions: u64::from(self.accelerator.read32(regs::PROGRAM_LENGTH.0)),
                executed: 0,
            });
        } else if !self.accelerator.is_busy() {
            self.run = None;
        }
        Ok(())
    }

    fn now(&self) -> Instant {
        self.clock.instant()
    }

    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        let began = self.clock.elapsed();
        self.call(0);
        if self.accelerator.interrupts() == self.waited
            && let Some(run) = &self.run
        {
            let end = self.clock.0.epoch + run.began + run.takes;
            self.clock.set_instant(end.min(deadline));
            self.go_on();
        }
        let count = self.accelerator.interrupts();
        if count != self.waited {
            self.waited = count;
            return Ok(count);
        }
        self.clock.set_instant(deadline);
        let waited = self.clock.elapsed().saturating_sub(began);
        Err(DeviceError::Timeout {
            waited_ms: waited.as_millis() as u64,
        })
    }

    fn reset(&mut self) -> Result<(), DeviceError> {
        self.write32(regs::CONTROL, control::RESET)
    }
}
