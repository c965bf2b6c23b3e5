//! The command line of fqbert. Every command takes `--device URI` and `--json`; see `docs/cli.md`.

// A macro that prints panics where it cannot; `output` is the place that writes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod ahead;
mod answers;
mod args;
mod closed;
mod commands;
mod data;
mod lines;
mod log;
mod output;
mod progress;
mod provenance;
mod stream;

use std::process::ExitCode;

use clap::Parser;

/// Exit code of `fqbert diff` where something differs: neither an error (1) nor a wrong command
/// line (2).
const DIFFERS: u8 = 3;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return help(&error),
    };
    log::start();
    let result = fqbert_threads::check()
        .map_err(anyhow::Error::from)
        .and_then(|()| commands::run(&cli));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<commands::Differs>() => ExitCode::from(DIFFERS),
        Err(error) => {
            output::report(&error, cli.json);
            ExitCode::FAILURE
        }
    }
}

/// Help and version go to standard output, wrong arguments to standard error.
fn help(error: &clap::Error) -> ExitCode {
    let printed = error.print().map_err(anyhow::Error::from);
    if error.use_stderr() {
        return ExitCode::from(2);
    }
    match output::ensure_open().and(printed) {
        Err(failed) if !output::is_broken_pipe(&failed) => {
            output::report(
                &failed.context("the help cannot be written to standard output"),
                false,
            );
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
