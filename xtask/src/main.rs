//! `cargo xtask`: the one entry for everything around the build that is not plain cargo.
//!
//! Each subcommand is one match arm that calls one module; `cargo xtask help` lists them.

mod apt;
mod cross;
mod dt;
mod full_check;
mod r#gen;
mod host;
mod python;
mod qat;
mod synth;
mod test;
mod tidy;
mod vm;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build, check or test for the board's aarch64 without a container engine.
    Cross(cross::Args),
    /// Generate the address constants of device-tree/boards.toml, or check them.
    Dt(dt::Args),
    /// Slow sweeps: tests marked as slow, property tests with many cases, the benchmarks' crates.
    FullCheck(full_check::Args),
    /// Generate what derives from the contract's sources, or check it.
    Gen(r#gen::Args),
    /// Quantization-aware training: its tests, a short training, its export on the emulator.
    Qat(qat::Args),
    /// Synthesize the RTL with Yosys: what it takes on the board's part.
    Synth(synth::Args),
    /// Run every check that a change must pass.
    Test(test::Args),
    /// Check what no compiler does: widths, links, lists in ARCHITECTURE.md, import circles.
    Tidy(tidy::Args),
    /// Boot a virtual ZCU102 with the emulated accelerator and run a command in it.
    Vm(vm::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Cross(args) => cross::main(&args),
        Task::Dt(args) => dt::main(&args),
        Task::FullCheck(args) => full_check::main(&args),
        Task::Gen(args) => r#gen::main(&args),
        Task::Qat(args) => qat::main(&args),
        Task::Synth(args) => synth::main(&args),
        Task::Test(args) => test::main(&args),
        Task::Tidy(args) => tidy::main(&args),
        Task::Vm(args) => vm::main(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
