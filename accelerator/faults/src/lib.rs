//! Fault injection: any device, with faults that a seed draws.
//!
//! A [`FaultyDevice`] passes every call on to the device inside, and now and then something goes
//! wrong: see [`Fault`] for the list. Each place where a fault may happen is an *opportunity*,
//! numbered from 1 for each fault; whether it happens at one, and how, depends on the seed, the
//! fault and that number alone. So the same calls meet the same faults, and one event of a history
//! can be named (`lost-doorbell@3`) and repeated alone.
//!
//! A [`Plan`] says which faults there are. A [`Switch`] turns them off and on from outside, while
//! a session owns the device, and tells what happened.

mod device;
mod dice;
mod fault;
mod flip;
mod plan;

pub use device::FaultyDevice;
pub use dice::{Event, Switch};
pub use fault::{Class, Fault};
pub use plan::{Plan, PlanError};
