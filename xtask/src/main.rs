//! `cargo xtask`: the one entry for everything around the build that is not plain cargo.
//!
//! Each subcommand is one match arm that calls one module; `cargo xtask` alone lists them.

mod apt;
mod compare;
mod cross;
mod dt;
mod full_check;
mod fuzz;
mod r#gen;
mod host;
mod hot_loops;
mod planted;
mod python;
mod qat;
mod synth;
mod test;
mod tidy;
mod tokens;
mod vm;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Cli {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Compare two checkouts: golden vectors, logits, programs and cycles, byte for byte.
    Compare(compare::Args),
    /// Build, check or test for the board's aarch64 without a container engine.
    Cross(cross::Args),
    /// Generate the address constants of device-tree/boards.toml, or check them.
    Dt(dt::Args),
    /// Slow sweeps: tests marked as slow, property tests with many cases, the benchmarks' crates.
    FullCheck(full_check::Args),
    /// Fuzz what reads inputs from outside, with libFuzzer.
    Fuzz(fuzz::Args),
    /// Generate what derives from the contract's sources, or check it.
    Gen(r#gen::Args),
    /// Read the machine code of the kernels' inner loops: instructions by class, modelled cycles.
    HotLoops(hot_loops::Args),
    /// Put known bugs into a copy of the tree, one at a time: the simulation must find each.
    Planted(planted::Args),
    /// Quantization-aware training: its tests, a short training, its export on the emulator.
    Qat(qat::Args),
    /// Synthesize the RTL with Yosys: what it takes on the board's part.
    Synth(synth::Args),
    /// Run every check that a change must pass, or the quick ones.
    Test(test::Args),
    /// Check what no compiler does: widths, links, lists in ARCHITECTURE.md, import circles.
    Tidy(tidy::Args),
    /// Boot a virtual ZCU102 with the emulated accelerator and run a command in it.
    Vm(vm::Args),
}

/// How long each takes on two cores, with what it fetches and builds the first time.
const TIMES: [(&str, &str); 13] = [
    ("compare", "5 min"),
    ("cross", "4 min, then what changed"),
    ("dt", "a second"),
    ("full-check", "hours"),
    ("fuzz", "a minute for each target"),
    ("gen", "a minute, then seconds"),
    ("hot-loops", "a minute for each target"),
    ("planted", "15 min"),
    ("qat", "15 min"),
    ("synth", "45 min, then what changed"),
    ("test", "35 min; --quick 5 min"),
    ("tidy", "a second"),
    ("vm", "12 min, then one"),
];

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        None => {
            print!("{}", tasks());
            Ok(ExitCode::SUCCESS)
        }
        Some(Task::Compare(args)) => compare::main(&args),
        Some(Task::Cross(args)) => cross::main(&args),
        Some(Task::Dt(args)) => dt::main(&args),
        Some(Task::FullCheck(args)) => full_check::main(&args),
        Some(Task::Fuzz(args)) => fuzz::main(&args),
        Some(Task::Gen(args)) => r#gen::main(&args),
        Some(Task::HotLoops(args)) => hot_loops::main(&args),
        Some(Task::Planted(args)) => planted::main(&args),
        Some(Task::Qat(args)) => qat::main(&args),
        Some(Task::Synth(args)) => synth::main(&args),
        Some(Task::Test(args)) => test::main(&args),
        Some(Task::Tidy(args)) => tidy::main(&args),
        Some(Task::Vm(args)) => vm::main(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// What each task is for and how long it takes.
fn tasks() -> String {
    let mut text =
        String::from("Usage: cargo xtask TASK [OPTIONS]; --help behind a task tells more\n\n");
    for task in Cli::command().get_subcommands() {
        let name = task.get_name();
        let time = TIMES.iter().find(|(of, _)| *of == name);
        let time = time.map_or("", |(_, time)| time);
        let about = task
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        text += &format!("  {name:11} {time:25} {about}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_has_a_line_with_its_time() {
        let text = tasks();
        for task in Cli::command().get_subcommands() {
            let line = text
                .lines()
                .find(|l| l.contains(&format!("  {} ", task.get_name())));
            let time = TIMES.iter().find(|(name, _)| *name == task.get_name());
            assert!(line.unwrap().contains(time.unwrap().1));
        }
        assert_eq!(Cli::command().get_subcommands().count(), TIMES.len());
    }
}
