//! `cargo xtask fuzz`: libFuzzer over the targets of `fuzz/`, for minutes or hours.
//!
//! It needs cargo-fuzz. The test command does not: it runs each target on its seeds and on
//! mutations of them (`fuzz/tests/mutations.rs`).

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::host::{note, output, root, run, which};

/// `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Args {
    /// Targets [default: all].
    targets: Vec<String>,
    /// Minutes for each target.
    #[arg(long, default_value_t = 1)]
    minutes: u32,
    /// Run one target on this file instead, without a fuzzer.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

/// libFuzzer's package, a workspace of its own.
const PACKAGE: &str = "fuzz/libfuzzer";

/// What no input may take: memory in MiB, seconds.
const LIMITS: [&str; 2] = ["-rss_limit_mb=4096", "-timeout=20"];

/// Fuzzes each target. What was found is a file whose path libFuzzer prints; what it learned stays
/// under `target/fuzz` for the next time.
///
/// # Errors
/// A finding, or a tool that is missing.
pub fn main(args: &Args) -> Result<ExitCode> {
    let root = root();
    if let Some(file) = &args.input {
        let [target] = args.targets.as_slice() else {
            anyhow::bail!("--input needs one target: cargo xtask fuzz TARGET --input FILE");
        };
        run(targets(&root).args(["run", target]).arg(file))?;
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(
        which("cargo-fuzz").is_some(),
        "cargo-fuzz is not installed: cargo install cargo-fuzz --locked"
    );
    let folder = root.join("target/fuzz");
    let names = output(targets(&root).arg("seeds").arg(folder.join("seeds")))?;
    let all: Vec<&str> = names.lines().collect();
    for target in &args.targets {
        ensure!(
            all.contains(&target.as_str()),
            "no target is called {target}: {}",
            all.join(", ")
        );
    }
    let wanted = |name: &&&str| args.targets.is_empty() || args.targets.iter().any(|t| t == **name);
    for name in all.iter().filter(wanted) {
        note(format!("== {name}: {} minutes", args.minutes));
        fuzz(&root, &folder, name, args.minutes).with_context(|| format!("target {name}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn fuzz(root: &Path, folder: &Path, name: &str, minutes: u32) -> Result<()> {
    let corpus = folder.join("corpus").join(name);
    let findings = folder.join("findings").join(name);
    for folder in [&corpus, &findings] {
        std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    }
    let mut command = Command::new("cargo");
    command
        .current_dir(root)
        // The toolchain of rust-toolchain.toml has the sanitizers' runtimes; only their switches
        // are reserved for nightly compilers.
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["fuzz", "run", "--fuzz-dir", PACKAGE])
        .arg("--target-dir")
        .arg(folder.join("build"))
        .arg(name)
        .arg(&corpus)
        .arg(folder.join("seeds").join(name))
        .arg("--")
        .arg(format!("-max_total_time={}", minutes.saturating_mul(60)))
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .arg("-print_final_stats=1")
        .args(LIMITS);
    run(&mut command)
}

fn targets(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(root)
        .args(["run", "--locked", "--quiet", "-p", "fqbert-fuzz", "--"]);
    command
}
