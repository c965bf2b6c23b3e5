//! The calls of a recording on another device.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fqbert_contract::device::{Allocation, BufferId, Device, DeviceError};
use fqbert_contract::isa::{FaultCause, Instruction, Operation};
use fqbert_contract::registers as regs;
use fqbert_contract::registers::{irq, status};
use fqbert_contract::{Bytes, DeviceAddress, Geometry};

use super::report::RunEnd;
use crate::code::{self, CodeError};
use crate::format::Range;
use crate::steps::{Named, find};

/// The reference with the buffers of the recording.
pub(crate) struct Reference {
    device: Box<dyn Device>,
    deadline: Duration,
    /// Buffers of the recorded device by address.
    pub recorded: BTreeMap<u64, Allocation>,
    /// The reference's by number of the recorded one.
    own: BTreeMap<u32, Allocation>,
    /// Where programs are put.
    code: Option<Allocation>,
}

impl Reference {
    /// A device, reset.
    pub fn new(mut device: Box<dyn Device>, deadline: Duration) -> Result<Self, DeviceError> {
        device.reset()?;
        Ok(Self {
            device,
            deadline,
            recorded: BTreeMap::new(),
            own: BTreeMap::new(),
            code: None,
        })
    }

    pub fn geometry(&self) -> Geometry {
        self.device.capabilities().geometry.clone()
    }

    pub fn reset(&mut self) -> Result<(), DeviceError> {
        self.device.reset()
    }

    /// Reserves what the recorded device gave.
    pub fn allocate(&mut self, recorded: Allocation) -> Result<(), DeviceError> {
        let own = self.device.allocate(recorded.size)?;
        self.recorded.insert(recorded.address.0, recorded);
        if let Some(old) = self.own.insert(recorded.id.0, own) {
            self.device.free(old.id)?;
        }
        Ok(())
    }

    pub fn free(&mut self, recorded: u32) -> Result<(), DeviceError> {
        self.recorded.retain(|_, b| b.id.0 != recorded);
        match self.own.remove(&recorded) {
            Some(own) => self.device.free(own.id),
            None => Err(DeviceError::UnknownBuffer(BufferId(recorded))),
        }
    }

    fn buffer(&self, recorded: u32) -> Result<BufferId, DeviceError> {
        let own = self.own.get(&recorded).map(|own| own.id);
        own.ok_or(DeviceError::UnknownBuffer(BufferId(recorded)))
    }

    pub fn write(&mut self, buffer: u32, offset: u64, data: &[u8]) -> Result<(), DeviceError> {
        let buffer = self.buffer(buffer)?;
        self.device.write(buffer, Bytes(offset), data)
    }

    pub fn read(&mut self, buffer: u32, offset: u64, data: &mut [u8]) -> Result<(), DeviceError> {
        let buffer = self.buffer(buffer)?;
        self.device.read(buffer, Bytes(offset), data)
    }

    pub fn sync_to_device(&mut self, range: &Range) -> Result<(), DeviceError> {
        let buffer = self.buffer(range.buffer)?;
        self.device
            .sync_to_device(buffer, Bytes(range.offset), Bytes(range.length))
    }

    pub fn sync_to_cpu(&mut self, range: &Range) -> Result<(), DeviceError> {
        let buffer = self.buffer(range.buffer)?;
        self.device
            .sync_to_cpu(buffer, Bytes(range.offset), Bytes(range.length))
    }

    /// The bytes of a program as the CPU wrote them.
    pub fn program(
        &mut self,
        named: &Named,
    ) -> Result<Result<Vec<Instruction>, CodeError>, DeviceError> {
        let (address, count) = (named.address(), named.count());
        let length = match code::code_bytes(count) {
            Ok(length) => length,
            Err(error) => return Ok(Err(error)),
        };
        let Some(range) = find(&self.recorded, address, length as u64) else {
            return Ok(Err(CodeError::Outside { address, count }));
        };
        let mut bytes = vec![0; length];
        self.read(range.buffer, range.offset, &mut bytes)?;
        Ok(code::decode(&self.geometry(), &bytes))
    }

    /// The program with the reference's addresses.
    fn relocated(&self, program: &[Instruction]) -> Result<Vec<u8>, CodeError> {
        let mut moved = program.to_vec();
        for (index, instruction) in moved.iter_mut().enumerate() {
            let (address, beats) = match &mut instruction.operation {
                Operation::Load(l) => (&mut l.address, l.beats),
                Operation::Store(s) => (&mut s.address, s.beats),
                _ => continue,
            };
            let length = u64::from(beats) * fqbert_contract::isa::BEAT_BYTES as u64;
            let outside = CodeError::Address {
                index: index as u32,
                address: *address,
            };
            let range = find(&self.recorded, *address, length);
            let own = range.and_then(|r| Some((r.offset, self.own.get(&r.buffer)?)));
            let (offset, own) = own.ok_or(outside)?;
            *address = own.address.0 + offset;
        }
        code::encode(&moved)
    }

    /// Runs a program to its end.
    pub fn run(
        &mut self,
        program: &[Instruction],
    ) -> Result<Result<RunEnd, CodeError>, DeviceError> {
        let code = match self.relocated(program) {
            Ok(code) => code,
            Err(error) => return Ok(Err(error)),
        };
        let place = self.place(&code)?;
        let (base, limit) = self.window();
        for (register, value) in [
            (regs::WINDOW_BASE_LOW, base.low()),
            (regs::WINDOW_BASE_HIGH, base.high()),
            (regs::WINDOW_LIMIT_LOW, limit.low()),
            (regs::WINDOW_LIMIT_HIGH, limit.high()),
            (regs::IRQ_ENABLE, irq::DONE | irq::FAULT),
            (regs::IRQ_STATUS, irq::DONE | irq::FAULT),
        ] {
            self.device.write32(register, value)?;
        }
        Named::of(&place, program.len() as u32).name(self.device.as_mut())?;
        self.device.write32(regs::DOORBELL, 1)?;
        let end = self.finish(Instant::now() + self.deadline)?;
        self.device
            .write32(regs::IRQ_STATUS, irq::DONE | irq::FAULT)?;
        if end != RunEnd::Done {
            self.device.reset()?;
        }
        Ok(Ok(end))
    }

    /// Waits until a run is over; interrupts only say when to look.
    fn finish(&mut self, deadline: Instant) -> Result<RunEnd, DeviceError> {
        loop {
            match self.device.wait_interrupt(deadline) {
                Ok(_) | Err(DeviceError::InterruptCount { .. } | DeviceError::Timeout { .. }) => {}
                Err(error) => return Err(error),
            }
            let now = self.device.read32(regs::STATUS)?;
            if now & status::FAULT != 0 {
                let cause = self.device.read32(regs::FAULT_CAUSE)?;
                let cause = FaultCause::from_code(cause as u8);
                return Ok(RunEnd::Fault { cause });
            }
            if now & (status::DONE | status::BUSY) == status::DONE {
                return Ok(RunEnd::Done);
            }
            if Instant::now() >= deadline {
                return Ok(RunEnd::Running);
            }
        }
    }

    /// Copies a program to device memory.
    fn place(&mut self, code: &[u8]) -> Result<Allocation, DeviceError> {
        let length = Bytes(code.len() as u64);
        let place = match self.code.take() {
            Some(place) if place.size >= length => place,
            old => {
                if let Some(old) = old {
                    self.device.free(old.id)?;
                }
                self.device.allocate(length)?
            }
        };
        self.code = Some(place);
        self.device.write(place.id, Bytes(0), code)?;
        self.device.sync_to_device(place.id, Bytes(0), length)?;
        Ok(place)
    }

    /// What the programs of the recording may touch: the buffers, and nothing else of the machine.
    fn window(&self) -> (DeviceAddress, DeviceAddress) {
        let buffers = || self.own.values().chain(&self.code);
        let ends = buffers().map(|b| b.address.0.saturating_add(b.size.0));
        let base = buffers().map(|b| b.address.0).min().unwrap_or(0);
        (DeviceAddress(base), DeviceAddress(ends.max().unwrap_or(0)))
    }
}
