//! Instructions of a fixed inference under callgrind against committed counts: a regression check
//! that a busy machine does not disturb.
//!
//! `cargo run --release -p fqbert-kernel-bench --bin instruction-counts` compares, `-- --bless`
//! writes the counts anew. Without valgrind it says so and passes; `--require` makes that a
//! failure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use fqbert_emulator::Kernel;
use fqbert_kernel_bench::{TINY, session, tiny, tokens};
use serde::{Deserialize, Serialize};

const TOKENS: usize = 32;
/// More instructions than committed by this share fail. Moves of code between crates and the
/// allocator's moods make one or two percent.
const TOLERANCE: f64 = 0.05;
/// Inferences of the two runs whose difference is one inference without its start.
const RUNS: [usize; 2] = [2, 6];

#[derive(Parser)]
#[command(about = "Instructions of a fixed inference under callgrind, against committed counts")]
struct Args {
    /// Write the counts of this build instead of comparing.
    #[arg(long)]
    bless: bool,
    /// Fail where valgrind is missing.
    #[arg(long)]
    require: bool,
    /// The counts.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.json"))]
    counts: PathBuf,
    /// What runs under callgrind: inferences on a kernel.
    #[arg(long, hide = true, requires = "kernel")]
    inferences: Option<usize>,
    #[arg(long, hide = true)]
    kernel: Option<String>,
}

/// The committed file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Counts {
    /// The compiler that made the code that was counted.
    rustc: String,
    /// Instructions of one inference by kernel.
    instructions: BTreeMap<String, u64>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match (args.inferences, &args.kernel) {
        (Some(count), Some(kernel)) => infer(count, kernel).map(|()| true),
        _ => check(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn infer(count: usize, kernel: &str) -> Result<()> {
    let mut session = session(tiny(), Some(kernel), 1)?;
    let tokens = tokens(TOKENS, TINY.vocab);
    for _ in 0..count {
        session.run(&tokens)?;
    }
    Ok(())
}

fn check(args: &Args) -> Result<bool> {
    if Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        ensure!(
            !args.require,
            "no valgrind on this machine; Debian has it in valgrind"
        );
        eprintln!("SKIPPED: no valgrind on this machine, instructions are not counted");
        return Ok(true);
    }
    let mut measured = Counts {
        rustc: compiler(),
        ..Counts::default()
    };
    // Valgrind knows AVX2 and not what came after: kernels beyond it are left to the
    // micro-benchmarks.
    for kernel in [Kernel::Portable, Kernel::Avx2]
        .into_iter()
        .filter(|k| k.is_supported())
    {
        let [few, many] = RUNS;
        let difference = count(kernel, many)?.checked_sub(count(kernel, few)?);
        let total = difference.context("more inferences took fewer instructions")?;
        measured
            .instructions
            .insert(kernel.to_string(), total / (many - few) as u64);
    }
    if args.bless {
        write(&args.counts, &measured)?;
    }
    let committed = read(&args.counts)?;
    if committed.rustc != measured.rustc {
        eprintln!(
            "the committed counts are of {}, these of {}",
            committed.rustc, measured.rustc
        );
    }
    let mut passed = true;
    for (kernel, count) in &measured.instructions {
        let Some(before) = committed.instructions.get(kernel) else {
            bail!("no committed count of {kernel}; --bless writes it");
        };
        let change = *count as f64 / *before as f64 - 1.0;
        let verdict = if change > TOLERANCE {
            passed = false;
            "MORE than the tolerance: find out why, or --bless"
        } else if change < -TOLERANCE {
            "fewer: --bless keeps the gain"
        } else {
            "as committed"
        };
        println!(
            "{kernel:10} {count:>12} instructions an inference, {:+.1} %: {verdict}",
            100.0 * change
        );
    }
    Ok(passed)
}

/// Instructions of a process that makes that many inferences.
fn count(kernel: Kernel, inferences: usize) -> Result<u64> {
    let out = tempfile::NamedTempFile::new().context("a temporary file")?;
    let mut file = std::ffi::OsString::from("--callgrind-out-file=");
    file.push(out.path());
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(file)
        .arg(std::env::current_exe().context("this program's own path")?)
        .args([
            "--kernel",
            kernel.name(),
            "--inferences",
            &inferences.to_string(),
        ])
        .output()
        .context("cannot start valgrind")?;
    ensure!(
        output.status.success(),
        "valgrind failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = std::fs::read_to_string(out.path()).context("callgrind's output")?;
    let total = text.lines().find_map(|l| l.strip_prefix("totals:"));
    total
        .and_then(|t| t.trim().parse().ok())
        .context("callgrind's output has no totals")
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or_else(
        |_| "unknown".into(),
        |o| String::from_utf8_lossy(&o.stdout).trim().to_owned(),
    )
}

fn read(path: &Path) -> Result<Counts> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("counts {}; --bless makes them", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("counts {}", path.display()))
}

fn write(path: &Path, counts: &Counts) -> Result<()> {
    let text = format!("{}\n", serde_json::to_string_pretty(counts)?);
    fqbert_files::write_atomically(path, |out| out.write_all(text.as_bytes()))
        .with_context(|| format!("counts {}", path.display()))
}
