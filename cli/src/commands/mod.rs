//! What each command does.

mod bench;
mod classify;
mod diff;
mod disassemble;
mod embed;
mod eval;
mod float_checkpoint;
mod inspect;
mod kernels;
mod overlap;
mod quantize;
mod rank;
mod stalls;
mod subject;
mod tag;
mod verify;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use fqbert_runtime::{Scrub, SessionOptions};

pub use diff::Differs;

use crate::args::{Cli, Command, RunArgs};

/// Carries out a command.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    match &cli.command {
        Command::Classify(a) => classify::run(cli, a),
        Command::Embed(a) => embed::run(cli, a),
        Command::Tag(a) => tag::run(cli, a),
        Command::Rank(a) => rank::run(cli, a),
        Command::Quantize(a) => quantize::run(cli, a),
        Command::Eval(a) => eval::run(cli, a),
        Command::Inspect(a) => inspect::run(cli, a),
        Command::Disassemble(a) => disassemble::run(cli, a),
        Command::Bench(a) => bench::run(cli, a),
        Command::Verify(a) => verify::run(cli, a),
        Command::Diff(a) => diff::run(cli, a),
    }
}

/// Where the model that ships is, from the repository's root or an installation's prefix.
const SHIPPED: &str = "models/minilm-l6-sst2/model.safetensors";

/// The model given, or the one that ships: in the current folder, or beside the executable's
/// folders (`target/release`, or `share/fqbert` of an installation).
pub fn model_path(given: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.clone());
    }
    let here = Path::new(SHIPPED);
    if here.is_file() {
        return Ok(here.to_owned());
    }
    let executable = std::env::current_exe().context("finding the executable")?;
    for folder in executable.ancestors().skip(1).take(4) {
        for candidate in [
            folder.join(SHIPPED),
            folder.join("share/fqbert").join(SHIPPED),
        ] {
            if candidate.is_file() {
                return Ok(candidate);
            }
        }
    }
    bail!("the model that ships ({SHIPPED}) is not here; give a model file, or set FQBERT_MODEL")
}

/// Session options from the command line.
pub fn session_options(run: &RunArgs) -> SessionOptions {
    let defaults = SessionOptions::default();
    SessionOptions {
        deadline: Duration::from_secs(run.deadline),
        pack: if run.no_packing { None } else { defaults.pack },
        overlap: !run.no_overlap,
        scrub: NonZeroU32::new(run.scrub).map_or(Scrub::Never, Scrub::Every),
        ..defaults
    }
}
