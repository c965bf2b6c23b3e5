//! Why a session fails.

use std::time::Duration;

use fqbert_compiler::CompileError;
use fqbert_contract::DeviceAddress;
use fqbert_contract::capability::Difference;
use fqbert_contract::device::DeviceError;
use fqbert_contract::isa::FaultCause;
use fqbert_contract::layout::LayoutError;
use fqbert_contract::program::BindError;
use fqbert_contract::verify::Violation;
use fqbert_host::{HostError, InputError};

use crate::damage::{Content, Damage};
use crate::post_mortem::PostMortem;
use crate::unproven::Unproven;

/// Why a session cannot be opened or a request not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The host's part.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The accelerator cannot run this model.
    #[error("the accelerator does not fit the program: {}", list(.0))]
    Incompatible(Vec<Difference>),
    /// The model does not fit the accelerator.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The compiler made a program that its own verifier refuses: a bug, never run.
    #[error(
        "the program for {sequence} tokens failed verification and was not run: {}",
        list(.violations)
    )]
    Verify {
        /// Its sequence bucket.
        sequence: u32,
        /// What is wrong with it.
        violations: Vec<Violation>,
    },
    /// The program's addresses cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A matrix of a wrong size met the accelerator's layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A sequence longer than any program that fits the accelerator.
    #[error(
        "the text has {tokens} tokens, the longest sequence of this model on this device is \
         {longest}; shorten or split it"
    )]
    TooLong {
        /// Tokens of the sequence.
        tokens: usize,
        /// The largest bucket.
        longest: usize,
    },
    /// A call on the accelerator failed.
    #[error("{doing}")]
    Device {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        #[source]
        source: DeviceError,
    },
    /// The accelerator stopped with a fault.
    #[error(
        "the accelerator stopped with {} ({}) at instruction {}: {post_mortem}",
        .cause.name(),
        .cause.doc(),
        .post_mortem.fault_index
    )]
    Fault {
        /// The cause it gave.
        cause: FaultCause,
        /// Its state.
        post_mortem: Box<PostMortem>,
    },
    /// No attempt is proven to have run, so that there is no output to believe.
    #[error(
        "no run of the accelerator is proven in {attempts} attempts: at the last {why}, \
         {} ms after the doorbell (deadline {} ms); it was reset: {post_mortem}",
        .waited.as_millis(), .deadline.as_millis()
    )]
    Hang {
        /// What was missing at the last attempt.
        why: Unproven,
        /// How long the last attempt waited.
        waited: Duration,
        /// How long one attempt may wait.
        deadline: Duration,
        /// How often it was tried.
        attempts: u32,
        /// Its state at the last one.
        post_mortem: Box<PostMortem>,
    },
    /// Memory that does not hold what is written to it.
    #[error(
        "device memory from {} up to {end} does not hold what is written: {damage} after it was \
         written again; keep the accelerator off that memory (device-tree/ says which it is \
         given), or replace it",
        .damage.address
    )]
    Stuck {
        /// What does not stay.
        damage: Damage,
        /// One past the last byte that differs in the block.
        end: DeviceAddress,
    },
    /// Each attempt was computed from memory that was damaged afterwards.
    #[error(
        "device memory was damaged after each of {attempts} runs, so that there is no answer: at \
         the last {damage}; it has been written again, try once more, and check the memory if \
         this comes back"
    )]
    Damaged {
        /// How often it was tried.
        attempts: u32,
        /// What was found after the last.
        damage: Damage,
    },
    /// What damaged device memory would be written from is not what was written first.
    #[error(
        "{content} in device memory is damaged and cannot be written again: made once more it is \
         another, so the model has changed in this computer's memory; open the model again, and \
         check that memory if this comes back"
    )]
    SourceChanged {
        /// What it is.
        content: Content,
    },
    /// The accelerator failed too often and is left alone.
    #[error(
        "the accelerator was taken out after {resets} resets within {:.1} s, at the last: {cause}; \
         one run is tried in {:.1} s, or use it at once with rearm",
        .within.as_secs_f64(), .left.as_secs_f64()
    )]
    TakenOut {
        /// Resets that were too many.
        resets: usize,
        /// From the first to the last of them.
        within: Duration,
        /// What failed last.
        cause: String,
        /// Until a run is tried.
        left: Duration,
    },
    /// Device and fallback device have failed.
    #[error("{first}; the fallback device failed too: {second}")]
    Fallback {
        /// Why the device did not answer.
        first: String,
        /// Why the fallback did not.
        #[source]
        second: Box<SessionError>,
    },
    /// The session's thread has ended.
    #[error("the session was closed")]
    Closed,
}

impl SessionError {
    /// Whether the device is at fault, so that another one may answer; and not the request, the
    /// model, or a device too small for them.
    pub fn is_device_fault(&self) -> bool {
        match self {
            Self::Device { source, .. } => matches!(
                source,
                DeviceError::Timeout { .. }
                    | DeviceError::InterruptCount { .. }
                    | DeviceError::Unavailable { .. }
                    | DeviceError::Backend { .. }
            ),
            Self::Fault { .. }
            | Self::Hang { .. }
            | Self::Stuck { .. }
            | Self::Damaged { .. }
            | Self::TakenOut { .. } => true,
            _ => false,
        }
    }
}

/// An error with its causes. One that shows its source in its own text would say it twice.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    let mut causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.dedup_by(|cause, before| before.contains(cause.as_str()));
    causes.join(": ")
}

impl From<InputError> for SessionError {
    fn from(e: InputError) -> Self {
        Self::Host(e.into())
    }
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(T::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Adds what was being done to a device's error.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, SessionError>;
}

impl<T> Doing<T> for Result<T, DeviceError> {
    fn doing(self, doing: &'static str) -> Result<T, SessionError> {
        self.map_err(|source| SessionError::Device { doing, source })
    }
}
