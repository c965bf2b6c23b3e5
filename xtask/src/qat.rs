//! `cargo xtask qat`: quantization-aware training from its tests to an export that the emulator runs.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::host::{note, root, run};
use crate::python;

/// `cargo xtask qat`.
#[derive(clap::Args)]
pub struct Args {}

/// The package's tests; a short training of a tiny model, its export and its simulation in numpy; the same export through the quantizer,
/// the scalar reference and the emulator, compared with the simulation.
///
/// # Errors
/// The step that failed, or what it needs.
pub fn main(_: &Args) -> Result<ExitCode> {
    let root = root();
    let environment = python::environment(&root, python::QAT)?;
    let python = |args: &[&str]| {
        let mut command = Command::new(environment.join("bin/python"));
        command.current_dir(root.join("quantizer/qat")).args(args);
        command
    };
    note("== the package's tests");
    run(&mut python(&[
        "-m", "unittest", "discover", "-t", ".", "-s", "tests",
    ]))?;
    note("== a short training");
    let folder = root.join("target/qat-smoke");
    run(python(&["-m", "fqbert_qat", "smoke"]).arg(&folder))?;
    note("== its export on the scalar reference and the emulator");
    run(Command::new("cargo")
        .current_dir(&root)
        .args(["test", "--locked", "--workspace", "--all-features"])
        .args(["--test", "learned", "--", "--include-ignored"])
        .env("FQBERT_QAT_EXPORT", folder.join("export")))?;
    Ok(ExitCode::SUCCESS)
}
