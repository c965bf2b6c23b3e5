//! The tables of `docs/performance.md` out of what `bench/figures.sh` measured.
//!
//! `cargo run --release -p fqbert-kernel-bench --bin figures` writes them; `-- --check` only
//! compares, as this crate's test does. A table stands between `<!-- figures: NAME -->` and `<!--
//! end -->`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use fqbert_emulator::MEASURED;
use fqbert_files::write_atomically;
use fqbert_kernel_bench::startup;
use fqbert_limits::Comparison;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Parser)]
#[command(about = "Tables of docs/performance.md out of bench/figures/*.json")]
struct Args {
    /// Write nothing; fail if the page is not what the measurements give.
    #[arg(long)]
    check: bool,
}

/// When and how everything was measured.
#[derive(Deserialize)]
struct Run {
    date: String,
    load: String,
    under: String,
    commit: String,
}

/// `fqbert --json eval`.
#[derive(Deserialize)]
struct Eval {
    n: usize,
    correct: usize,
    runs: u64,
    cycles: u64,
    seconds: f64,
    per_second: f64,
}

/// `counts.json`.
#[derive(Deserialize)]
struct Counts {
    rustc: String,
    instructions: std::collections::BTreeMap<String, u64>,
}

/// In place of a table before `bench/figures.sh` has run.
const NOT_MEASURED: &str = "Not measured yet: `bench/figures.sh`.\n";

const SHAPES: [&str; 4] = [
    "bert-base-128",
    "bert-base-16",
    "bert-base-384",
    "minilm-l6-128",
];

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let page = page_path();
    let found = std::fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    let wanted = fill(&found, &folder())?;
    if found == wanted {
        return Ok(());
    }
    ensure!(
        !args.check,
        "{} is not what bench/figures/*.json give: \
         cargo run --release -p fqbert-kernel-bench --bin figures",
        page.display()
    );
    write_atomically(&page, |out| out.write_all(wanted.as_bytes()))
        .with_context(|| page.display().to_string())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../figures")
}

fn page_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/performance.md")
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// The page with every table made anew.
fn fill(page: &str, folder: &Path) -> Result<String> {
    let mut out = String::new();
    let mut rest = page;
    while let Some((before, marked)) = rest.split_once("<!-- figures: ") {
        let (name, body) = marked
            .split_once(" -->\n")
            .context("a marker without an end of its line")?;
        let (_, after) = body
            .split_once("<!-- end -->")
            .with_context(|| format!("no end of {name}"))?;
        let measured = matches!(name, "counts" | "choice") || folder.join("run.json").exists();
        let table = if measured {
            wrapped(&table(name, folder)?)
        } else {
            NOT_MEASURED.into()
        };
        write!(out, "{before}<!-- figures: {name} -->\n{table}<!-- end -->")?;
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Columns of prose.
const COLUMNS: usize = 100;

/// The paragraphs of `text` filled to lines of [`COLUMNS`]; rows of tables are lines of their own.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for line in text.lines() {
        if line.is_empty() || line.starts_with('|') {
            if column > 0 {
                out.push('\n');
            }
            out.push_str(line);
            out.push('\n');
            column = 0;
            continue;
        }
        for word in line.split_whitespace() {
            let width = word.chars().count();
            if column > 0 && column + 1 + width > COLUMNS {
                out.push('\n');
                column = 0;
            } else if column > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += width;
        }
    }
    if column > 0 {
        out.push('\n');
    }
    out
}

fn table(name: &str, folder: &Path) -> Result<String> {
    match name {
        "machine" => machine(folder),
        "summary" => summary(folder),
        "packing" => packing(folder),
        "startup" => start(folder),
        "counts" => counts(),
        "choice" => Ok(choice()),
        _ => match name.strip_prefix("peers ") {
            Some(shape) => peers(&folder.join(format!("peers-{shape}.json"))),
            None => bail!("no table is called {name:?}"),
        },
    }
}

fn machine(folder: &Path) -> Result<String> {
    let run: Run = read(&folder.join("run.json"))?;
    let p: Comparison = read(&folder.join(format!("peers-{}.json", SHAPES[0])))?;
    let mut out = format!(
        "Measured {} at commit {}: {}, {} CPUs, load averages {} before",
        run.date, run.commit, p.cpu, p.cpus, run.load
    );
    if !run.under.is_empty() {
        write!(out, ", every command under `{}`", run.under)?;
    }
    if let Some(limit) = &p.int8_limit {
        write!(
            out,
            ".\nThe limit of {} threads: {:.0} GMAC/s ({})",
            p.threads,
            limit.macs_per_second * 1e-9,
            limit.instruction
        )?;
    }
    out.push_str(".\n");
    Ok(out)
}

/// Of each shape fqbert's median, its share of the limit, and its ratio to every peer.
fn summary(folder: &Path) -> Result<String> {
    let all: Vec<Comparison> = SHAPES
        .iter()
        .map(|shape| read(&folder.join(format!("peers-{shape}.json"))))
        .collect::<Result<_>>()?;
    let others: Vec<&str> = all[0]
        .results
        .iter()
        .skip(1)
        .map(|r| r.name.as_str())
        .collect();
    let mut out = format!(
        "| ours / theirs, medians | fqbert ms | of the limit | {} |\n",
        others.join(" | ")
    );
    writeln!(out, "|---|---:|---:|{}", "---:|".repeat(others.len()))?;
    for p in &all {
        let ours = p.results.first().context("no results")?;
        write!(
            out,
            "| {}, sequence {} | {:.1} | {} |",
            p.shape,
            p.sequence,
            ours.median_ms,
            percent(ours.share_of_limit)
        )?;
        for name in &others {
            let ratio = p
                .results
                .iter()
                .find(|r| r.name == *name)
                .map(|r| r.ours_by_median);
            write!(
                out,
                " {} |",
                ratio.map_or_else(|| "-".into(), |r| format!("{r:.2}"))
            )?;
        }
        out.push('\n');
    }
    Ok(out)
}

fn peers(path: &Path) -> Result<String> {
    let p: Comparison = read(path)?;
    let mut out = format!(
        "| {}, sequence {} ({:.2} GMAC), {} threads, {} turns, load {} | \
         median ms | min ms | ours/median | ours/min | CPU ms | of the limit |\n",
        p.shape,
        p.sequence,
        p.macs * 1e-9,
        p.threads,
        p.runs,
        p.load_average
            .map_or_else(|| "-".into(), |l| format!("{l:.1}")),
    );
    out.push_str("|---|---:|---:|---:|---:|---:|---:|\n");
    for r in &p.results {
        writeln!(
            out,
            "| {}: {} | {:.1} | {:.1} | {:.2} | {:.2} | {} | {} |",
            r.name,
            r.version,
            r.median_ms,
            r.min_ms,
            r.ours_by_median,
            r.ours_by_min,
            r.cpu_ms.map_or_else(|| "-".into(), |ms| format!("{ms:.1}")),
            percent(r.share_of_limit)
        )?;
    }
    Ok(out)
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |s| format!("{:.0} %", 100.0 * s))
}

/// Sets of sentences that packing is measured on: their words in the page, their files.
const SETS: [(&str, &str); 2] = [
    ("SST-2 dev, 25 tokens on average", "sst2"),
    (
        "SST-2 train, its first 872, 13 tokens on average",
        "sst2-short",
    ),
];

fn packing(folder: &Path) -> Result<String> {
    let mut out = String::from(
        "| Sentences | | runs | seconds | sentences a second | million cycles of `zcu102` | \
         right |\n|---|---|---:|---:|---:|---:|---:|\n",
    );
    let mut gains = Vec::new();
    for (set, file) in SETS {
        let (packed, alone) = (
            middle(&folder.join(format!("{file}-packed.json")))?,
            middle(&folder.join(format!("{file}-alone.json")))?,
        );
        ensure!(
            (packed.n, packed.correct) == (alone.n, alone.correct),
            "packing changed an answer: {} and {} right",
            packed.correct,
            alone.correct
        );
        for (name, e) in [("packed", &packed), ("one at a time", &alone)] {
            writeln!(
                out,
                "| {set} | {name} | {} | {:.2} | {:.0} | {:.1} | {} of {} |",
                e.runs,
                e.seconds,
                e.per_second,
                e.cycles as f64 * 1e-6,
                e.correct,
                e.n
            )?;
        }
        gains.push(format!(
            "{:.2} times, and {:.2} times in cycles",
            packed.per_second / alone.per_second,
            alone.cycles as f64 / packed.cycles as f64
        ));
    }
    writeln!(
        out,
        "\nPacking gains {} of the first, {} of the second.",
        gains[0], gains[1]
    )?;
    Ok(out)
}

/// The median by time of some turns of `eval`.
fn middle(file: &Path) -> Result<Eval> {
    let mut turns: Vec<Eval> = read(file)?;
    turns.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let middle = turns.len() / 2;
    turns
        .into_iter()
        .nth(middle)
        .with_context(|| format!("{} is empty", file.display()))
}

fn start(folder: &Path) -> Result<String> {
    let s: startup::Report = read(&folder.join("startup.json"))?;
    let mut out = format!(
        "| file of {:.1} MB, sequence {}, {} threads | ms |\n|---|---:|\n",
        s.file_bytes as f64 * 1e-6,
        s.sequence,
        s.threads
    );
    for (name, ms) in [
        ("read and check the file", s.median.load_ms),
        (
            "open the session (constants packed and copied)",
            s.median.open_ms,
        ),
        ("of that, weights packed", s.median.pack_ms),
        ("compile the program", s.median.compile_ms),
        ("first inference", s.median.first_ms),
        ("load to first answer, median", s.median.total_ms),
        ("load to first answer, fastest", s.fastest_total_ms),
        ("second inference", s.median.second_ms),
    ] {
        writeln!(out, "| {name} | {ms:.0} |")?;
    }
    writeln!(
        out,
        "\nResident memory: {:.2} of the file afterwards, {:.2} at most.",
        s.resident_by_file, s.peak_by_file
    )?;
    Ok(out)
}

fn counts() -> Result<String> {
    let c: Counts = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("counts.json"))?;
    let mut out = format!(
        "| {} | instructions of an inference |\n|---|---:|\n",
        c.rustc
    );
    for (kernel, count) in &c.instructions {
        writeln!(out, "| {kernel} | {:.2} million |", *count as f64 * 1e-6)?;
    }
    Ok(out)
}

/// The kernel that each kind of CPU takes, and why.
fn choice() -> String {
    let mut out = String::from("| CPU | kernels, fastest first | where from |\n|---|---|---|\n");
    for row in MEASURED {
        let order = row.order.iter().map(|(kernel, ms)| match ms {
            Some(ms) => format!("`{kernel}` {ms:.1} ms"),
            None => format!("`{kernel}`"),
        });
        let order: Vec<String> = order.collect();
        let order = order.join(", ");
        out.push_str(&format!("| {} | {order} | {} |\n", row.name, row.source));
    }
    out
}

#[cfg(test)]
mod tests;
