//! `cargo xtask hot-loops`: the machine code of the kernels' inner loops, read on any machine.
//!
//! The emulator's release build is disassembled. Of every innermost loop of the kernels the
//! instructions are counted by what they do, and LLVM's models of CPUs give the cycles of an
//! iteration. Both are compared with the committed table, of which the tables in
//! `docs/performance.md` are made. A loop of dot products whose sums leave their registers fails
//! whatever is committed.

mod build;
mod class;
mod listing;
mod loops;
mod model;
mod page;
mod products;
mod survey;
mod table;
mod target;

use std::process::ExitCode;

use anyhow::Result;

pub use self::target::Target;
use crate::apt::{self, Tool};
use crate::host::note;
use table::Table;

/// `cargo xtask hot-loops`.
#[derive(clap::Args)]
pub struct Args {
    /// Write the committed table, and the page, instead of comparing.
    #[arg(long)]
    bless: bool,
    /// The architecture; without it both.
    #[arg(long, value_enum)]
    target: Option<Target>,
    /// Install missing Debian packages (needs root).
    #[arg(long)]
    install: bool,
}

/// The disassembler, and models of CPUs that know Zen 4.
pub const TOOLS: &[Tool] = &[
    Tool::stable("llvm-objdump-19", "llvm-19"),
    Tool::stable("llvm-mca-19", "llvm-19"),
];

pub fn main(args: &Args) -> Result<ExitCode> {
    for target in Target::ALL
        .into_iter()
        .filter(|t| args.target.is_none_or(|a| a == *t))
    {
        run(target, args.bless, args.install)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the loops of a target; then writes the committed table, or compares with it.
///
/// # Errors
/// What is missing, a loop of dot products that leaves its registers, or differences.
pub fn run(target: Target, bless: bool, install: bool) -> Result<()> {
    apt::require(TOOLS, install)?;
    let found = survey::table(target, build::disassembled(target, install)?)?;
    if bless {
        found.write(target)?;
        page::write(target, &found)?;
    }
    survey::check(target, &found)?;
    let committed = Table::read(target)?;
    if committed.compiler == found.compiler {
        committed.compare(target, &found)?;
    } else {
        note(format!(
            "{}: not compared: the committed loops are of {}, these of {}",
            target.name(),
            committed.compiler,
            found.compiler
        ));
    }
    note(format!(
        "{}: {} loops; those of dot products keep what they must",
        target.name(),
        found.loops.len()
    ));
    Ok(())
}

/// Whether the page's tables are those of the committed loops, which takes neither compiler nor
/// disassembler.
///
/// # Errors
/// They are not.
pub fn check_page() -> Result<()> {
    Target::ALL.into_iter().try_for_each(page::check)
}
