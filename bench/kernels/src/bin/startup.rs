//! From a model file to its first answer: time and memory of a process that does nothing else.
//!
//! `cargo run --release -p fqbert-kernel-bench --bin startup [-- MODEL] [--json]`. Without a model
//! it makes BERT-base's shape with random weights. The file has been read before, so that the page
//! cache is warm.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use fqbert_kernel_bench::startup::{Report, Start};
use fqbert_kernel_bench::{BASE, session, tokens};
use fqbert_model::QuantizedModel;
use fqbert_model::testing::random_model;

#[derive(Parser)]
#[command(about = "Time and memory from a model file to its first answer")]
struct Args {
    /// A quantized model [default: BERT-base's shape with random weights].
    model: Option<PathBuf>,
    /// Tokens of the request.
    #[arg(long, default_value_t = 128)]
    seq: usize,
    /// Threads of the emulator.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Processes, one after the other.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// The process that is measured.
    #[arg(long, hide = true)]
    child: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match (&args.model, args.child) {
        (Some(model), true) => child(model, &args),
        _ => parent(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn child(path: &Path, args: &Args) -> Result<()> {
    let began = Instant::now();
    let mut last = began;
    let mut lap = || {
        let now = Instant::now();
        let ms = (now - std::mem::replace(&mut last, now)).as_secs_f64() * 1e3;
        (ms, (now - began).as_secs_f64() * 1e3)
    };
    let model = QuantizedModel::load(path)?;
    let tokens = tokens(args.seq, model.config.vocab);
    let (load_ms, _) = lap();
    let mut session = session(model, None, args.threads)?;
    let (open_ms, _) = lap();
    session.prepare(args.seq)?;
    let (compile_ms, _) = lap();
    session.run(&tokens)?;
    let (first_ms, total_ms) = lap();
    let cpu_ms = fqbert_limits::cpu_seconds().map(|s| s * 1e3);
    session.run(&tokens)?;
    let (second_ms, _) = lap();
    let (resident, peak) = (status("VmRSS")?, status("VmHWM")?);
    let geometry = session.device().capabilities().geometry.clone();
    lap();
    fqbert_compiler::pack_constants_in_parts(session.model(), &geometry, |_, part| {
        std::hint::black_box(part);
        anyhow::Ok(())
    })?;
    let (pack_ms, _) = lap();
    let start = Start {
        load_ms,
        open_ms,
        compile_ms,
        first_ms,
        total_ms,
        cpu_ms,
        second_ms,
        pack_ms,
        resident,
        peak,
    };
    println!("{}", serde_json::to_string(&start)?);
    Ok(())
}

/// A field of this process's status, bytes.
fn status(field: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let value = text
        .lines()
        .find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
    let kib: Option<u64> = value.and_then(|v| v.trim().strip_suffix(" kB")?.parse().ok());
    kib.and_then(|k| k.checked_mul(1024))
        .with_context(|| format!("{field} of /proc/self/status"))
}

fn parent(args: &Args) -> Result<()> {
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let path = match &args.model {
        Some(path) => path.clone(),
        None => {
            let path = folder.path().join("model.safetensors");
            random_model(BASE, 0).save(&path)?;
            path
        }
    };
    // Read once, so that no start waits for the disk.
    let file_bytes = fqbert_files::read(&path, 4 << 30)?.len() as u64;
    let mut starts = Vec::new();
    for _ in 0..args.runs {
        let output = Command::new(std::env::current_exe().context("this program's own path")?)
            .arg(&path)
            .args([
                "--child",
                "--seq",
                &args.seq.to_string(),
                "--threads",
                &args.threads.to_string(),
            ])
            .output()
            .context("cannot start this program again")?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        starts.push(
            serde_json::from_slice::<Start>(&output.stdout).context("what the process measured")?,
        );
    }
    starts.sort_by(|a, b| a.total_ms.total_cmp(&b.total_ms));
    let fastest = starts.first().context("no process")?.total_ms;
    let median = starts.get(starts.len() / 2).context("no process")?.clone();
    let by_file = |bytes: u64| bytes as f64 / file_bytes.max(1) as f64;
    let report = Report {
        cpu: fqbert_limits::cpu_name(),
        threads: args.threads,
        sequence: args.seq,
        file_bytes,
        resident_by_file: by_file(median.resident),
        peak_by_file: by_file(median.peak),
        fastest_total_ms: fastest,
        median,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report, args.runs);
    }
    Ok(())
}

fn print(r: &Report, runs: u16) {
    let (s, mb) = (&r.median, |bytes: u64| bytes as f64 * 1e-6);
    println!(
        "{}, {} threads, sequence {}, file of {:.1} MB, median of {runs} processes",
        r.cpu,
        r.threads,
        r.sequence,
        mb(r.file_bytes)
    );
    for (name, ms) in [
        ("read and check the file", s.load_ms),
        ("open the session", s.open_ms),
        ("  of that, packing", s.pack_ms),
        ("compile the program", s.compile_ms),
        ("first inference", s.first_ms),
        ("load to first answer", s.total_ms),
        ("  fastest process", r.fastest_total_ms),
        ("  CPU of its threads", s.cpu_ms.unwrap_or(f64::NAN)),
        ("second inference", s.second_ms),
    ] {
        println!("{name:26} {ms:8.1} ms");
    }
    println!(
        "{:26} {:8.1} MB, {:.2} of the file",
        "resident afterwards",
        mb(s.resident),
        r.resident_by_file
    );
    println!(
        "{:26} {:8.1} MB, {:.2} of the file",
        "resident at most",
        mb(s.peak),
        r.peak_by_file
    );
}
