//! `cargo xtask qat`: quantization-aware training from its tests to an export that the emulator
//! runs.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::host::{note, root, run};
use crate::{python, test};

/// `cargo xtask qat`.
#[derive(clap::Args)]
pub struct Args {}

/// The package's tests; a short training of a tiny model, its export and its simulation in numpy; a
/// training by the command line that starts from what `fqbert quantize` made, interrupted and
/// resumed; both exports through the quantizer, the scalar reference and the emulator, compared
/// with the simulation.
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
    note("== training that starts from a model file, is interrupted and goes on");
    let (teacher, again) = (folder.join("teacher"), folder.join("again"));
    let data = teacher.join("train.tsv");
    let model = folder.join("model.safetensors");
    run(Command::new("cargo")
        .current_dir(&root)
        .args(["run", "--locked", "--release", "--quiet", "--"])
        .args(["quantize", "--column", "sentence", "--calibrate"])
        .args([&data, &teacher, Path::new("-o"), &model]))?;
    let train = |out: &Path, more: &[&str]| {
        let mut command = python(&["-m", "fqbert_qat", "train", "--threads", "1"]);
        command.args([
            "--steps",
            "20",
            "--checkpoint-every",
            "8",
            "--max-tokens",
            "16",
        ]);
        command
            .arg("--teacher")
            .arg(&teacher)
            .arg("--data")
            .arg(&data);
        command
            .arg("--start")
            .arg(&model)
            .arg("--out")
            .arg(out)
            .args(more);
        run(&mut command)
    };
    train(&again, &["--stop-at", "8"])?;
    train(&again, &["--resume"])?;
    let unbroken = folder.join("unbroken");
    train(&unbroken, &[])?;
    for name in ["model.safetensors", "fqbert-scales.json"] {
        let read = |out: &Path| std::fs::read(out.join("export").join(name));
        ensure!(
            read(&again)? == read(&unbroken)?,
            "{name} of the interrupted training is not the unbroken one's"
        );
    }
    run(python(&[
        "-m",
        "fqbert_qat",
        "simulate",
        "--max-tokens",
        "16",
        "--data",
    ])
    .args([&data, &again.join("export")]))?;
    note("== the exports on the scalar reference and the emulator");
    for export in [folder.join("export"), again.join("export")] {
        run(Command::new("cargo")
            .current_dir(&root)
            .args(test::TESTS)
            .args(["--test", "learned", "--", "--include-ignored"])
            // As the test command builds them.
            .env("FQBERT_COSIM_TOPS", test::COSIM_TOPS)
            .env("FQBERT_QAT_EXPORT", export))?;
    }
    Ok(ExitCode::SUCCESS)
}
