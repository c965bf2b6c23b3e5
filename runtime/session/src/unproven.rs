//! What is missing where a run is not proven to have happened.

use std::fmt;

/// Why the output of an attempt is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// The input that was written is not in device memory.
    NotDelivered,
    /// The accelerator was running, or stopped by a fault, before the doorbell was rung.
    NotIdle {
        /// STATUS before the doorbell.
        status: u32,
    },
    /// The doorbell was never heard: nothing runs, and no run was counted.
    NotStarted,
    /// The accelerator says that it ignored the doorbell or the program's address.
    Ignored {
        /// STATUS after the doorbell.
        status: u32,
    },
    /// It was still running at the deadline.
    Running,
    /// It ended, but not once: the counter of runs went on by another number than 1.
    Counted {
        /// How much the counter went on by.
        runs: u32,
    },
    /// It counted a run and is idle, but says neither DONE nor FAULT.
    Undecided {
        /// STATUS after the doorbell.
        status: u32,
    },
    /// It says that it is done, but part of the output was never written.
    NotWritten,
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDelivered => write!(f, "its input did not arrive in device memory"),
            Self::NotIdle { status } => {
                write!(
                    f,
                    "it was not idle before the doorbell (status {status:#x})"
                )
            }
            Self::NotStarted => write!(f, "the doorbell was not heard: nothing runs"),
            Self::Ignored { status } => write!(f, "it ignored the doorbell (status {status:#x})"),
            Self::Running => write!(f, "it was still running"),
            Self::Counted { runs } => write!(f, "it counted {runs} runs for one doorbell"),
            Self::Undecided { status } => {
                write!(
                    f,
                    "it ended neither done nor with a fault (status {status:#x})"
                )
            }
            Self::NotWritten => write!(f, "it says done, but its output was not written"),
        }
    }
}
