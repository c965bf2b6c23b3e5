//! The device with faults.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fqbert_contract::address::{Bytes, RegisterOffset};
use fqbert_contract::capability::Capabilities;
use fqbert_contract::device::{Allocation, BufferId, Device, DeviceError, MemoryInfo};
use fqbert_contract::isa::FaultCause;
use fqbert_contract::registers::{self as regs, control, irq_status, status};
use fqbert_random::Random;

use crate::dice::Switch;
use crate::fault::{Class, Fault};
use crate::flip::{Buffers, Roles, flip_in};
use crate::plan::Plan;

/// Most calls that a device is away for.
const AWAY: u64 = 100;
/// How late an interrupt is at most, and how long a run takes that ends with an AXI error.
const LATE: Duration = Duration::from_secs(2);
const RUN: Duration = Duration::from_millis(2);

/// What the accelerator is doing that the device inside knows nothing of.
#[derive(Clone, Copy, Debug)]
enum Engine {
    /// Nothing: the device inside is right.
    Inside,
    /// It runs until it is reset.
    Stuck,
    /// It runs, and stops with a fault.
    Faults {
        cause: FaultCause,
        at: Instant,
        signalled: bool,
    },
}

/// A device around another one, with the faults of a [`Plan`].
pub struct FaultyDevice {
    inner: Box<dyn Device>,
    switch: Switch,
    engine: Engine,
    /// Calls that the device is away for.
    away: u64,
    buffers: Buffers,
    /// Buffers that have been there at a doorbell.
    used: BTreeSet<BufferId>,
    program: u64,
    roles: Roles,
    /// Interrupts seen by the owner.
    count: u32,
    /// An interrupt that is still under way.
    held: Option<Instant>,
    /// The last interrupt comes again.
    again: bool,
}

fn failed(context: &str) -> DeviceError {
    DeviceError::Backend {
        context: format!("{context} failed"),
        source: "a fault was injected here".into(),
    }
}

fn away() -> DeviceError {
    DeviceError::Unavailable {
        what: "the device has vanished".to_owned(),
        remedy: "a fault was injected: open the device again, or try later".to_owned(),
    }
}

impl FaultyDevice {
    /// A device with the faults of a seed and a plan.
    pub fn new(inner: Box<dyn Device>, seed: u64, plan: Plan) -> Self {
        Self {
            inner,
            switch: Switch::new(seed, plan),
            engine: Engine::Inside,
            away: 0,
            buffers: Buffers::default(),
            used: BTreeSet::new(),
            program: 0,
            roles: Roles::default(),
            count: 0,
            held: None,
            again: false,
        }
    }

    /// Its faults, to turn off and on and to look at.
    pub fn switch(&self) -> Switch {
        self.switch.clone()
    }

    /// Whether the device answers at all.
    fn present(&mut self) -> Result<(), DeviceError> {
        if self.away > 0 {
            self.away = if self.switch.is_armed() {
                self.away - 1
            } else {
                0
            };
            if self.away > 0 {
                return Err(away());
            }
            self.back()?;
        }
        if let Some(mut random) = self.switch.draw(Fault::Vanished) {
            self.away = 1 + random.below(AWAY);
            return Err(away());
        }
        if self.switch.draw(Fault::Gone).is_some() {
            self.away = u64::MAX;
            return Err(away());
        }
        Ok(())
    }

    /// As after power-on.
    fn back(&mut self) -> Result<(), DeviceError> {
        self.engine = Engine::Inside;
        (self.held, self.again) = (None, false);
        self.inner.reset()
    }

    /// A call, which may fail before or after it has done its work.
    fn call<T>(
        &mut self,
        context: &str,
        call: impl FnOnce(&mut Self) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        self.present()?;
        if self.switch.draw(Fault::FailedBefore).is_some() {
            return Err(failed(context));
        }
        let done = call(self)?;
        if self.switch.draw(Fault::FailedAfter).is_some() {
            return Err(failed(context));
        }
        Ok(done)
    }

    /// STATUS, with what the device inside does not know.
    fn status(&mut self) -> Result<u32, DeviceError> {
        let inside = self.inner.read32(regs::STATUS)?;
        let sticky = inside & (status::DOORBELL_IGNORED | status::CONFIG_IGNORED);
        Ok(match self.engine {
            Engine::Inside => inside,
            Engine::Stuck => status::BUSY | sticky,
            Engine::Faults { at, .. } if self.inner.now() < at => status::BUSY | sticky,
            Engine::Faults { .. } => status::IDLE | status::FAULT | sticky,
        })
    }

    fn register(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        if register == regs::STATUS {
            let value = self.status()?;
            let all = status::IDLE
                | status::BUSY
                | status::DONE
                | status::FAULT
                | status::DOORBELL_IGNORED
                | status::CONFIG_IGNORED;
            let wrong = self.switch.draw(Fault::WrongStatus);
            return Ok(wrong.map_or(value, |mut r| r.next_u64() as u32 & all));
        }
        let value = self.inner.read32(register)?;
        let (cause, over) = match self.engine {
            Engine::Faults { cause, at, .. } => (cause, self.inner.now() >= at),
            _ => return Ok(value),
        };
        Ok(match register {
            _ if !over => value,
            regs::FAULT_CAUSE => cause as u32,
            regs::FAULT_INDEX => 0,
            regs::FAULT_ADDRESS_LOW => self.program as u32,
            regs::FAULT_ADDRESS_HIGH => (self.program >> 32) as u32,
            regs::RUNS_FAULTED => value.wrapping_add(1),
            regs::IRQ_STATUS => value | irq_status::FAULT,
            _ => value,
        })
    }

    fn doorbell(&mut self, value: u32) -> Result<(), DeviceError> {
        self.used.extend(self.buffers.0.keys());
        let data = [
            Fault::FlippedCode,
            Fault::FlippedConstants,
            Fault::FlippedInput,
        ];
        if data
            .iter()
            .chain([&Fault::FlippedOutput])
            .any(|f| self.switch.has(*f))
        {
            self.roles = self.buffers.roles(self.inner.as_mut(), self.program)?;
        }
        for fault in data {
            if let Some(mut random) = self.switch.draw(fault) {
                self.roles.flip(self.inner.as_mut(), fault, &mut random)?;
            }
        }
        if self.switch.draw(Fault::LostDoorbell).is_some() {
            return Ok(());
        }
        if !matches!(self.engine, Engine::Inside) {
            // Ignored, as by the accelerator while it is busy or after a fault.
            return Ok(());
        }
        if self.switch.draw(Fault::StuckEngine).is_some() {
            self.engine = Engine::Stuck;
            return Ok(());
        }
        if let Some(mut random) = self.switch.draw(Fault::AxiError) {
            let causes = [FaultCause::AxiSlverr, FaultCause::AxiDecerr];
            let cause = causes[random.below(2) as usize];
            let at = self.inner.now() + RUN.mul_f64(random.unit_f64());
            self.engine = Engine::Faults {
                cause,
                at,
                signalled: false,
            };
            return Ok(());
        }
        self.inner.write32(regs::DOORBELL, value)
    }

    /// An interrupt for the owner; `odd` where the count went on by two.
    fn interrupt(&mut self, odd: bool) -> Result<u32, DeviceError> {
        let before = self.count;
        self.count = before.wrapping_add(if odd { 2 } else { 1 });
        if odd {
            return Err(DeviceError::InterruptCount {
                before,
                after: self.count,
                missed: 1,
            });
        }
        Ok(self.count)
    }

    fn wait(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        if std::mem::take(&mut self.again) {
            return self.interrupt(false);
        }
        if let Some(mut random) = self.switch.draw(Fault::SpuriousInterrupt) {
            return self.interrupt(random.one_in(2));
        }
        loop {
            if let Engine::Faults {
                at,
                ref mut signalled,
                ..
            } = self.engine
                && !std::mem::replace(signalled, true)
            {
                self.held = Some(at);
            }
            let until = self.held.map_or(deadline, |due| due.min(deadline));
            match self.inner.wait_interrupt(until) {
                Ok(_) => {
                    if self.switch.draw(Fault::LostInterrupt).is_some() {
                        continue;
                    }
                    if let Some(mut random) = self.switch.draw(Fault::LateInterrupt) {
                        self.held = Some(self.inner.now() + LATE.mul_f64(random.unit_f64()));
                        continue;
                    }
                    self.again = self.switch.draw(Fault::DuplicateInterrupt).is_some();
                    return self.interrupt(false);
                }
                Err(DeviceError::Timeout { .. })
                    if self.held.is_some_and(|due| due <= deadline) =>
                {
                    self.held = None;
                    return self.interrupt(false);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Device for FaultyDevice {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn memory(&self) -> MemoryInfo {
        self.inner.memory()
    }

    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        self.present()?;
        if self.switch.draw(Fault::OutOfMemory).is_some() {
            let memory = self.inner.memory();
            return Err(DeviceError::OutOfMemory {
                wanted: size,
                largest_free: memory.largest_free,
                total: memory.total,
                remedy: "a fault was injected here",
            });
        }
        let allocation = self.inner.allocate(size)?;
        self.buffers.0.insert(allocation.id, allocation);
        Ok(allocation)
    }

    fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError> {
        self.call("giving memory back", |d| {
            d.inner.free(buffer)?;
            d.buffers.0.remove(&buffer);
            d.used.remove(&buffer);
            Ok(())
        })
    }

    fn write(&mut self, buffer: BufferId, offset: Bytes, data: &[u8]) -> Result<(), DeviceError> {
        self.call("a copy to the device", |d| {
            d.inner.write(buffer, offset, data)
        })
    }

    fn read(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        data: &mut [u8],
    ) -> Result<(), DeviceError> {
        self.call("a copy from the device", |d| {
            d.inner.read(buffer, offset, data)?;
            let output = d.roles.output.is_some_and(|output| output.id == buffer);
            if output && let Some(mut random) = d.switch.draw(Fault::FlippedOutput) {
                flip_in(data, &mut random);
            }
            Ok(())
        })
    }

    fn sync_to_device(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        self.call("a sync to the device", |d| {
            // What a later run writes anew can be looked at then; what is written once cannot.
            let class = if d.used.contains(&buffer) {
                Class::Loud
            } else {
                Class::Silent
            };
            match d.switch.draw_as(Fault::SkippedSyncToDevice, class) {
                Some(_) => Ok(()),
                None => d.inner.sync_to_device(buffer, offset, length),
            }
        })
    }

    fn sync_to_cpu(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        self.call("a sync to the CPU", |d| {
            match d.switch.draw(Fault::SkippedSyncToCpu) {
                Some(_) => Ok(()),
                None => d.inner.sync_to_cpu(buffer, offset, length),
            }
        })
    }

    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        self.call("a read of a register", |d| {
            let value = d.register(register)?;
            let flip = d.switch.draw(Fault::FlippedRegister);
            Ok(flip.map_or(value, |mut random: Random| value ^ 1 << random.below(32)))
        })
    }

    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        self.call("a write of a register", |d| {
            match register {
                regs::DOORBELL => return d.doorbell(value),
                regs::PROGRAM_ADDRESS_LOW => {
                    d.program = d.program & !0xffff_ffff | u64::from(value);
                }
                regs::PROGRAM_ADDRESS_HIGH => {
                    d.program = d.program & 0xffff_ffff | u64::from(value) << 32;
                }
                regs::CONTROL if value & control::RESET != 0 => d.engine = Engine::Inside,
                _ => {}
            }
            d.inner.write32(register, value)
        })
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        self.call("a wait for the interrupt", |d| d.wait(deadline))
    }

    fn reset(&mut self) -> Result<(), DeviceError> {
        self.call("a reset", |d| match d.switch.draw(Fault::LostReset) {
            Some(_) => Ok(()),
            None => d.back(),
        })
    }
}
