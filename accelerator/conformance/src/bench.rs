//! What every case does with a device: buffers, runs, and leaving it as it was found.

use std::time::{Duration, Instant};

use fqbert_contract::capability::Capabilities;
use fqbert_contract::device::{Allocation, BufferId, Device, DeviceError};
use fqbert_contract::isa::FaultCause;
use fqbert_contract::registers::{self as regs, irq_enable, status};
use fqbert_contract::{Bytes, DeviceAddress, Geometry, RegisterOffset};

use crate::report::{Failure, Options, ensure};
use crate::rng::Rng;

/// A device under test: any, or (`F`) one that a case can do more with.
pub struct Bench<'a, F: Device + ?Sized = dyn Device + 'a> {
    pub device: &'a mut F,
    pub options: &'a Options,
    pub rng: Rng,
    pub geometry: Geometry,
    buffers: Vec<Allocation>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub status: u32,
    pub cause: u32,
    pub index: u32,
    pub address: u64,
    /// Interrupts since the device was opened.
    pub interrupts: u32,
}

/// Runs `body` on a reset device, then frees every buffer it left and resets again.
pub fn with<'a, F: Device + ?Sized>(
    device: &'a mut F,
    options: &'a Options,
    body: impl FnOnce(&mut Bench<'a, F>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    device.reset()?;
    let Capabilities { geometry, .. } = device.capabilities().clone();
    let rng = Rng::new(options.seed);
    let mut bench = Bench {
        device,
        options,
        rng,
        geometry,
        buffers: Vec::new(),
    };
    let result = body(&mut bench);
    let reset = bench.device.reset();
    let mut freed = Ok(());
    for buffer in std::mem::take(&mut bench.buffers) {
        freed = freed.and(bench.device.free(buffer.id));
    }
    result?;
    reset?;
    freed?;
    Ok(())
}

impl<F: Device + ?Sized> Bench<'_, F> {
    pub fn allocate(&mut self, size: usize) -> Result<Allocation, Failure> {
        let allocation = self.device.allocate(Bytes(size as u64))?;
        self.buffers.push(allocation);
        Ok(allocation)
    }

    pub fn free(&mut self, id: BufferId) -> Result<(), DeviceError> {
        self.buffers.retain(|b| b.id != id);
        self.device.free(id)
    }

    /// Frees every buffer of the case.
    pub fn free_all(&mut self) -> Result<(), DeviceError> {
        while let Some(buffer) = self.buffers.pop() {
            self.device.free(buffer.id)?;
        }
        Ok(())
    }

    /// A buffer holding `data`, handed to the device.
    pub fn upload(&mut self, data: &[u8]) -> Result<Allocation, Failure> {
        let buffer = self.allocate(data.len())?;
        self.put(&buffer, data)?;
        Ok(buffer)
    }

    /// Replaces the first bytes of a buffer and hands them to the device.
    pub fn put(&mut self, buffer: &Allocation, data: &[u8]) -> Result<(), Failure> {
        self.device.write(buffer.id, Bytes(0), data)?;
        Ok(self
            .device
            .sync_to_device(buffer.id, Bytes(0), Bytes(data.len() as u64))?)
    }

    /// The bytes of a buffer as the device left them.
    pub fn download(&mut self, buffer: &Allocation) -> Result<Vec<u8>, Failure> {
        let mut bytes = vec![0; buffer.size.0 as usize];
        self.device.sync_to_cpu(buffer.id, Bytes(0), buffer.size)?;
        self.device.read(buffer.id, Bytes(0), &mut bytes)?;
        Ok(bytes)
    }

    pub fn get(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        self.device.read32(register)
    }

    pub fn set(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        self.device.write32(register, value)
    }

    fn set_address(&mut self, low: RegisterOffset, value: u64) -> Result<(), DeviceError> {
        let address = DeviceAddress(value);
        self.set(low, address.low())?;
        self.set(RegisterOffset(low.0 + 4), address.high())
    }

    pub fn set_window(&mut self, base: u64, limit: u64) -> Result<(), DeviceError> {
        self.set_address(regs::WINDOW_BASE_LOW, base)?;
        self.set_address(regs::WINDOW_LIMIT_LOW, limit)
    }

    /// The smallest window that holds every buffer of the case.
    pub fn window(&self) -> (u64, u64) {
        let base = self.buffers.iter().map(|b| b.address.0).min().unwrap_or(0);
        let limit = self
            .buffers
            .iter()
            .map(|b| b.address.0 + b.size.0)
            .max()
            .unwrap_or(0);
        (base, limit)
    }

    /// Sets up program, window and interrupts.
    pub fn configure(&mut self, address: u64, instructions: u32) -> Result<(), DeviceError> {
        let (base, limit) = self.window();
        self.set_window(base, limit)?;
        self.set_address(regs::PROGRAM_ADDRESS_LOW, address)?;
        self.set(regs::PROGRAM_LENGTH, instructions)?;
        self.set(regs::IRQ_ENABLE, irq_enable::DONE | irq_enable::FAULT)
    }

    /// Configures and starts a program.
    pub fn start(&mut self, code: &[u8]) -> Result<(), Failure> {
        let program = self.upload(code)?;
        self.configure(program.address.0, (code.len() / 32) as u32)?;
        Ok(self.set(regs::DOORBELL, 1)?)
    }

    /// Waits for a started program and acknowledges its interrupt.
    pub fn finish(&mut self) -> Result<Ended, Failure> {
        let interrupts = self
            .device
            .wait_interrupt(Instant::now() + self.options.deadline)?;
        let ended = Ended {
            status: self.get(regs::STATUS)?,
            cause: self.get(regs::FAULT_CAUSE)?,
            index: self.get(regs::FAULT_INDEX)?,
            address: u64::from(self.get(regs::FAULT_ADDRESS_LOW)?)
                | u64::from(self.get(regs::FAULT_ADDRESS_HIGH)?) << 32,
            interrupts,
        };
        let events = self.get(regs::IRQ_STATUS)?;
        self.set(regs::IRQ_STATUS, events)?;
        let expected = (ended.status & (status::DONE | status::FAULT)) >> 2;
        ensure!(
            events == expected,
            "IRQ_STATUS {events:#x} with STATUS {:#x}: bits DONE and FAULT must agree",
            ended.status
        );
        ensure!(
            self.get(regs::IRQ_STATUS)? == 0,
            "IRQ_STATUS was not cleared by writing 1"
        );
        Ok(ended)
    }

    /// Runs a program that must end with END.
    pub fn complete(&mut self, code: &[u8]) -> Result<Ended, Failure> {
        self.start(code)?;
        self.completed()
    }

    /// Waits for a started program that must end with END.
    pub fn completed(&mut self) -> Result<Ended, Failure> {
        let ended = self.finish()?;
        ensure!(
            ended.status == status::IDLE | status::DONE,
            "STATUS {:#x} instead of IDLE and DONE; fault {} at instruction {}, address {:#x}",
            ended.status,
            cause_name(ended.cause),
            ended.index,
            ended.address
        );
        ensure!(
            ended.cause == 0,
            "FAULT_CAUSE {} after DONE",
            cause_name(ended.cause)
        );
        Ok(ended)
    }

    /// Runs a program that must stop with a fault at an instruction.
    pub fn faults(&mut self, code: &[u8], cause: FaultCause, index: u32) -> Result<Ended, Failure> {
        self.start(code)?;
        let ended = self.finish()?;
        self.check_fault(&ended, cause, index)?;
        Ok(ended)
    }

    pub fn check_fault(
        &mut self,
        ended: &Ended,
        cause: FaultCause,
        index: u32,
    ) -> Result<(), Failure> {
        ensure!(
            ended.status == status::IDLE | status::FAULT,
            "STATUS {:#x} instead of IDLE and FAULT, expecting {}",
            ended.status,
            cause.name()
        );
        ensure!(
            ended.cause == u32::from(cause.code()) && ended.index == index,
            "fault {} at instruction {} instead of {} at {index}",
            cause_name(ended.cause),
            ended.index,
            cause.name()
        );
        Ok(())
    }

    /// Checks that no interrupt comes while the program is watched, and that it is still BUSY.
    pub fn hangs(&mut self) -> Result<(), Failure> {
        let watch: Duration = self.options.hang;
        match self.device.wait_interrupt(Instant::now() + watch) {
            Err(DeviceError::Timeout { .. }) => {}
            Err(e) => return Err(e.into()),
            Ok(count) => {
                return Err(Failure::Wrong(format!(
                    "interrupt {count} of a deadlocked program"
                )));
            }
        }
        let now = self.get(regs::STATUS)?;
        ensure!(
            now & status::BUSY != 0,
            "STATUS {now:#x} of a deadlocked program is not BUSY"
        );
        Ok(())
    }
}

fn cause_name(code: u32) -> String {
    match u8::try_from(code).ok().and_then(FaultCause::from_code) {
        Some(cause) => cause.name().to_owned(),
        None => format!("code {code}"),
    }
}
