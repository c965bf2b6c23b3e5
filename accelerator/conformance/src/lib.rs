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
mod code;
pub mod interpreter;
pub mod mutants;
mod placed;
mod random;
mod report;
mod rng;
mod scenario;
mod sequence;

use std::time::Duration;

use fqbert_contract::device::Device;
use fqbert_simulated::Simulated;

pub use random::{RandomProgram, random_program};
pub use report::{CaseReport, Failure, Options, Outcome, Report};
pub use sequence::BuildError;

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
