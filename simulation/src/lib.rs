//! Simulation of the whole stack, from text to answer, under faults.
//!
//! A history is what one seed says: a session's options, what callers ask, how long programs take,
//! and which faults the device has. Everything happens in one thread and in virtual time, so that
//! the same seed is the same history, and a deadline of a minute takes none. After each history its
//! properties are checked ([`Property`]); docs/simulation.md says them in full, and which faults
//! they hold under.

mod awaited;
mod campaign;
mod device;
mod history;
mod in_turn;
mod play;
mod property;
mod scenario;
mod shrink;
mod world;

pub use campaign::{Campaign, Tally, alone_in_its_pool, run as campaign};
pub use device::{Clock, VirtualDevice};
pub use history::Outcome;
pub use play::run;
pub use property::{Property, Violation};
pub use scenario::{Scenario, Step};
pub use shrink::{events_alone, shrink};
pub use world::World;
