//! What is drawn from the seed, and what came of it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fqbert_random::Random;

use crate::fault::{Class, Fault};
use crate::plan::Plan;

/// A fault that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub fault: Fault,
    /// At which of its opportunities, from 1.
    pub opportunity: u64,
    /// Whether data changed and nothing says so: not every sync that is skipped does that.
    pub class: Class,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.fault, self.opportunity)
    }
}

/// Draws faults.
#[derive(Debug)]
struct Dice {
    /// Differs with the seed in all of its bits.
    key: u64,
    plan: Plan,
    armed: bool,
    met: [u64; Fault::COUNT],
    events: Vec<Event>,
}

/// The faults of a [`FaultyDevice`](crate::FaultyDevice), in the hands of who does not own it.
#[derive(Clone, Debug)]
pub struct Switch(Arc<Mutex<Dice>>);

impl Switch {
    pub(crate) fn new(seed: u64, plan: Plan) -> Self {
        Self(Arc::new(Mutex::new(Dice {
            key: Random::new(seed).next_u64(),
            plan,
            armed: true,
            met: [0; Fault::COUNT],
            events: Vec::new(),
        })))
    }

    fn dice(&self) -> MutexGuard<'_, Dice> {
        // Whole whenever the lock is free.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns faults on or off. What has happened stays: a stuck engine is stuck until a reset. A
    /// device that is gone is back at the first call after faults are off.
    pub fn arm(&self, on: bool) {
        self.dice().armed = on;
    }

    /// Whether faults are on.
    pub fn is_armed(&self) -> bool {
        self.dice().armed
    }

    /// What happened so far.
    pub fn events(&self) -> Vec<Event> {
        self.dice().events.clone()
    }

    /// Whether the plan has a fault at all.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        let dice = self.dice();
        dice.armed && dice.plan.has(fault)
    }

    /// An opportunity of a fault: the generator of how it happens, if it does.
    pub(crate) fn draw(&self, fault: Fault) -> Option<Random> {
        self.draw_as(fault, fault.class())
    }

    /// As [`Switch::draw`], for a fault whose class depends on where it happens.
    pub(crate) fn draw_as(&self, fault: Fault, class: Class) -> Option<Random> {
        let dice = &mut *self.dice();
        if !dice.armed {
            return None;
        }
        let met = &mut dice.met[fault as usize];
        *met += 1;
        let opportunity = *met;
        if !dice.plan.has(fault) {
            return None;
        }
        let seed = dice.key ^ (fault as u64) << 56 ^ opportunity;
        let mut random = Random::new(seed);
        if !dice.plan.hits(fault, opportunity, &mut random) {
            return None;
        }
        dice.events.push(Event {
            fault,
            opportunity,
            class,
        });
        Some(random)
    }
}
