//! The command line of fqbert. Every command takes `--device URI` and `--json`; see `docs/cli.md`.

mod args;
mod commands;
mod data;
mod output;
mod progress;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Exit code of `fqbert diff` where something differs: neither an error (1) nor a wrong command
/// line (2).
const DIFFERS: u8 = 3;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_env("FQBERT_LOG").unwrap_or_else(|_| EnvFilter::new("warn")),
        )
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(std::io::stderr)
        .init();
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<commands::Differs>() => ExitCode::from(DIFFERS),
        Err(error) => {
            output::report(&error, cli.json);
            ExitCode::FAILURE
        }
    }
}
