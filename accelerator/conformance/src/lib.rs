//! One suite for every device behind the `Device` trait.
//!
//! [`run`] drives any [`Device`] through registers, memory, every instruction and every fault of
//! the contract, and through random legal programs whose results come from the scalar functions of
//! `fqbert-numerics` on plain matrices: no code of any backend is involved in what is expected. The
//! emulator runs it in its tests; simulated RTL and a board run the same.
//!
//! Each case allocates what it needs, frees it, and leaves the accelerator reset, whether it passes
//! or not.

mod bench;
mod bus;
mod cases;
mod plain;
mod random;
mod rng;
mod scenario;
mod sequence;

use std::fmt;
use std::time::{Duration, Instant};

use fqbert_contract::device::{Device, DeviceError};
use fqbert_simulated::Simulated;

pub use random::{RandomProgram, random_program};
pub use sequence::BuildError;

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
    fn wants(&self, name: &str) -> bool {
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

/// What [`run`] found.
#[derive(Debug, Default)]
pub struct Report {
    /// Every case, in order.
    pub cases: Vec<CaseReport>,
}

impl Report {
    fn add(&mut self, name: &'static str, body: impl FnOnce() -> Result<(), Failure>) {
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

/// Names of all cases, in the order they run.
pub fn case_names() -> Vec<&'static str> {
    cases::ALL.iter().map(|c| c.name).collect()
}

/// Runs the suite. The accelerator must be idle, and nobody else may hold buffers whose bytes
/// matter.
pub fn run(device: &mut dyn Device, options: &Options) -> Report {
    let mut report = Report::default();
    for case in cases::ALL.iter().filter(|c| options.wants(c.name)) {
        if case.needs_staleness && !options.models_staleness {
            report.cases.push(CaseReport {
                name: case.name,
                outcome: Outcome::Skipped(
                    "this backend's views of memory are coherent, or not said to differ",
                ),
                elapsed: Duration::ZERO,
            });
            continue;
        }
        report.add(case.name, || {
            let device: &mut (dyn Device + '_) = &mut *device;
            bench::with(device, options, case.body)
        });
    }
    report
}

/// Runs what only a simulated accelerator can be put through: refused transfers, faults and resets
/// while bursts are open.
pub fn run_bus(device: &mut dyn Simulated, options: &Options) -> Report {
    let mut report = Report::default();
    for &(name, body) in bus::ALL.iter().filter(|(name, _)| options.wants(name)) {
        report.add(name, || {
            let device: &mut (dyn Simulated + '_) = &mut *device;
            bench::with(device, options, body)
        });
    }
    report
}

/// Fails with a formatted message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Failure::Wrong(format!($($message)+)));
        }
    };
}
pub(crate) use ensure;
