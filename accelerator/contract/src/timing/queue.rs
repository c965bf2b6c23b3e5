//! The queues and the units that have counters.

use crate::isa::{Engine, Operation};

/// Number of units that have counters.
pub const UNITS: usize = 8;
/// Number of queues.
pub const QUEUES: usize = 7;

/// Index of the queue of MATRIX.
pub(super) const MATRIX: usize = 4;
/// Index of the queue of VECTOR.
pub(super) const VECTOR: usize = 5;
/// Index of the queue of STORE.
pub(super) const STORE: usize = 6;
/// Counters of FETCH.
pub(super) const FETCH_UNIT: usize = 0;

/// A queue of the accelerator: LOAD0..LOAD3, MATRIX, VECTOR, STORE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Queue(pub(super) u8);

impl Queue {
    /// The queue an operation goes to, ports above the geometry's included (the verifier refuses
    /// them).
    pub fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Load(l) => Self(l.port & 3),
            Operation::Nop(n) if n.engine == Engine::Load.code() => Self(n.port & 3),
            Operation::Nop(n) if n.engine == Engine::Matrix.code() => Self(MATRIX as u8),
            Operation::Nop(n) if n.engine == Engine::Vector.code() => Self(VECTOR as u8),
            Operation::Matmul(_) => Self(MATRIX as u8),
            Operation::Softmax(_) | Operation::Layernorm(_) => Self(VECTOR as u8),
            Operation::Store(_) | Operation::End(_) | Operation::Nop(_) => Self(STORE as u8),
        }
    }

    /// 0..7: LOAD0..LOAD3, MATRIX, VECTOR, STORE.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Index of its counters in the registers (FETCH is 0).
    pub fn unit(self) -> usize {
        self.index() + 1
    }

    /// Name for listings.
    pub fn name(self) -> &'static str {
        unit_name(self.unit())
    }
}

/// Name of the unit that has counters `unit`.
pub fn unit_name(unit: usize) -> &'static str {
    [
        "FETCH", "LOAD0", "LOAD1", "LOAD2", "LOAD3", "MATRIX", "VECTOR", "STORE",
    ]
    .get(unit)
    .copied()
    .unwrap_or("?")
}
