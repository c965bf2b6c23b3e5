//! `fqbert bench`.

use std::fmt::Write;
use std::time::Instant;

use anyhow::Context;
use fqbert_compiler::CompileOptions;
use fqbert_contract::timing::{self, Policy, UNITS, unit_name};
use fqbert_evaluation::metrics;
use fqbert_runtime::{Session, open_device};
use serde::Serialize;

use super::stalls::{self, UnitStalls};
use super::{kernels, overlap, subject};
use crate::args::{Bench, Cli};
use crate::{output, progress};

#[derive(Serialize)]
struct UnitCycles {
    unit: &'static str,
    busy: u64,
    stalled: u64,
    instructions: u64,
    /// With --stalls.
    #[serde(flatten)]
    stalls: Option<UnitStalls>,
}

#[derive(Serialize)]
struct Result {
    model: String,
    device: String,
    sequence: u32,
    /// Wall time of an inference from token ids to the head's output; absent with --cycles.
    median_ms: Option<f64>,
    min_ms: Option<f64>,
    runs: u32,
    /// Cycles of the accelerator by the timing model; not measured on silicon.
    cycles: u64,
    /// Those cycles at the geometry's clock.
    accelerator_ms: f64,
    clock_hz: u32,
    units: Vec<UnitCycles>,
}

pub fn run(cli: &Cli, args: &Bench) -> anyhow::Result<()> {
    if args.kernels {
        return kernels::run(cli, args);
    }
    if let Some(batch) = args.overlap {
        return overlap::run(cli, args, batch as usize);
    }
    let device = open_device(&cli.device)?;
    let geometry = device.capabilities().geometry.clone();
    let (name, model) = args.subject.load()?;
    let (seq, bucket) = subject::bucket(&geometry, &model, args.subject.seq)?;
    let program = fqbert_compiler::compile(&model, &geometry, bucket, &CompileOptions::default())?;
    let schedule = timing::simulate(&geometry, &program.instructions, Policy::Earliest)?;
    let mut times = Vec::new();
    if !args.cycles {
        let tokens = subject::some_tokens(seq, &model);
        let options = super::session_options(&args.run);
        let mut session = Session::new(model.into(), device, options)?;
        session.prepare(seq)?;
        let bar = progress::bar(args.runs as usize + 1, "timing");
        let failed = || format!("model {name}");
        session.run(&tokens).with_context(failed)?;
        for _ in 0..args.runs {
            bar.inc(1);
            let start = Instant::now();
            session.run(&tokens).with_context(failed)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        bar.finish_and_clear();
    }
    let timed = !times.is_empty();
    let (median, min) = metrics::median_min(&mut times);
    let c = &schedule.counters;
    let units = (0..UNITS)
        .filter(|u| c.retired[*u] > 0)
        .map(|u| UnitCycles {
            unit: unit_name(u),
            busy: c.busy[u],
            stalled: c.stall[u],
            instructions: c.retired[u],
            stalls: args.stalls.then(|| UnitStalls::of(&schedule, u)),
        })
        .collect();
    let result = Result {
        model: name,
        device: cli.device.clone(),
        sequence: program.sequence,
        median_ms: timed.then_some(median),
        min_ms: timed.then_some(min),
        runs: if timed { args.runs } else { 0 },
        cycles: schedule.cycles,
        accelerator_ms: schedule.cycles as f64 * 1e3 / f64::from(geometry.clock_hz),
        clock_hz: geometry.clock_hz,
        units,
    };
    if cli.json {
        return output::json(&result);
    }
    output::text(&table(&result, geometry.name)?)
}

fn table(r: &Result, geometry: &str) -> anyhow::Result<String> {
    let mut out = String::new();
    writeln!(
        out,
        "{}, sequence {}, batch 1, {}",
        r.model, r.sequence, r.device
    )?;
    if let (Some(median), Some(min)) = (r.median_ms, r.min_ms) {
        writeln!(
            out,
            "this machine   median {median:.2} ms, minimum {min:.2} ms of {} runs",
            r.runs
        )?;
    }
    let mhz = f64::from(r.clock_hz) / 1e6;
    writeln!(
        out,
        "accelerator    {} cycles = {:.2} ms at {mhz:.0} MHz ({geometry}; timing model, not \
         measured on silicon)",
        r.cycles, r.accelerator_ms
    )?;
    if r.units.iter().any(|u| u.stalls.is_some()) {
        out.push('\n');
        let units = r.units.iter().filter_map(|u| u.stalls.as_ref());
        out.push_str(&stalls::table(units, r.cycles)?);
        return Ok(out);
    }
    writeln!(
        out,
        "\n{:8} {:>12} {:>7} {:>12} {:>13}",
        "unit", "busy", "", "stalled", "instructions"
    )?;
    for u in &r.units {
        let share = 100.0 * u.busy as f64 / r.cycles.max(1) as f64;
        writeln!(
            out,
            "{:8} {:>12} {share:>6.1}% {:>12} {:>13}",
            u.unit, u.busy, u.stalled, u.instructions
        )?;
    }
    Ok(out)
}
