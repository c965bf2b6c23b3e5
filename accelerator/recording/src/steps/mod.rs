//! A device that runs programs instruction by instruction.
//!
//! At a doorbell the program is read back from device memory, and in its place one runs that does
//! the same one instruction after the other and stores what each has written to ACT or RESX; then
//! the results are read, and what the program loaded is read back. None of it changes an answer. In
//! a recording of such a device all of this is calls like any other, so a comparison with another
//! device finds the first instruction with a wrong result, and bits that have changed in device
//! memory.
//!
//! Counters of cycles and instructions are those of the other program. A program that is none, or
//! does not come to its end, runs as it is.

mod serial;

use std::collections::BTreeMap;
use std::time::Instant;

use fqbert_contract::device::{Allocation, BufferId, Device, DeviceError, Wrapper};
use fqbert_contract::isa::{BEAT_BYTES, Instruction, Operation};
use fqbert_contract::registers as regs;
use fqbert_contract::registers::status;
use fqbert_contract::{Bytes, DeviceAddress, RegisterOffset};
use tracing::warn;

use crate::code::{self, CodeError};
use crate::format::{MOST_CHUNK, Range};

pub(crate) use serial::serialise;

/// The program that a doorbell starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    address: DeviceAddress,
    count: u32,
}

impl Named {
    /// Takes a write of one of the registers that name it.
    pub(crate) fn write(&mut self, register: RegisterOffset, value: u32) {
        let half = |low: u32, high: u32| DeviceAddress(u64::from(high) << 32 | u64::from(low));
        match register {
            regs::PROGRAM_ADDRESS_LOW => self.address = half(value, self.address.high()),
            regs::PROGRAM_ADDRESS_HIGH => self.address = half(self.address.low(), value),
            regs::PROGRAM_LENGTH => self.count = value,
            _ => {}
        }
    }

    /// What those registers hold.
    fn read(&self, register: RegisterOffset) -> Option<u32> {
        match register {
            regs::PROGRAM_ADDRESS_LOW => Some(self.address.low()),
            regs::PROGRAM_ADDRESS_HIGH => Some(self.address.high()),
            regs::PROGRAM_LENGTH => Some(self.count),
            _ => None,
        }
    }

    pub(crate) fn address(&self) -> u64 {
        self.address.0
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Names it in the registers of a device.
    pub(crate) fn name(&self, device: &mut dyn Device) -> Result<(), DeviceError> {
        for register in [
            regs::PROGRAM_ADDRESS_LOW,
            regs::PROGRAM_ADDRESS_HIGH,
            regs::PROGRAM_LENGTH,
        ] {
            device.write32(register, self.read(register).unwrap_or(0))?;
        }
        Ok(())
    }

    /// A program of so many instructions in a buffer.
    pub(crate) fn of(buffer: &Allocation, count: u32) -> Self {
        Self {
            address: buffer.address,
            count,
        }
    }
}

/// A program that runs in place of another.
struct Stepped {
    original: Vec<u8>,
    /// The buffer with its code, and the one for the results.
    code: Allocation,
    results: Allocation,
    count: u32,
    origin: Vec<u32>,
    /// What the program loads.
    loads: Vec<Range>,
}

/// A device that runs programs instruction by instruction.
pub struct StepsDevice {
    inner: Box<dyn Device>,
    buffers: BTreeMap<u64, Allocation>,
    /// As the owner wrote the registers.
    named: Named,
    /// By address of the original.
    stepped: BTreeMap<u64, Stepped>,
    /// The address of the original of what was started last, and whether its results have been
    /// read.
    current: Option<(u64, bool)>,
}

impl StepsDevice {
    /// Runs the programs of `inner` step by step.
    pub fn new(inner: Box<dyn Device>) -> Self {
        Self {
            inner,
            buffers: BTreeMap::new(),
            named: Named::default(),
            stepped: BTreeMap::new(),
            current: None,
        }
    }

    fn ring(&mut self, value: u32) -> Result<(), DeviceError> {
        let busy = self.inner.read32(regs::STATUS)? & status::BUSY != 0;
        if !busy {
            self.current = None;
            match self.prepare()? {
                Ok(()) => self.current = Some((self.named.address.0, false)),
                Err(reason) => warn!(%reason, "a program runs as it is, not step by step"),
            }
            let stepped = self.stepped.get(&self.named.address.0);
            match stepped.filter(|_| self.current.is_some()) {
                Some(s) => Named::of(&s.code, s.count).name(self.inner.as_mut())?,
                None => self.named.name(self.inner.as_mut())?,
            }
        }
        self.inner.write32(regs::DOORBELL, value)
    }

    /// Makes the program that runs in place of the one that the registers name.
    fn prepare(&mut self) -> Result<Result<(), CodeError>, DeviceError> {
        let Named { address, count } = self.named;
        let length = match code::code_bytes(count) {
            Ok(length) => length,
            Err(error) => return Ok(Err(error)),
        };
        let Some(range) = find(&self.buffers, address.0, length as u64) else {
            let address = address.0;
            return Ok(Err(CodeError::Outside { address, count }));
        };
        let original = read_back(self.inner.as_mut(), range)?;
        if let Some(stepped) = self.stepped.get(&address.0) {
            if stepped.original == original {
                return Ok(Ok(()));
            }
            self.forget(address.0)?;
        }
        let g = self.inner.capabilities().geometry.clone();
        let program = code::decode(&g, &original)
            .and_then(|program| Ok((serialise(&g, &program, 0)?.bytes, program)));
        let (bytes, program) = match program {
            Ok(made) => made,
            Err(error) => return Ok(Err(error)),
        };
        let results = self.inner.allocate(Bytes(bytes))?;
        let made = serialise(&g, &program, results.address.0)
            .and_then(|serial| Ok((code::encode(&serial.instructions)?, serial.origin)));
        let (code, origin) = match made {
            Ok(made) => made,
            Err(error) => {
                self.inner.free(results.id)?;
                return Ok(Err(error));
            }
        };
        let place = self.inner.allocate(Bytes(code.len() as u64))?;
        self.inner.write(place.id, Bytes(0), &code)?;
        self.inner.sync_to_device(place.id, Bytes(0), place.size)?;
        let stepped = Stepped {
            original,
            code: place,
            results,
            count: origin.len() as u32,
            origin,
            loads: loads(&self.buffers, &program),
        };
        self.stepped.insert(address.0, stepped);
        Ok(Ok(()))
    }

    fn forget(&mut self, address: u64) -> Result<(), DeviceError> {
        if let Some(stepped) = self.stepped.remove(&address) {
            self.inner.free(stepped.code.id)?;
            self.inner.free(stepped.results.id)?;
        }
        Ok(())
    }

    /// Reads the results of a run that has ended, and reads back what it loaded.
    fn settle(&mut self, status: u32) -> Result<(), DeviceError> {
        let Some((address, false)) = self.current else {
            return Ok(());
        };
        if status & (status::BUSY | status::DONE) != status::DONE {
            return Ok(());
        }
        self.current = Some((address, true));
        if let Some(stepped) = self.stepped.get(&address) {
            let device = self.inner.as_mut();
            let results = &stepped.results;
            look_at(device, Range::new(results.id, Bytes(0), results.size.0))?;
            for range in &stepped.loads {
                look_at(device, *range)?;
            }
        }
        Ok(())
    }
}

/// A range of device memory, as the device sees it.
fn read_back(device: &mut dyn Device, range: Range) -> Result<Vec<u8>, DeviceError> {
    let (buffer, offset) = (BufferId(range.buffer), Bytes(range.offset));
    let mut bytes = vec![0; range.length as usize];
    device.sync_to_cpu(buffer, offset, Bytes(range.length))?;
    device.read(buffer, offset, &mut bytes)?;
    Ok(bytes)
}

/// Reads a range of device memory for the recording alone.
fn look_at(device: &mut dyn Device, range: Range) -> Result<(), DeviceError> {
    let (buffer, end) = (BufferId(range.buffer), range.offset + range.length);
    device.sync_to_cpu(buffer, Bytes(range.offset), Bytes(range.length))?;
    let mut bytes = vec![0; range.length.min(MOST_CHUNK as u64) as usize];
    let mut offset = range.offset;
    while offset < end {
        let length = (end - offset).min(bytes.len() as u64);
        device.read(buffer, Bytes(offset), &mut bytes[..length as usize])?;
        offset += length;
    }
    Ok(())
}

/// The part of a buffer that has these addresses.
pub(crate) fn find(
    buffers: &BTreeMap<u64, Allocation>,
    address: u64,
    length: u64,
) -> Option<Range> {
    let (start, buffer) = buffers.range(..=address).next_back()?;
    let offset = address - start;
    let inside = offset.checked_add(length)? <= buffer.size.0;
    inside.then(|| Range::new(buffer.id, Bytes(offset), length))
}

/// What a program loads, as few ranges.
fn loads(buffers: &BTreeMap<u64, Allocation>, program: &[Instruction]) -> Vec<Range> {
    let mut spans: Vec<(u64, u64)> = program
        .iter()
        .filter_map(|instruction| match &instruction.operation {
            Operation::Load(l) => Some((l.address, u64::from(l.beats) * BEAT_BYTES as u64)),
            _ => None,
        })
        .collect();
    spans.sort_unstable();
    let mut ranges: Vec<Range> = Vec::new();
    for (address, length) in spans {
        let Some(range) = find(buffers, address, length) else {
            continue;
        };
        match ranges.last_mut() {
            Some(last)
                if last.buffer == range.buffer && range.offset <= last.offset + last.length =>
            {
                let end = (range.offset + range.length).max(last.offset + last.length);
                last.length = end - last.offset;
            }
            _ => ranges.push(range),
        }
    }
    ranges
}

impl Wrapper for StepsDevice {
    fn inner(&self) -> &dyn Device {
        self.inner.as_ref()
    }

    fn inner_mut(&mut self) -> &mut dyn Device {
        self.inner.as_mut()
    }

    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        let allocation = self.inner.allocate(size)?;
        self.buffers.insert(allocation.address.0, allocation);
        Ok(allocation)
    }

    fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError> {
        self.inner.free(buffer)?;
        let Some(freed) = self.buffers.values().find(|b| b.id == buffer).copied() else {
            return Ok(());
        };
        self.buffers.remove(&freed.address.0);
        let end = freed.address.0.saturating_add(freed.size.0.max(1));
        let inside = self.stepped.range(freed.address.0..end);
        let inside: Vec<u64> = inside.map(|(address, _)| *address).collect();
        for address in inside {
            self.forget(address)?;
        }
        Ok(())
    }

    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        let value = self.inner.read32(register)?;
        if register == regs::STATUS {
            self.settle(value)?;
        }
        let stepped = self.current.and_then(|(a, _)| self.stepped.get(&a));
        Ok(match stepped {
            Some(stepped) if register == regs::FAULT_INDEX => {
                // An index of the program that the owner knows.
                stepped.origin.get(value as usize).copied().unwrap_or(value)
            }
            Some(_) => self.named.read(register).unwrap_or(value),
            None => value,
        })
    }

    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        if register == regs::DOORBELL {
            return self.ring(value);
        }
        self.named.write(register, value);
        self.inner.write32(register, value)
    }

    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        let count = self.inner.wait_interrupt(deadline)?;
        if self.current.is_some_and(|(_, read)| !read) {
            let status = self.inner.read32(regs::STATUS)?;
            self.settle(status)?;
        }
        Ok(count)
    }

    fn reset(&mut self) -> Result<(), DeviceError> {
        self.current = None;
        self.named = Named::default();
        self.inner.reset()
    }
}
