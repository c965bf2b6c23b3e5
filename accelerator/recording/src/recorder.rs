//! `record:FILE,URI`: a device whose every call is written to a file.

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fqbert_contract::capability::Capabilities;
use fqbert_contract::device::{Allocation, BufferId, Device, DeviceError, MemoryInfo};
use fqbert_contract::{Bytes, RegisterOffset};

use crate::failure::{Failure, bounded};
use crate::format::{Answer, Begin, Call, Data, Event, Range};
use crate::writer::{CreateError, DEFAULT_LIMIT, LEAST_LIMIT, Writer, create};

/// How a recording is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOptions {
    /// Most bytes of the file. A recording that reaches them ends with a record that says so, and
    /// the calls go on.
    pub limit: u64,
    /// What to call the device in the recording: its URI.
    pub device: String,
    /// A [`StepsDevice`](crate::StepsDevice) is put around the recording device.
    pub steps: bool,
}

impl RecordOptions {
    /// A recording of the device of this URI, of [`DEFAULT_LIMIT`].
    pub fn new(device: &str) -> Self {
        Self {
            limit: DEFAULT_LIMIT,
            device: device.to_owned(),
            steps: false,
        }
    }
}

/// A device that records what is done with it.
pub struct RecordingDevice {
    inner: Box<dyn Device>,
    writer: Writer<std::fs::File>,
    began: Instant,
}

impl RecordingDevice {
    /// Records `inner` to a new file.
    ///
    /// # Errors
    /// The file is there already or cannot be made, or the bound is too small.
    pub fn create(
        inner: Box<dyn Device>,
        path: &Path,
        options: &RecordOptions,
    ) -> Result<Self, CreateError> {
        let bytes = options.limit;
        if bytes < LEAST_LIMIT {
            return Err(CreateError::Limit { bytes });
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let identity = inner.capabilities().registers();
        let begin = Begin {
            software: concat!("fqbert ", env!("CARGO_PKG_VERSION")).to_owned(),
            device: bounded(&options.device),
            steps: options.steps,
            started_ms: since.map_or(0, |t| t.as_millis() as u64),
            identity: identity.into_iter().map(|(r, v)| (r.0, v)).collect(),
            memory: inner.memory().into(),
        };
        let file = create(path)?;
        let name = path.display().to_string();
        let writer = Writer::new(file, name, bytes, begin);
        let writer = writer.map_err(|source| CreateError::Io {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            inner,
            writer,
            began: Instant::now(),
        })
    }

    /// Carries a call out and records it.
    fn record<T>(
        &mut self,
        call: Call,
        data: &[u8],
        carry_out: impl FnOnce(&mut dyn Device) -> Result<T, DeviceError>,
        answer: impl FnOnce(&T, &dyn Device) -> Answer,
    ) -> Result<T, DeviceError> {
        // Whatever the program does to the machine: what led to it is in the file.
        let ends = matches!(call, Call::WaitInterrupt { .. } | Call::Reset) || call.rings();
        if ends {
            self.writer.flush();
        }
        let called = Instant::now();
        let result = carry_out(self.inner.as_mut());
        let took = called.elapsed();
        let answer = match &result {
            Ok(value) => answer(value, self.inner.as_ref()),
            Err(error) => Answer::Failed(Failure::from(error)),
        };
        let event = Event {
            at_us: (called - self.began).as_micros() as u64,
            took_us: took.as_micros() as u64,
            call,
            answer,
            data: Data::default(),
        };
        self.writer.call(event, data);
        if ends || result.is_err() {
            self.writer.flush();
        }
        result
    }

    fn done(
        &mut self,
        call: Call,
        carry_out: impl FnOnce(&mut dyn Device) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        self.record(call, &[], carry_out, |(), _| Answer::Done)
    }

    fn value(
        &mut self,
        call: Call,
        carry_out: impl FnOnce(&mut dyn Device) -> Result<u32, DeviceError>,
    ) -> Result<u32, DeviceError> {
        self.record(call, &[], carry_out, |value, _| Answer::Value(*value))
    }
}

impl Device for RecordingDevice {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn memory(&self) -> MemoryInfo {
        self.inner.memory()
    }

    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        self.record(
            Call::Allocate { size: size.0 },
            &[],
            |device| device.allocate(size),
            |allocation, device| Answer::Allocated {
                buffer: allocation.id.0,
                address: allocation.address.0,
                memory: device.memory().into(),
            },
        )
    }

    fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError> {
        self.record(
            Call::Free { buffer: buffer.0 },
            &[],
            |device| device.free(buffer),
            |(), device| Answer::Freed {
                memory: device.memory().into(),
            },
        )
    }

    fn write(&mut self, buffer: BufferId, offset: Bytes, data: &[u8]) -> Result<(), DeviceError> {
        let call = Call::Write(Range::new(buffer, offset, data.len() as u64));
        self.record(
            call,
            data,
            |device| device.write(buffer, offset, data),
            |(), _| Answer::Done,
        )
    }

    fn read(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        data: &mut [u8],
    ) -> Result<(), DeviceError> {
        // The bytes are there only after the call: it is recorded by hand.
        let call = Call::Read(Range::new(buffer, offset, data.len() as u64));
        let called = Instant::now();
        let result = self.inner.read(buffer, offset, data);
        let event = Event {
            at_us: (called - self.began).as_micros() as u64,
            took_us: called.elapsed().as_micros() as u64,
            call,
            answer: match &result {
                Ok(()) => Answer::Done,
                Err(error) => Answer::Failed(Failure::from(error)),
            },
            data: Data::default(),
        };
        let data = if result.is_ok() { data } else { &mut [] };
        self.writer.call(event, data);
        result
    }

    fn sync_to_device(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        let call = Call::SyncToDevice(Range::new(buffer, offset, length.0));
        self.done(call, |device| device.sync_to_device(buffer, offset, length))
    }

    fn sync_to_cpu(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        let call = Call::SyncToCpu(Range::new(buffer, offset, length.0));
        self.done(call, |device| device.sync_to_cpu(buffer, offset, length))
    }

    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        let offset = register.0;
        self.value(Call::ReadRegister { offset }, |d| d.read32(register))
    }

    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        let offset = register.0;
        self.done(Call::WriteRegister { offset, value }, |device| {
            device.write32(register, value)
        })
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let within_us = left.as_micros() as u64;
        self.value(Call::WaitInterrupt { within_us }, |device| {
            device.wait_interrupt(deadline)
        })
    }

    fn reset(&mut self) -> Result<(), DeviceError> {
        self.done(Call::Reset, |device| device.reset())
    }
}
