//! What a check can find.

use std::fmt;

use super::fields::FieldViolation;
use super::footprint::Area;
use super::obligation::Obligation;
use crate::capability::Difference;
use crate::isa::{MemoryId, SEMAPHORE_MAX};
use crate::program::BindError;
use crate::timing::Stuck;

/// What two instructions touch, or one reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A word of an on-chip memory.
    Word(MemoryId, u64),
    /// The beat at this byte of the output region.
    Output(u64),
    /// The beat at this byte of the input region.
    Input(u64),
}

impl Place {
    pub(super) fn word(area: &Area, word: u64) -> Self {
        Self::Word(area.memory, word)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(memory, word) => write!(f, "{} word {word}", memory.name()),
            Self::Output(byte) => write!(f, "byte {byte} of the output region"),
            Self::Input(byte) => write!(f, "byte {byte} of the input region"),
        }
    }
}

/// What is wrong with a program.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// It was made for another contract or geometry, or does not ask for a feature that it uses.
    #[error("requirements: {0}")]
    Requirements(Difference),
    /// The program is empty, too long, has no END at its end, or one before.
    #[error("{0}")]
    Shape(String),
    /// A field that the accelerator would refuse with `ILLEGAL_FIELD`.
    #[error("instruction {index}: {violation}")]
    Field {
        /// Index of the instruction.
        index: u32,
        /// The field.
        violation: FieldViolation,
    },
    /// A DDR access that cannot be bound.
    #[error("{0}")]
    Binding(#[from] BindError),
    /// A part of the input or output that the host uses does not lie in its region, lies over
    /// another, or is not of the size of the program's matrices.
    #[error("{part} is bytes {start}..{end} of the {region} region, {rule}")]
    Part {
        /// Which part.
        part: &'static str,
        /// Name of the region.
        region: &'static str,
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
        /// What it must be.
        rule: String,
    },
    /// A STORE to what the host or other programs own.
    #[error("instruction {index} stores to the {region} region, which no program may change")]
    Direction {
        /// Index of the instruction.
        index: u32,
        /// Name of the region.
        region: &'static str,
    },
    /// A semaphore with more than one producer or consumer queue: its meaning would depend on time.
    #[error(
        "instruction {index}: semaphore {semaphore} is {role} by {first} and {second}; \
         one queue each may raise and take it"
    )]
    Shared {
        /// Index of the first instruction of the second queue.
        index: u32,
        /// The semaphore.
        semaphore: usize,
        /// "raised" or "taken".
        role: &'static str,
        /// One queue.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A semaphore does not end at zero.
    #[error("semaphore {semaphore} is raised {raised} times and taken {taken} times")]
    Unbalanced {
        /// The semaphore.
        semaphore: usize,
        /// Signals in the program.
        raised: usize,
        /// Waits in the program.
        taken: usize,
    },
    /// A semaphore's count goes above its maximum where its consumer is slow.
    #[error(
        "instruction {index} can raise semaphore {semaphore} to {count}, above {SEMAPHORE_MAX}: \
         no semaphore forces its consumer to have taken more by then"
    )]
    Unbounded {
        /// Index of the instruction that raises it.
        index: u32,
        /// The semaphore.
        semaphore: usize,
        /// The count it can reach.
        count: u32,
    },
    /// The program does not come to its end.
    #[error("{0}")]
    Stuck(#[from] Stuck),
    /// Two instructions touch the same, at least one writes it, and nothing orders them.
    #[error(
        "instructions {first} and {second} both touch {place} ({hazard}) \
         and no semaphore orders them"
    )]
    Race {
        /// The one earlier in the program.
        first: u32,
        /// The later.
        second: u32,
        /// The first such word or beat.
        place: Place,
        /// Read after write, write after read or write after write.
        hazard: &'static str,
    },
    /// Something is read that has not been written, all or in part.
    #[error("instruction {index} reads {place}, not all of which has been written")]
    Uninitialised {
        /// Index of the instruction.
        index: u32,
        /// The first such word or beat.
        place: Place,
    },
    /// A MATMUL writes words that it reads, or a LAYERNORM words of RESX that it has yet to read
    /// for a later row tile, or two tiles are written to the same words: the instruction's parts
    /// overlap in time, so it depends on the accelerator which values count.
    #[error(
        "instruction {index} writes words that it may still have to read, or words for two tiles: \
         results of a MATMUL lie apart from its operands, y16 of a LAYERNORM over x itself or \
         apart from it, and tiles apart from each other"
    )]
    Overlap {
        /// Index of the instruction.
        index: u32,
    },
    /// A part of the output that the host reads is not stored.
    #[error("nothing stores byte {byte} of the output region, which the host reads")]
    Incomplete {
        /// The first such byte.
        byte: u64,
    },
}

impl Violation {
    /// What it violates.
    pub fn obligation(&self) -> Obligation {
        match self {
            Self::Requirements(_) => Obligation::Requirements,
            Self::Shape(_) => Obligation::Shape,
            Self::Field { .. } | Self::Binding(BindError::Encode { .. }) => Obligation::Fields,
            Self::Binding(BindError::Unaligned { .. }) => Obligation::Alignment,
            Self::Binding(_) | Self::Part { .. } => Obligation::Regions,
            Self::Direction { .. } => Obligation::Direction,
            Self::Shared { .. } | Self::Unbalanced { .. } | Self::Unbounded { .. } => {
                Obligation::Semaphores
            }
            Self::Stuck(Stuck::Overflow { .. }) => Obligation::Semaphores,
            Self::Stuck(Stuck::Deadlock { .. }) => Obligation::Progress,
            Self::Race { .. } => Obligation::Order,
            Self::Uninitialised { .. } => Obligation::Initialisation,
            Self::Overlap { .. } => Obligation::SelfOverlap,
            Self::Incomplete { .. } => Obligation::Output,
        }
    }

    /// The instruction it is about: of a race the later one, of a deadlock the first that waits.
    pub fn instruction(&self) -> Option<u32> {
        match self {
            Self::Field { index, .. }
            | Self::Direction { index, .. }
            | Self::Shared { index, .. }
            | Self::Unbounded { index, .. }
            | Self::Uninitialised { index, .. }
            | Self::Overlap { index } => Some(*index),
            Self::Race { second, .. } => Some(*second),
            Self::Binding(error) => error.instruction(),
            Self::Stuck(Stuck::Overflow { instruction, .. }) => Some(*instruction),
            Self::Stuck(Stuck::Deadlock { heads, .. }) => heads.iter().map(|(_, at)| *at).min(),
            Self::Requirements(_)
            | Self::Shape(_)
            | Self::Part { .. }
            | Self::Unbalanced { .. }
            | Self::Incomplete { .. } => None,
        }
    }
}
