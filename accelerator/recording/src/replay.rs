//! `replay:FILE`: a device that answers from a recording.

use std::time::Instant;

use fqbert_contract::capability::Capabilities;
use fqbert_contract::device::{Allocation, BufferId, Device, DeviceError, MemoryInfo};
use fqbert_contract::{Bytes, DeviceAddress, RegisterOffset};

use crate::format::{Answer, Call, Event, Memory, Range};
use crate::reader::{Ending, ReadError, Recording};

/// Why a recording has no answer to a call. It is the source of a [`DeviceError::Backend`].
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Another call was recorded.
    #[error(
        "record {record} is: {expected}; the call is: {got}. Replay with the model, the options \
         and the version of fqbert that were recorded"
    )]
    Call {
        /// Number of the record.
        record: u64,
        /// What was recorded.
        expected: Call,
        /// What was called.
        got: Call,
    },
    /// Other bytes were written.
    #[error(
        "record {record} is: {call}; the first byte that differs is {at}, {expected:#04x} in the \
         recording, {got:#04x} now. Replay with the model, the options, the texts and the version \
         of fqbert that were recorded"
    )]
    Bytes {
        /// Number of the record.
        record: u64,
        /// The call.
        call: Call,
        /// Which of its bytes, from 0.
        at: u64,
        /// What was recorded.
        expected: u8,
        /// What was written.
        got: u8,
    },
    /// The recording has no more calls.
    #[error("the recording has no record for the call: {got}; {ending}")]
    Ended {
        /// What was called.
        got: Call,
        /// How the recording ends.
        ending: Ending,
    },
    /// The recorded answer is none of this call: no device gives it.
    #[error("record {record} is: {call}, with an answer of another call")]
    Answer {
        /// Number of the record.
        record: u64,
        /// The call.
        call: Call,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<ReplayError> for DeviceError {
    fn from(error: ReplayError) -> Self {
        DeviceError::Backend {
            context: "replaying a recording".to_owned(),
            source: Box::new(error),
        }
    }
}

/// A device that gives to each call what was recorded for it, and an error to any other call.
pub struct ReplayDevice {
    recording: Recording,
    memory: Memory,
    /// A call that has not been made yet.
    next: Option<(u64, Event)>,
}

impl ReplayDevice {
    /// A device that replays from the beginning.
    pub fn new(recording: Recording) -> Self {
        let memory = recording.begin().memory;
        Self {
            recording,
            memory,
            next: None,
        }
    }

    /// The recorded call, if it is this one. It stays the next one if it is not.
    fn take(&mut self, got: Call, written: &[u8]) -> Result<(u64, Event), ReplayError> {
        let next = match self.next.take() {
            Some(next) => Some(next),
            None => self.recording.next_call()?,
        };
        let Some((record, event)) = next else {
            let ending = self.recording.ending().unwrap_or(Ending::Closed);
            return Err(ReplayError::Ended { got, ending });
        };
        let result = self.check(record, &event, got, written);
        if let Err(error) = result {
            self.next = Some((record, event));
            return Err(error);
        }
        Ok((record, event))
    }

    fn check(
        &self,
        record: u64,
        event: &Event,
        got: Call,
        written: &[u8],
    ) -> Result<(), ReplayError> {
        let expected = event.call;
        if !expected.is(&got) {
            return Err(ReplayError::Call {
                record,
                expected,
                got,
            });
        }
        if !matches!(got, Call::Write(_)) {
            return Ok(());
        }
        self.recording.parts(&event.data, |start, part| {
            let now = written.get(start as usize..).unwrap_or_default();
            match part.iter().zip(now).position(|(a, b)| a != b) {
                None => Ok(()),
                Some(at) => Err(ReplayError::Bytes {
                    record,
                    call: got,
                    at: start + at as u64,
                    expected: part[at],
                    got: now[at],
                }),
            }
        })
    }

    /// A call that gives nothing.
    fn done(&mut self, call: Call, written: &[u8]) -> Result<(), DeviceError> {
        match self.take(call, written)? {
            (_, event) if event.answer == Answer::Done => Ok(()),
            (record, event) => Err(failed(record, event)),
        }
    }

    /// A call that gives a number.
    fn value(&mut self, call: Call) -> Result<u32, DeviceError> {
        match self.take(call, &[])? {
            (_, event) if let Answer::Value(value) = event.answer => Ok(value),
            (record, event) => Err(failed(record, event)),
        }
    }
}

/// The recorded error; or that what was recorded is no answer.
fn failed(record: u64, event: Event) -> DeviceError {
    match event.answer {
        Answer::Failed(failure) => failure.into(),
        _ => ReplayError::Answer {
            record,
            call: event.call,
        }
        .into(),
    }
}

impl Device for ReplayDevice {
    fn capabilities(&self) -> &Capabilities {
        self.recording.capabilities()
    }

    fn memory(&self) -> MemoryInfo {
        self.memory.into()
    }

    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        let (record, event) = self.take(Call::Allocate { size: size.0 }, &[])?;
        let Answer::Allocated {
            buffer,
            address,
            memory,
        } = event.answer
        else {
            return Err(failed(record, event));
        };
        self.memory = memory;
        Ok(Allocation {
            id: BufferId(buffer),
            address: DeviceAddress(address),
            size,
        })
    }

    fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError> {
        let (record, event) = self.take(Call::Free { buffer: buffer.0 }, &[])?;
        let Answer::Freed { memory } = event.answer else {
            return Err(failed(record, event));
        };
        self.memory = memory;
        Ok(())
    }

    fn write(&mut self, buffer: BufferId, offset: Bytes, data: &[u8]) -> Result<(), DeviceError> {
        let range = Range::new(buffer, offset, data.len() as u64);
        self.done(Call::Write(range), data)
    }

    fn read(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        data: &mut [u8],
    ) -> Result<(), DeviceError> {
        let range = Range::new(buffer, offset, data.len() as u64);
        let (record, event) = self.take(Call::Read(range), &[])?;
        if event.answer != Answer::Done {
            return Err(failed(record, event));
        }
        let copied = self.recording.parts(&event.data, |start, part| {
            let to = data.get_mut(start as usize..).unwrap_or_default();
            let length = part.len().min(to.len());
            to[..length].copy_from_slice(&part[..length]);
            Ok::<_, ReadError>(())
        });
        copied.map_err(|error| ReplayError::from(error).into())
    }

    fn sync_to_device(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        let range = Range::new(buffer, offset, length.0);
        self.done(Call::SyncToDevice(range), &[])
    }

    fn sync_to_cpu(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        let range = Range::new(buffer, offset, length.0);
        self.done(Call::SyncToCpu(range), &[])
    }

    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        self.value(Call::ReadRegister { offset: register.0 })
    }

    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        let offset = register.0;
        self.done(Call::WriteRegister { offset, value }, &[])
    }

    /// What was recorded, at once: nothing is waited for.
    fn wait_interrupt(&mut self, _deadline: Instant) -> Result<u32, DeviceError> {
        self.value(Call::WaitInterrupt { within_us: 0 })
    }

    fn reset(&mut self) -> Result<(), DeviceError> {
        self.done(Call::Reset, &[])
    }
}
