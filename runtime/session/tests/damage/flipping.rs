//! A device whose memory changes where and when the test says.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use fqbert_contract::address::{Bytes, RegisterOffset};
use fqbert_contract::capability::Capabilities;
use fqbert_contract::device::{Allocation, BufferId, Device, DeviceError, MemoryInfo};
use fqbert_contract::registers as regs;

/// When a change happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// At the next register read: between runs.
    Read,
    /// When the doorbell is rung: during a run.
    Doorbell,
    /// When the buffer has been synced to the device: what is written does not stay.
    Sync,
    /// The sync itself is lost.
    LostSync,
    /// STATUS says that the accelerator runs, until it is reset.
    Busy,
}

/// One change of memory, or the same again and again.
#[derive(Clone, Copy, Debug)]
pub struct Flip {
    pub moment: Moment,
    /// The buffers in order of their allocation, from 0.
    pub buffer: usize,
    /// From the start of the buffer, and round its end.
    pub offset: u64,
    /// Bits that are inverted; for [`Moment::Sync`], bits that are stuck at 1.
    pub bits: u8,
    /// How often it still happens.
    pub times: u32,
}

/// What is still to happen, shared with the test.
#[derive(Clone, Default)]
pub struct Flips(Arc<Mutex<Vec<Flip>>>);

impl Flips {
    pub fn push(&self, flip: Flip) {
        self.0.lock().unwrap().push(flip);
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Whether something of this moment is still to happen.
    pub fn has(&self, moment: Moment) -> bool {
        self.0.lock().unwrap().iter().any(|f| f.moment == moment)
    }

    /// The changes of a moment that happen now, of one buffer or of all.
    fn due(&self, moment: Moment, buffer: Option<usize>) -> Vec<Flip> {
        let mut list = self.0.lock().unwrap();
        let mut due = Vec::new();
        for flip in list.iter_mut() {
            let here = buffer.is_none_or(|b| b == flip.buffer);
            if flip.moment == moment && here && flip.times > 0 {
                flip.times -= 1;
                due.push(*flip);
            }
        }
        due
    }
}

pub struct Flipping {
    pub inner: Box<dyn Device>,
    pub flips: Flips,
    /// In order of allocation.
    pub buffers: Vec<Allocation>,
}

impl Flipping {
    pub fn new(flips: &Flips) -> Self {
        Self {
            inner: fqbert_open::open_device("emu:tiny?threads=1").unwrap(),
            flips: flips.clone(),
            buffers: Vec::new(),
        }
    }

    /// Changes what the accelerator sees of a byte and leaves the CPU's view as it is.
    fn flip(&mut self, flip: Flip) -> Result<(), DeviceError> {
        let Some(buffer) = self.buffers.get(flip.buffer) else {
            return Ok(());
        };
        let at = Bytes(flip.offset % buffer.size.0);
        let (id, one) = (buffer.id, Bytes(1));
        let (mut cpu, mut byte) = ([0], [0]);
        self.inner.read(id, at, &mut cpu)?;
        self.inner.sync_to_cpu(id, at, one)?;
        self.inner.read(id, at, &mut byte)?;
        let byte = match flip.moment {
            Moment::Sync => byte[0] | flip.bits,
            _ => byte[0] ^ flip.bits,
        };
        self.inner.write(id, at, &[byte])?;
        self.inner.sync_to_device(id, at, one)?;
        self.inner.write(id, at, &cpu)
    }

    fn flip_all(&mut self, moment: Moment, buffer: Option<usize>) -> Result<(), DeviceError> {
        let due = self.flips.due(moment, buffer);
        due.into_iter().try_for_each(|flip| self.flip(flip))
    }
}

impl Device for Flipping {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    fn memory(&self) -> MemoryInfo {
        self.inner.memory()
    }
    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        let allocation = self.inner.allocate(size)?;
        self.buffers.push(allocation);
        Ok(allocation)
    }
    fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError> {
        self.inner.free(buffer)
    }
    fn write(&mut self, buffer: BufferId, at: Bytes, data: &[u8]) -> Result<(), DeviceError> {
        self.inner.write(buffer, at, data)
    }
    fn read(&mut self, buffer: BufferId, at: Bytes, data: &mut [u8]) -> Result<(), DeviceError> {
        self.inner.read(buffer, at, data)
    }
    fn sync_to_device(&mut self, b: BufferId, at: Bytes, n: Bytes) -> Result<(), DeviceError> {
        let index = self.buffers.iter().position(|a| a.id == b);
        if !self.flips.due(Moment::LostSync, index).is_empty() {
            return Ok(());
        }
        self.inner.sync_to_device(b, at, n)?;
        self.flip_all(Moment::Sync, index)
    }
    fn sync_to_cpu(&mut self, b: BufferId, at: Bytes, n: Bytes) -> Result<(), DeviceError> {
        self.inner.sync_to_cpu(b, at, n)
    }
    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        self.flip_all(Moment::Read, None)?;
        if register == regs::STATUS && self.flips.has(Moment::Busy) {
            return Ok(regs::status::BUSY);
        }
        self.inner.read32(register)
    }
    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        if register == regs::DOORBELL {
            self.flip_all(Moment::Doorbell, None)?;
        }
        self.inner.write32(register, value)
    }
    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        self.inner.wait_interrupt(deadline)
    }
    fn reset(&mut self) -> Result<(), DeviceError> {
        let mut list = self.flips.0.lock().unwrap();
        list.retain(|f| f.moment != Moment::Busy);
        drop(list);
        self.inner.reset()
    }
}
