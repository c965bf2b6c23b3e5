//! Seeds for a fuzzer, and one input again: what `cargo xtask fuzz` needs of the targets.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use fqbert_fuzz::{TARGETS, target};

#[derive(Parser)]
#[command(about = "Fuzz targets of fqbert")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write each target's seeds to FOLDER/TARGET, and print the targets' names.
    Seeds {
        /// Where to.
        folder: PathBuf,
    },
    /// Run a target on a file.
    Run {
        /// The target.
        target: String,
        /// The input.
        file: PathBuf,
    },
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Seeds { folder } => seeds(&folder),
        Task::Run { target: name, file } => {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            let target = target(&name)
                .with_context(|| format!("no target is called {name}: {}", names.join(", ")))?;
            let input = std::fs::read(&file).with_context(|| format!("{}", file.display()))?;
            (target.run)(&input);
            println!("{name}: no finding in {} bytes", input.len());
            Ok(())
        }
    }
}

fn seeds(folder: &Path) -> Result<()> {
    for target in TARGETS {
        let folder = folder.join(target.name);
        std::fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        for (index, seed) in (target.seeds)().iter().enumerate() {
            let path = folder.join(format!("seed-{index}"));
            std::fs::write(&path, seed).with_context(|| format!("{}", path.display()))?;
        }
        println!("{}", target.name);
    }
    Ok(())
}
