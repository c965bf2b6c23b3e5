//! What to run, and how it went.

use std::fmt;
use std::time::{Duration, Instant};

use fqbert_contract::device::DeviceError;

use crate::sequence::BuildError;

/// What to run and what to expect of the backend.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seed of all random data and programs.
    pub seed: u64,
    /// Random multi-engine programs to run.
    pub programs: u32,
    /// How long one program may take.
    pub deadline: Duration,
    /// How long a program that must not end is watched.
    pub hang: Duration,
    /// The CPU's view of memory differs from the device's until synced: a missing sync is checked
    /// to show.
    pub models_staleness: bool,
    /// Counters are those of the timing model to the cycle.
    pub models_timing: bool,
    /// Only cases whose name contains this.
    pub filter: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            programs: 12,
            deadline: Duration::from_secs(60),
            hang: Duration::from_millis(50),
            models_staleness: false,
            models_timing: false,
            filter: None,
        }
    }
}

impl Options {
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|f| name.contains(f.as_str()))
    }
}

/// Why a case fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Something read back is not what the contract says.
    #[error("{0}")]
    Wrong(String),
    /// A call that must succeed failed.
    #[error("{0}")]
    Device(#[from] DeviceError),
    /// The suite could not make a program for this geometry.
    #[error("making the program: {0}")]
    Build(#[from] BuildError),
}

/// How a case went.
#[derive(Debug)]
pub enum Outcome {
    /// As the contract says.
    Passed,
    /// Not run, with the reason.
    Skipped(&'static str),
    /// Not as the contract says.
    Failed(Failure),
}

/// One case of a report.
#[derive(Debug)]
pub struct CaseReport {
    /// Name of the case.
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// How long it took.
    pub elapsed: Duration,
}

/// What [`run`](crate::run) found.
#[derive(Debug, Default)]
pub struct Report {
    /// Every case, in order.
    pub cases: Vec<CaseReport>,
}

impl Report {
    pub(crate) fn add(&mut self, name: &'static str, body: impl FnOnce() -> Result<(), Failure>) {
        let began = Instant::now();
        let outcome = match body() {
            Ok(()) => Outcome::Passed,
            Err(failure) => Outcome::Failed(failure),
        };
        self.cases.push(CaseReport {
            name,
            outcome,
            elapsed: began.elapsed(),
        });
    }

    /// Whether no case failed, and at least one passed.
    pub fn passed(&self) -> bool {
        let passed = self
            .cases
            .iter()
            .any(|c| matches!(c.outcome, Outcome::Passed));
        passed && self.failures().next().is_none()
    }

    /// The cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases
            .iter()
            .filter(|c| matches!(c.outcome, Outcome::Failed(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            let ms = case.elapsed.as_millis();
            match &case.outcome {
                Outcome::Passed => writeln!(f, "ok      {} ({ms} ms)", case.name)?,
                Outcome::Skipped(why) => writeln!(f, "skipped {}: {why}", case.name)?,
                Outcome::Failed(why) => writeln!(f, "FAILED  {}: {why}", case.name)?,
            }
        }
        Ok(())
    }
}

/// Fails with a formatted message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::report::Failure::Wrong(format!($($message)+)));
        }
    };
}
pub(crate) use ensure;
