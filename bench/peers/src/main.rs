//! Latency of the emulator against other CPU runtimes: the same encoder shape, token ids and thread
//! count, taking turns in one process tree, so that what else the machine does falls on all alike.
//!
//! `cargo run --release -p fqbert-peers -- --shape bert-base --seq 128 --threads 2 --runs 9`

#[cfg(feature = "candle")]
mod candle;
mod ours;
mod peer;
mod python;
mod report;
mod shape;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use peer::{Name, Peer};
use report::{Table, Times};

/// Between turns, so that a runtime's threads that still spin do not run into the next one's time.
const PAUSE: Duration = Duration::from_millis(20);
/// Inferences before the first that counts.
const WARM_UP: usize = 2;

#[derive(Parser)]
#[command(about = "Latency of fqbert's emulator and of other CPU runtimes, batch 1, in turn")]
struct Args {
    /// bert-base, minilm-l6, or LAYERS,HIDDEN,HEADS,INTERMEDIATE.
    #[arg(long, default_value = "bert-base")]
    shape: shape::Shape,
    /// Tokens.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=512))]
    seq: u16,
    /// Threads of each.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Turns that count.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=10000))]
    runs: u16,
    /// Who takes part, by commas.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Name::ALL.to_vec())]
    peers: Vec<Name>,
    /// Kernels of the emulator, by name, instead of the fastest.
    #[arg(long)]
    kernel: Option<String>,
    /// The python that makes the environment; packages come from PyPI.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Where the Python environment and the models are kept; from the root of the repository, where
    /// cargo run is called.
    #[arg(long, default_value = ".cache")]
    cache: PathBuf,
    /// Make the environment and the models, but measure nothing.
    #[arg(long, conflicts_with = "json")]
    prepare: bool,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let threads = usize::from(args.threads);
    let job = peer::Job {
        shape: args.shape,
        ids: peer::token_ids(usize::from(args.seq)),
        threads,
    };
    let wanted: Vec<Name> = args
        .peers
        .iter()
        .copied()
        .filter(|n| n.is_python())
        .collect();
    if args.prepare {
        let interpreter = python::environment(&args.python, &args.cache)?;
        return python::prepare(&interpreter, &args.cache, &job, &wanted);
    }
    let mut peers: Vec<Box<dyn Peer>> =
        vec![Box::new(ours::Ours::new(&job, args.kernel.as_deref())?)];
    #[cfg(feature = "candle")]
    if args.peers.contains(&Name::CandleFp32) {
        peers.push(Box::new(candle::Candle::new(&job)?));
    }
    if !wanted.is_empty() {
        let interpreter = python::environment(&args.python, &args.cache)?;
        peers.extend(python::start(&interpreter, &args.cache, &job, &wanted)?);
    }
    for peer in &mut peers {
        for _ in 0..WARM_UP {
            peer.infer()?;
        }
    }
    // Under load the limit's windows are disturbed too: before the turns, while nothing of this
    // process runs.
    let limit = fqbert_limits::int8_limit(threads);
    let mut times: Vec<Times> = peers
        .iter()
        .map(|p| Times::new(p.name(), p.version()))
        .collect();
    for _ in 0..args.runs {
        for (peer, times) in peers.iter_mut().zip(&mut times) {
            std::thread::sleep(PAUSE);
            times.add(peer.infer()?);
        }
    }
    let report = report::compare(&job, limit, &times);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", Table(&report));
    }
    Ok(())
}
