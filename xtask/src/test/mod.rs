//! `cargo xtask test`: every check that a change must pass; with `--quick` those that a contributor
//! runs before each commit.
//!
//! What can be had without root it brings itself (Python packages in `.venv`). What needs Debian
//! packages or data that are not there is skipped and said loudly at the end; `--no-skip`, as in
//! CI, makes a skip a failure and `--install` installs what is missing.

mod actions;
mod checks;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

pub use self::actions::{COSIM_TOPS, TESTS};
use self::checks::{CHECKS, Check};
use crate::host::{note, root};

/// `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// What to run before each commit: under 5 minutes after a build.
    #[arg(long)]
    quick: bool,
    /// A check that cannot run is a failure.
    #[arg(long)]
    no_skip: bool,
    /// Install missing Debian packages (root).
    #[arg(long)]
    install: bool,
    /// Only the checks whose names contain this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// List the checks with their typical minutes, and stop.
    #[arg(long)]
    list: bool,
}

/// Where and how the checks run.
struct Setting {
    root: PathBuf,
    /// Install missing Debian packages.
    install: bool,
}

pub fn main(args: &Args) -> Result<ExitCode> {
    let part = args.only.as_deref().unwrap_or_default();
    let wanted = |check: &&Check| check.name.contains(part) && check.is_in(args.quick);
    let checks: Vec<&Check> = CHECKS.iter().filter(wanted).collect();
    ensure!(
        !checks.is_empty(),
        "no check's name contains `{part}`; --list lists them"
    );
    if args.list {
        print!("{}", list(&checks, args.quick));
        return Ok(ExitCode::SUCCESS);
    }
    let setting = Setting {
        root: root(),
        install: args.install,
    };
    let (mut skipped, mut times) = (Vec::new(), String::new());
    for check in &checks {
        if let Err(why) = check.possible(&setting) {
            ensure!(!args.no_skip, "{}: cannot run: {why:#}", check.name);
            skipped.push((check.name, format!("{why:#}")));
            continue;
        }
        note(format!("== {}", check.name));
        let start = Instant::now();
        (check.action)(&setting).with_context(|| format!("check `{}` failed", check.name))?;
        let seconds = start.elapsed().as_secs_f64();
        note(format!("== {}: passed in {seconds:.0} s", check.name));
        times += &format!("{seconds:7.0} s  {}\n", check.name);
    }
    eprint!("{times}");
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

/// A line for each check, and the sum of their minutes.
fn list(checks: &[&Check], quick: bool) -> String {
    let minutes = |check: &Check| if quick { check.again } else { check.minutes };
    let line = |minutes: f32, name: &str, about: &str| {
        let line = format!("{minutes:5.1} min  {name:38}{about}");
        line.trim_end().to_owned() + "\n"
    };
    let lines = checks.iter().map(|c| line(minutes(c), c.name, c.about));
    let sum = checks.iter().map(|check| minutes(check)).sum();
    let from = if quick {
        "after a build"
    } else {
        "from nothing"
    };
    lines.collect::<String>() + &line(sum, &format!("on two cores, {from}"), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_check_once_with_what_it_holds() {
        for quick in [false, true] {
            let checks: Vec<&Check> = CHECKS.iter().filter(|c| c.is_in(quick)).collect();
            let list = list(&checks, quick);
            for check in &checks {
                let lines = list.lines().filter(|l| l.contains(check.name));
                assert_eq!(lines.count(), 1, "{}", check.name);
                assert!(!check.about.is_empty() && check.minutes > 0.0);
            }
        }
    }

    #[test]
    fn the_commands_stay_within_their_bounds_by_the_figures() {
        let sum = |quick, minutes: fn(&Check) -> f32| -> f32 {
            let checks = CHECKS.iter().filter(|check| check.is_in(quick));
            checks.map(minutes).sum()
        };
        assert!(sum(false, |check| check.minutes) <= 40.0);
        assert!(sum(true, |check| check.again) <= 5.0);
    }
}
