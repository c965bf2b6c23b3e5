//! `fqbert bench --kernels`: each path of the emulator on this CPU, on the same program.

use std::fmt::Write;
use std::time::Instant;

use anyhow::{Context, ensure};
use fqbert_evaluation::metrics;
use fqbert_runtime::{EmulatorKernels, HeadOutput, Session, Tokens, emulator_kernels, open_device};
use serde::Serialize;

use super::subject;
use crate::args::{Bench, Cli};
use crate::{output, progress};

/// A kernel whose first run takes so many times the fastest's is not run again: nobody would take
/// it by default, and the scalar one needs minutes.
const HOPELESS: f64 = 8.0;
/// A default is called slower than another kernel when its median is so many times the other's:
/// medians of one run differ by a few percent without a cause.
const NOISE: f64 = 1.03;

#[derive(Serialize)]
struct Timed {
    kernel: &'static str,
    median_ms: f64,
    min_ms: f64,
    /// Of which the median is; 1 where the first took far too long.
    runs: usize,
    /// Of the default's median.
    ratio: f64,
}

#[derive(Serialize)]
struct Report {
    model: String,
    device: String,
    sequence: u32,
    /// What the CPU says that it is; absent where nothing can be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<String>,
    /// Fastest first.
    kernels: Vec<Timed>,
    default: &'static str,
    /// The row of the table that the default comes from.
    measured_on: &'static str,
    source: &'static str,
    default_is_fastest: bool,
    /// Built without debug assertions.
    release: bool,
}

/// A kernel under test.
struct Under {
    kernel: &'static str,
    session: Session,
    /// Of the first run, which loads what the later ones find loaded.
    first_ms: f64,
    times: Vec<f64>,
}

pub fn run(cli: &Cli, args: &Bench) -> anyhow::Result<()> {
    ensure!(
        cli.device.starts_with("emu:"),
        "--kernels times the kernels of the emulator, and --device is {}; give emu:GEOMETRY, such \
         as emu:zcu102",
        cli.device
    );
    let here = emulator_kernels();
    let geometry = subject::geometry(&cli.device)?;
    let (name, model) = args.subject.load()?;
    let (seq, sequence) = subject::bucket(&geometry, &model, args.subject.seq)?;
    let tokens = subject::some_tokens(seq, &model);
    let bar = progress::bar((args.runs as usize + 1) * here.names.len(), "timing");
    let mut under: Vec<Under> = Vec::new();
    let mut answer: Option<HeadOutput> = None;
    let model = std::sync::Arc::new(model);
    for kernel in here.names.iter().rev() {
        let device = open_device(&with_kernel(&cli.device, kernel))?;
        let options = super::session_options(&args.run);
        let mut session = match under.first() {
            // The same program, compiled once.
            Some(first) => first.session.another(device, options)?,
            None => Session::new(model.clone(), device, options)?,
        };
        session.prepare(seq)?;
        let (first_ms, output) = timed(&mut session, &tokens, &name)?;
        bar.inc(1);
        ensure!(
            *answer.get_or_insert_with(|| output.clone()) == output,
            "kernel {kernel} gives another answer than {}: this is a bug",
            under.first().map_or("", |first| first.kernel)
        );
        under.push(Under {
            kernel,
            session,
            first_ms,
            times: Vec::new(),
        });
    }
    let least = under.iter().map(|u| u.first_ms).fold(f64::MAX, f64::min);
    for turn in 0..args.runs as usize {
        // Each begins a turn as often: none has always the same one before it.
        let count = under.len();
        for at in 0..count {
            let u = &mut under[(turn + at) % count];
            if u.first_ms <= least * HOPELESS {
                u.times.push(timed(&mut u.session, &tokens, &name)?.0);
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let report = report(under, here, name, cli.device.clone(), sequence)?;
    if cli.json {
        return output::json(&report);
    }
    output::text(&table(&report)?)
}

/// The URI with that kernel, whatever it had: the last option of a name counts.
fn with_kernel(uri: &str, kernel: &str) -> String {
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}kernel={kernel}")
}

/// One inference: milliseconds and the answer.
fn timed(session: &mut Session, tokens: &Tokens, model: &str) -> anyhow::Result<(f64, HeadOutput)> {
    let start = Instant::now();
    let output = session.run(tokens);
    let ms = start.elapsed().as_secs_f64() * 1e3;
    Ok((ms, output.with_context(|| format!("model {model}"))?))
}

fn report(
    under: Vec<Under>,
    here: EmulatorKernels,
    model: String,
    device: String,
    sequence: u32,
) -> anyhow::Result<Report> {
    let mut kernels: Vec<Timed> = under
        .into_iter()
        .map(|mut u| {
            if u.times.is_empty() {
                u.times.push(u.first_ms);
            }
            let (median_ms, min_ms) = metrics::median_min(&mut u.times);
            Timed {
                kernel: u.kernel,
                median_ms,
                min_ms,
                runs: u.times.len(),
                ratio: 0.0,
            }
        })
        .collect();
    kernels.sort_by(|a, b| a.median_ms.total_cmp(&b.median_ms));
    let default = kernels.iter().find(|k| k.kernel == here.default);
    let default = default
        .context("the default kernel was not timed")?
        .median_ms;
    for k in &mut kernels {
        k.ratio = k.median_ms / default;
    }
    let fastest = kernels.first().map_or(default, |k| k.median_ms);
    Ok(Report {
        model,
        device,
        sequence,
        cpu: here.cpu,
        kernels,
        default: here.default,
        measured_on: here.measured_on,
        source: here.source,
        default_is_fastest: default <= fastest * NOISE,
        release: !cfg!(debug_assertions),
    })
}

fn table(r: &Report) -> anyhow::Result<String> {
    let mut out = String::new();
    writeln!(out, "{}, sequence {}, {}", r.model, r.sequence, r.device)?;
    if let Some(cpu) = &r.cpu {
        writeln!(out, "CPU: {cpu}")?;
    }
    writeln!(
        out,
        "\n{:14} {:>10} {:>10} {:>6} {:>15}",
        "kernel", "median ms", "min ms", "runs", "of the default"
    )?;
    for k in &r.kernels {
        let mark = if k.kernel == r.default { "default" } else { "" };
        let (median, min) = (k.median_ms, k.min_ms);
        let line = format!(
            "{:14} {median:>10.2} {min:>10.2} {:>6} {:>15.2}  {mark}",
            k.kernel, k.runs, k.ratio
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    let row = format!("the row \"{}\" ({})", r.measured_on, r.source);
    match r.kernels.first() {
        Some(fastest) if !r.default_is_fastest => writeln!(
            out,
            "\nThe default, {}, is not the fastest here: {} takes {:.2} of its time. \
             FQBERT_KERNEL={} or {} takes that; the default comes from {row} of MEASURED in \
             accelerator/emulator/src/measured.rs.",
            r.default,
            fastest.kernel,
            fastest.ratio,
            fastest.kernel,
            with_kernel(&r.device, fastest.kernel),
        )?,
        _ => writeln!(
            out,
            "\nThe default, {}, is the fastest here. It comes from {row}.",
            r.default
        )?,
    }
    if !r.release {
        writeln!(
            out,
            "This build has debug assertions: the times of a release build are others."
        )?;
    }
    Ok(out)
}
