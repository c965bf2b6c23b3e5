//! `cargo xtask full-check`: what is too slow for every change.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::host::{note, root, run};

/// `cargo xtask full-check`.
#[derive(clap::Args)]
pub struct Args {}

/// Cases of each property test, against 256 by default.
const PROPTEST_CASES: &str = "4096";

/// Every test that is marked as slow, the property tests with more cases, and the benchmarks' crates, which the test command leaves out.
pub fn main(_: &Args) -> Result<ExitCode> {
    let root = root();
    let cargo = |args: &[&str]| {
        let mut command = Command::new("cargo");
        command
            .current_dir(&root)
            .args(args)
            .env("PROPTEST_CASES", PROPTEST_CASES);
        command
    };
    for args in [
        &[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ][..],
        &[
            "test",
            "--locked",
            "--workspace",
            "--all-features",
            "--",
            "--include-ignored",
        ],
    ] {
        note(format!("== cargo {}", args.join(" ")));
        run(&mut cargo(args))?;
    }
    Ok(ExitCode::SUCCESS)
}
