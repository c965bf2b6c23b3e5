//! `fqbert bench --overlap`: sequences a second with the host's part of a run beside the device's
//! part of another, and without.

use std::time::Instant;

use anyhow::{Context, ensure};
use fqbert_evaluation::metrics;
use fqbert_runtime::{HeadOutput, Session, SessionOptions, Tokens, open_device};
use serde::Serialize;

use super::subject;
use crate::args::{Bench, Cli};
use crate::{output, progress};

#[derive(Serialize)]
struct Report {
    model: String,
    device: String,
    sequence: u32,
    /// Sequences of a turn.
    batch: usize,
    turns: u32,
    /// By the median turn.
    overlapped_per_second: f64,
    alone_per_second: f64,
    /// The first over the second.
    ratio: f64,
    /// The same of the fastest turns: beside other work medians say little.
    fastest_ratio: f64,
}

pub fn run(cli: &Cli, args: &Bench, batch: usize) -> anyhow::Result<()> {
    let device = open_device(&cli.device)?;
    let geometry = device.capabilities().geometry.clone();
    let (name, model) = args.subject.load()?;
    let (seq, sequence) = subject::bucket(&geometry, &model, args.subject.seq)?;
    let tokens = vec![subject::some_tokens(seq, &model); batch];
    let options = SessionOptions {
        // Packed, a batch would be few runs.
        pack: None,
        ..super::session_options(&args.run)
    };
    let mut session = Session::new(model.into(), device, options)?;
    let turn = |session: &mut Session, overlap| {
        session.set_overlap(overlap);
        timed(session, &tokens).with_context(|| format!("model {name}"))
    };
    let bar = progress::bar(2 * args.runs as usize, "timing");
    let expected = turn(&mut session, false)?.1;
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..args.runs {
        // Neither is always the first.
        for at in [number % 2, (number + 1) % 2] {
            let (seconds, outputs) = turn(&mut session, at == 0)?;
            ensure!(
                outputs == expected,
                "overlap changed an answer: this is a bug"
            );
            times[at as usize].push(seconds);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let [overlapped, alone] = times.map(|mut times| metrics::median_min(&mut times));
    let report = Report {
        model: name,
        device: cli.device.clone(),
        sequence,
        batch,
        turns: args.runs,
        overlapped_per_second: batch as f64 / overlapped.0,
        alone_per_second: batch as f64 / alone.0,
        ratio: alone.0 / overlapped.0,
        fastest_ratio: alone.1 / overlapped.1,
    };
    if cli.json {
        return output::json(&report);
    }
    output::text(&format!(
        "{}, sequence {}, {} turns of {} runs, {}\noverlapped {:.1} sequences a second, alone \
         {:.1}: {:.3} times; of the fastest turns {:.3}\n",
        report.model,
        report.sequence,
        report.turns,
        report.batch,
        report.device,
        report.overlapped_per_second,
        report.alone_per_second,
        report.ratio,
        report.fastest_ratio
    ))
}

/// Seconds of a batch, and its answers.
fn timed(session: &mut Session, tokens: &[Tokens]) -> anyhow::Result<(f64, Vec<HeadOutput>)> {
    let start = Instant::now();
    let outputs = session.run_batch(tokens)?;
    Ok((start.elapsed().as_secs_f64(), outputs))
}
