//! What a comparison found.

use fqbert_contract::isa::FaultCause;
use fqbert_contract::isa::MemoryId;
use fqbert_contract::program::Program;
use std::fmt;

use crate::code::CodeError;
use crate::format::Range;
use crate::reader::Ending;

/// What a comparison found.
#[derive(Debug)]
pub struct Comparison {
    /// Programs that were carried out on the reference.
    pub runs: u32,
    /// Bytes of device memory that were compared.
    pub bytes: u64,
    /// The first difference of each kind, what explains most first; none where all is equal.
    pub differences: Vec<Difference>,
    /// How the recording ends; none where the comparison ended before, at a difference.
    pub ending: Option<Ending>,
}

/// A difference between the recorded device and the reference.
#[derive(Debug)]
pub struct Difference {
    /// Number of the record of the call that shows it.
    pub record: u64,
    /// Which run was the last before it, from 1; 0 before the first.
    pub run: u32,
    /// What differs.
    pub what: What,
    /// The program of that run, with the indices of `what`.
    pub program: Option<Program>,
}

/// An instruction of the program that was given to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Its index.
    pub instruction: u32,
    /// Its encoder layer.
    pub layer: u8,
    /// What it computes.
    pub computes: &'static str,
}

/// Bytes read from device memory that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// What was read.
    pub read: Range,
    /// The first byte of the buffer that differs.
    pub offset: u64,
    /// As it was recorded.
    pub recorded: u8,
    /// As it is in the reference's memory.
    pub reference: u8,
}

/// A result that differs.
#[derive(Debug)]
pub struct WrongResult {
    /// The instruction.
    pub at: At,
    /// The STORE that brought the result to device memory.
    pub store: u32,
    /// The memory it lies in.
    pub memory: MemoryId,
    /// Token and channel, unless it was loaded.
    pub element: Option<(u64, u64)>,
    /// The value as it was recorded.
    pub recorded: i32,
    /// The reference's.
    pub reference: i32,
    /// Bytes of results that differ in what was read.
    pub differing: u64,
    /// Instructions through whose results, which no STORE can read, its operands came.
    pub unseen: Vec<At>,
    /// Where.
    pub bytes: Bytes,
}

/// What differs.
#[derive(Debug)]
pub enum What {
    /// A word of a program has changed in device memory.
    Code {
        /// The instruction.
        at: At,
        /// Which of its words.
        word: u32,
        /// As it was recorded.
        recorded: u32,
        /// As it was written.
        written: u32,
        /// Where.
        bytes: Bytes,
    },
    /// Weights, parameters or inputs have changed in device memory.
    Operand {
        /// The LOAD that copies it.
        load: At,
        /// Where it is copied to.
        memory: MemoryId,
        /// Word of that memory.
        word: u64,
        /// The MATMUL that multiplies by it, with the output and the term of its product.
        weight: Option<(At, u64, u64)>,
        /// Where.
        bytes: Bytes,
    },
    /// An instruction has another result.
    Result(WrongResult),
    /// Bytes that no program explains.
    Memory {
        /// Where.
        bytes: Bytes,
    },
    /// A run ended in another way.
    Run {
        /// As it was recorded.
        recorded: RunEnd,
        /// On the reference.
        reference: RunEnd,
    },
    /// What was recorded as a program cannot be carried out on the reference.
    Program {
        /// Why.
        reason: CodeError,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// With END.
    Done,
    /// With a fault.
    Fault {
        /// The cause, as far as it is known.
        cause: Option<FaultCause>,
    },
    /// It was still running.
    Running,
    /// It had not begun.
    NotStarted,
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => write!(f, "it was done"),
            Self::Fault { cause: Some(cause) } => {
                write!(f, "fault {} ({})", cause.name(), cause.doc())
            }
            Self::Fault { cause: None } => write!(f, "a fault"),
            Self::Running => write!(f, "it was still running"),
            Self::NotStarted => write!(f, "it had not started"),
        }
    }
}

impl What {
    /// Where it stands among the differences of a run: what explains the others first.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Code { .. } => 0,
            Self::Operand { .. } => 1,
            Self::Memory { .. } => 2,
            Self::Result(_) => 3,
            Self::Program { .. } => 4,
            Self::Run { .. } => 5,
        }
    }
}
