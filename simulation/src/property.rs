//! What must hold in every history.

use std::fmt;

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub property: Property,
    /// What happened instead.
    pub told: String,
}

/// What must hold in every history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// An answer is right, or an error.
    Right,
    /// Every accepted request is answered.
    Answered,
    /// An error has a cause: interrupts gone astray are none, nor are as many failed attempts as
    /// there are retries.
    ErrorsHaveCauses,
    /// A request takes no longer than its attempts' deadlines.
    InTime,
    /// After the faults every request is answered rightly.
    UsableAfterwards,
    /// When a session is closed, all device memory is free.
    NothingLeaked,
    /// Nothing panics.
    NoPanic,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::Right => "an answer is right or an error",
            Property::Answered => "an accepted request is answered once",
            Property::ErrorsHaveCauses => "an error has a cause",
            Property::InTime => "no wait past its deadline",
            Property::UsableAfterwards => "the device is usable afterwards",
            Property::NothingLeaked => "nothing is leaked",
            Property::NoPanic => "nothing panics",
        })
    }
}
