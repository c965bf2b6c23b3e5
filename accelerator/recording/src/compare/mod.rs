//! A recording carried out on another device, and where their memories differ.
//!
//! Every call that changes memory is made on the reference too, and every program is run there to
//! its end. Whatever the recorded program read from device memory is compared with what the
//! reference has there. A byte that differs is led back: through the STORE that wrote it to the
//! instruction and the element; to the LOAD that reads it, if it is an operand that has changed
//! in device memory; to the word of a program.

mod element;
mod name;
mod program;
mod report;
mod rerun;
mod trace;

use std::time::Duration;

use fqbert_contract::device::{Allocation, BufferId, Device, DeviceError};
use fqbert_contract::isa::{FaultCause, INSTRUCTION_BYTES, Instruction};
use fqbert_contract::registers as regs;
use fqbert_contract::registers::status;
use fqbert_contract::{Bytes as Count, DeviceAddress, RegisterOffset};

pub use report::{At, Bytes, Comparison, Difference, RunEnd, What, WrongResult};

use crate::format::{Answer, Call, Event, Range};
use crate::reader::{ReadError, Recording};
use crate::steps::{Named, find};
use program::{Executed, relocatable};
use rerun::Reference;
use trace::Traced;

/// Why a recording cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The recording cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is of another contract: its programs mean something else.
    #[error(
        "it was recorded by {software}, whose registers, instructions or geometries are not those \
         of this version: compare with the version that recorded it"
    )]
    Contract {
        /// What recorded it.
        software: String,
    },
    /// The reference has another shape.
    #[error(
        "the recorded accelerator is of geometry {recorded}, the reference of {reference}: name a \
         reference of geometry {recorded}"
    )]
    Geometry {
        /// The recorded device's.
        recorded: &'static str,
        /// The reference's.
        reference: &'static str,
    },
    /// The reference refuses a call.
    #[error("record {record}, {call}, on the reference")]
    Device {
        /// Number of the record.
        record: u64,
        /// The call.
        call: Call,
        /// Why.
        source: DeviceError,
    },
    /// The reference cannot be made ready.
    #[error("resetting the reference")]
    Reset(#[source] DeviceError),
}

/// How long a run of the reference may take where nothing else is said.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(600);

/// Carries a recording out on `reference` until the first run whose memory differs.
///
/// # Errors
/// See [`CompareError`]. A difference is none.
pub fn compare(
    recording: Recording,
    reference: Box<dyn Device>,
    deadline: Duration,
) -> Result<Comparison, CompareError> {
    if !recording.same_contract() {
        return Err(CompareError::Contract {
            software: recording.begin().software.clone(),
        });
    }
    let recorded = &recording.capabilities().geometry;
    let own = &reference.capabilities().geometry;
    if recorded != own {
        return Err(CompareError::Geometry {
            recorded: recorded.name,
            reference: own.name,
        });
    }
    let reference = Reference::new(reference, deadline).map_err(CompareError::Reset)?;
    let mut comparer = Comparer {
        recording,
        reference,
        named: [Named::default(); 2],
        programs: Vec::new(),
        executed: None,
        seen: Seen::default(),
        comparison: Comparison {
            runs: 0,
            bytes: 0,
            differences: Vec::new(),
            ending: None,
        },
    };
    comparer.all()?;
    comparer
        .comparison
        .differences
        .sort_by_key(|d| d.what.rank());
    Ok(comparer.comparison)
}

/// Programs that are kept to name words of them: more than a session has buckets.
const MOST_PROGRAMS: usize = 32;

/// What the recorded program saw of the last run.
#[derive(Default)]
struct Seen {
    runs_before: Option<u32>,
    runs_after: Option<u32>,
    status: Option<u32>,
    cause: Option<u32>,
    /// How it ended on the reference, if it ran there.
    reference: Option<RunEnd>,
    record: u64,
}

impl Seen {
    fn read(&mut self, register: RegisterOffset, value: u32) {
        match register {
            regs::RUNS_COMPLETED if self.reference.is_none() => self.runs_before = Some(value),
            regs::RUNS_COMPLETED => self.runs_after = Some(value),
            regs::STATUS => self.status = Some(value),
            regs::FAULT_CAUSE => self.cause = Some(value),
            _ => {}
        }
    }

    /// How the recorded run ended, if its registers told.
    fn recorded(&self) -> Option<RunEnd> {
        let status = self.status?;
        if status & status::FAULT != 0 {
            let cause = self.cause.and_then(|c| FaultCause::from_code(c as u8));
            return Some(RunEnd::Fault { cause });
        }
        if status & status::BUSY != 0 {
            return Some(RunEnd::Running);
        }
        let same = self.runs_before.is_some() && self.runs_before == self.runs_after;
        Some(match same || status & status::DONE == 0 {
            true => RunEnd::NotStarted,
            false => RunEnd::Done,
        })
    }
}

struct Comparer {
    recording: Recording,
    reference: Reference,
    /// The programs that the registers name: the last, and the one before it.
    named: [Named; 2],
    /// Where programs have been named, and what they were.
    programs: Vec<(Range, Vec<Instruction>)>,
    executed: Option<Executed>,
    seen: Seen,
    comparison: Comparison,
}

impl Comparer {
    fn all(&mut self) -> Result<(), CompareError> {
        while let Some((record, event)) = self.recording.next_call()? {
            if event.call.rings() || event.call == Call::Reset {
                self.ended();
                if !self.comparison.differences.is_empty() {
                    return Ok(());
                }
            }
            self.call(record, &event)?;
        }
        self.ended();
        self.comparison.ending = self.recording.ending();
        Ok(())
    }

    /// Makes a call on the reference.
    fn call(&mut self, record: u64, event: &Event) -> Result<(), CompareError> {
        if matches!(event.answer, Answer::Failed(_)) {
            return Ok(());
        }
        let call = event.call;
        let device = |source| CompareError::Device {
            record,
            call,
            source,
        };
        match (call, &event.answer) {
            (
                Call::Allocate { size },
                Answer::Allocated {
                    buffer, address, ..
                },
            ) => {
                let recorded = Allocation {
                    id: BufferId(*buffer),
                    address: DeviceAddress(*address),
                    size: Count(size),
                };
                self.reference.allocate(recorded).map_err(device)
            }
            (Call::Free { buffer }, _) => self.reference.free(buffer).map_err(device),
            (Call::Write(range), _) => {
                let reference = &mut self.reference;
                self.recording.parts(&event.data, |start, part| {
                    let at = range.offset.saturating_add(start);
                    let written = reference.write(range.buffer, at, part);
                    written.map_err(device)
                })
            }
            (Call::Read(range), _) => self.read(record, event, &range),
            (Call::SyncToDevice(range), _) => self.reference.sync_to_device(&range).map_err(device),
            (Call::SyncToCpu(range), _) => self.reference.sync_to_cpu(&range).map_err(device),
            (Call::ReadRegister { offset }, Answer::Value(value)) => {
                self.seen.read(RegisterOffset(offset), *value);
                Ok(())
            }
            (Call::WriteRegister { .. }, _) if call.rings() => self.ring(record).map_err(device),
            (Call::WriteRegister { offset, value }, _) => self
                .write_register(RegisterOffset(offset), value)
                .map_err(device),
            (Call::Reset, _) => self.reference.reset().map_err(device),
            _ => Ok(()),
        }
    }

    fn write_register(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        let [last, before] = &mut self.named;
        if register == regs::PROGRAM_ADDRESS_LOW {
            *before = *last;
        }
        last.write(register, value);
        if register != regs::PROGRAM_LENGTH {
            return Ok(());
        }
        let named = *last;
        let length = u64::from(value) * INSTRUCTION_BYTES as u64;
        if let Some(range) = find(&self.reference.recorded, named.address(), length)
            && let Ok(program) = self.reference.program(&named)?
        {
            self.programs.retain(|(other, _)| *other != range);
            if self.programs.len() == MOST_PROGRAMS {
                self.programs.remove(0);
            }
            self.programs.push((range, program));
        }
        Ok(())
    }

    /// Runs the program that the registers name.
    fn ring(&mut self, record: u64) -> Result<(), DeviceError> {
        self.comparison.runs += 1;
        self.executed = None;
        self.seen = Seen {
            runs_before: self.seen.runs_after.or(self.seen.runs_before),
            record,
            ..Seen::default()
        };
        let [last, before] = self.named;
        let result = match self.reference.program(&last)? {
            Ok(program) => self.reference.run(&program)?.map(|end| (program, end)),
            Err(error) => Err(error),
        };
        match result {
            Ok((program, end)) => {
                let steps = self.recording.begin().steps;
                let owner = match steps {
                    true => self.reference.program(&before)?.ok(),
                    false => None,
                };
                let g = self.reference.geometry();
                self.executed = Some(Executed::new(&g, program, owner.as_deref()));
                self.seen.reference = Some(end);
            }
            Err(reason) => self.found(record, What::Program { reason }),
        }
        Ok(())
    }

    /// A run is over: whether it ended as the reference's did.
    fn ended(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        if let (Some(recorded), Some(reference)) = (seen.recorded(), seen.reference)
            && recorded != reference
        {
            let what = What::Run {
                recorded,
                reference,
            };
            self.found(seen.record, what);
        }
        self.seen.runs_before = seen.runs_after.or(seen.runs_before);
    }

    /// Compares what was read.
    fn read(&mut self, record: u64, event: &Event, range: &Range) -> Result<(), CompareError> {
        if self.comparison.runs > 0 && self.seen.reference.is_none() && self.executed.is_none() {
            // The program could not be run: whatever is there is no result.
            return Ok(());
        }
        let device = |source| CompareError::Device {
            record,
            call: event.call,
            source,
        };
        let mut traced = Traced::default();
        let context = trace::Context {
            g: &self.reference.geometry(),
            buffers: &self.reference.recorded.clone(),
            programs: &self.programs,
            executed: self.executed.as_ref(),
            read: range,
        };
        let reference = &mut self.reference;
        let mut bytes = 0;
        self.recording.parts(&event.data, |start, part| {
            let mut own = vec![0; part.len()];
            let offset = range.offset.saturating_add(start);
            reference
                .read(range.buffer, offset, &mut own)
                .map_err(device)?;
            bytes += part.len() as u64;
            if part != own {
                traced.part(&context, offset, part, &own);
            }
            Ok::<_, CompareError>(())
        })?;
        self.comparison.bytes += bytes;
        for what in traced.finish() {
            self.found(record, what);
        }
        Ok(())
    }

    /// Keeps the first difference of each kind.
    fn found(&mut self, record: u64, what: What) {
        let found = &mut self.comparison.differences;
        if found.iter().any(|d| d.what.rank() == what.rank()) {
            return;
        }
        let g = self.reference.geometry();
        let buffers = &self.reference.recorded;
        let read = match &what {
            What::Code { bytes, .. } => Some(bytes.read.buffer),
            _ => None,
        };
        let program = match read {
            Some(buffer) => {
                let named = self
                    .programs
                    .iter()
                    .find(|(range, _)| range.buffer == buffer);
                named.map(|(_, program)| program)
            }
            None => self.executed.as_ref().map(|e| &e.owner),
        };
        let program = program.map(|program| relocatable(&g, buffers, program));
        found.push(Difference {
            record,
            run: self.comparison.runs,
            what,
            program,
        });
    }
}
