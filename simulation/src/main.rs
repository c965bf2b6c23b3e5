//! `fqbert-simulate`: histories by their seeds.

use std::ops::Range;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use fqbert_faults::Plan;
use fqbert_simulation::{Scenario, World, alone_in_its_pool, campaign, run, shrink};

/// How a history is replayed.
const COMMAND: &str = "cargo run -p fqbert-simulation --";

#[derive(Parser)]
#[command(about, version)]
struct Args {
    /// Histories of these seeds, such as 0..20000.
    #[arg(long, default_value = "0..20000", value_parser = range)]
    seeds: Range<u64>,
    /// One history, told step by step.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// With --seed: these faults instead of the seed's, such as lost-doorbell@3; "none" for none.
    #[arg(long, requires = "seed")]
    faults: Option<String>,
    /// With --seed: only these of its steps, such as 0,2,5.
    #[arg(long, requires = "seed", value_delimiter = ',')]
    steps: Option<Vec<usize>>,
    /// Threads; as many as there are processors if not given.
    #[arg(long)]
    threads: Option<usize>,
}

fn range(text: &str) -> Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("expected FROM..TO")?;
    let (from, to) = (from.parse()?, to.parse()?);
    ensure!(from < to, "{from}..{to} has no seed");
    Ok(from..to)
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    alone_in_its_pool();
    match args.seed {
        Some(seed) => one(seed, &args),
        None => many(&args),
    }
}

/// Replays one history.
fn one(seed: u64, args: &Args) -> Result<ExitCode> {
    let world = World::new()?;
    let mut scenario = Scenario::draw(seed, world.questions.len());
    match args.faults.as_deref() {
        Some("none") => scenario.plan = Plan::none(),
        Some(plan) => scenario.plan = plan.parse()?,
        None => {}
    }
    if let Some(steps) = &args.steps {
        let have = scenario.steps.len();
        let step = |i: &usize| scenario.steps.get(*i).cloned();
        let steps: Option<Vec<_>> = steps.iter().map(step).collect();
        scenario.steps =
            steps.with_context(|| format!("the history has steps 0 to {}", have - 1))?;
    }
    let outcome = run(&world, &scenario, true);
    for line in &outcome.lines {
        println!("{line}");
    }
    println!("digest {:016x}", outcome.digest);
    Ok(match outcome.violation {
        Some(_) => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    })
}

/// Runs histories until one fails, and shrinks that.
fn many(args: &Args) -> Result<ExitCode> {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.unwrap_or_else(processors);
    let began = std::time::Instant::now();
    let campaign = campaign(args.seeds.clone(), threads)?;
    let t = campaign.tally;
    println!(
        "{} histories in {:.1} s: {} requests, {} of them answered with an error and {} wrongly \
         after silent faults; {} faults; {} s of virtual time; digest {:016x}",
        t.histories,
        began.elapsed().as_secs_f64(),
        t.requests,
        t.errors,
        t.silently_wrong,
        t.faults,
        t.seconds,
        t.digest,
    );
    let Some((seed, violation)) = campaign.violated else {
        return Ok(ExitCode::SUCCESS);
    };
    println!("seed {seed}: {}: {}", violation.property, violation.told);
    println!("  {COMMAND} --seed {seed}");
    let world = World::new()?;
    let scenario = Scenario::draw(seed, world.questions.len());
    std::panic::set_hook(Box::new(|_| {}));
    let (smallest, steps) = shrink(&world, &scenario, violation.property);
    let plan = smallest.plan.to_string();
    let plan = if plan.is_empty() { "none" } else { &plan };
    let numbers: Vec<String> = steps.iter().map(ToString::to_string).collect();
    println!(
        "shrunk to {} of {} steps:",
        steps.len(),
        scenario.steps.len()
    );
    for step in &smallest.steps {
        println!("  {step}");
    }
    println!(
        "  {COMMAND} --seed {seed} --faults {plan} --steps {}",
        numbers.join(",")
    );
    Ok(ExitCode::FAILURE)
}
