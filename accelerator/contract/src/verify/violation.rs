//! What a check can find.

use super::fields::FieldViolation;
use crate::program::BindError;
use crate::timing::Stuck;

/// What is wrong with a program.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Violation {
    /// A field that the accelerator would refuse with `ILLEGAL_FIELD`.
    #[error("instruction {index}: {violation}")]
    Field {
        /// Index of the instruction.
        index: u32,
        /// The field.
        violation: FieldViolation,
    },
    /// The program is empty, too long, has no END at its end, or one before.
    #[error("{0}")]
    Shape(String),
    /// A DDR access that cannot be bound.
    #[error("{0}")]
    Binding(#[from] BindError),
    /// A semaphore with more than one producer or consumer queue: its meaning would depend on time.
    #[error(
        "semaphore {semaphore} is {role} by {first} and {second}; \
         one queue each may raise and take it"
    )]
    Shared {
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
    /// The program does not come to its end.
    #[error("{0}")]
    Stuck(#[from] Stuck),
    /// Two instructions touch a word, at least one writes it, and nothing orders them.
    #[error(
        "instructions {first} and {second} both touch {memory} word {word} ({hazard}) \
         and no semaphore orders them"
    )]
    Race {
        /// The one earlier in the program.
        first: u32,
        /// The later.
        second: u32,
        /// The memory.
        memory: &'static str,
        /// The first such word.
        word: u32,
        /// Read after write, write after read or write after write.
        hazard: &'static str,
    },
    /// A LAYERNORM writes words of RESX that it has yet to read for a later row tile: its passes
    /// overlap, so it depends on the accelerator which it gets.
    #[error(
        "instruction {index} writes y16 of a row tile over x of a later one; \
         y16 may lie over x itself, or apart from it"
    )]
    Overlap {
        /// Index of the instruction.
        index: u32,
    },
    /// A word is read that nothing in the program has written.
    #[error("instruction {index} reads {memory} word {word}, which nothing has written")]
    Uninitialised {
        /// Index of the instruction.
        index: u32,
        /// The memory.
        memory: &'static str,
        /// The first such word.
        word: u32,
    },
}
