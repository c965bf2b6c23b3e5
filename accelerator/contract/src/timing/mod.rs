//! Cycles of each instruction and of a program.
//!
//! The formulas are those of `docs/accelerator.md`; the RTL takes exactly these cycles when the
//! memory answers without back-pressure, with [`READ_LATENCY`] and [`WRITE_LATENCY`]. [`simulate`]
//! simulates a program in the queues: FETCH dispatches in program order, each queue starts its
//! instructions in order, an instruction starts when its semaphores are up, and units yield to each
//! other at ports of on-chip memories. Each part says which module of the RTL it follows.

mod bursts;
mod cost;
mod dma;
mod layer_norm;
mod load;
mod matrix;
mod order;
mod player;
mod ports;
mod queue;
mod schedule;
mod semaphores;
mod store;
mod vector;

pub use cost::{Cost, FETCH_CYCLES, READ_LATENCY, START_CYCLES, WRITE_LATENCY, cost};
pub use dma::Times;
pub use matrix::Matrix;
pub use ports::{Calendar, Pattern, Ports};
pub use queue::{QUEUES, Queue, UNITS, unit_name};
pub use schedule::{Counters, Schedule, Slot, Stuck, Waits};
pub use semaphores::{signals, waits};
pub use vector::Vector;

use crate::geometry::Geometry;
use crate::isa::Instruction;

/// In which order whole instructions may be executed one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// As they start.
    #[default]
    Earliest,
    /// Any that queues and semaphores allow, drawn by a generator from this seed: a program that
    /// lacks a semaphore gives other results under some seed. Times are the same.
    Seeded(u64),
}

/// Plays `instructions` through the queues of `g`. END completes when everything before it has.
///
/// # Errors
/// If the program does not come to its end, by the model's times or in the order drawn.
pub fn simulate(
    g: &Geometry,
    instructions: &[Instruction],
    policy: Policy,
) -> Result<Schedule, Stuck> {
    let mut schedule = player::play(g, instructions)?;
    if let Policy::Seeded(seed) = policy {
        schedule.order = order::draw(instructions, seed)?;
    }
    Ok(schedule)
}
