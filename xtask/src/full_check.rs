//! `cargo xtask full-check`: what is too slow for every change.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::host::{note, root, run};
use crate::planted;
use crate::qat;
use crate::synth;
use crate::tokens;

/// `cargo xtask full-check`.
#[derive(clap::Args)]
pub struct Args {}

/// Cases of each property test, against 256 by default.
const PROPTEST_CASES: &str = "4096";

/// Every part of the RTL that is simulated, the large ones by their names.
const COSIM_TOPS: &str = "common,matrix,system,vector,top_tiny,matrix_paper,top_paper,top_zcu102";
/// Random programs on the RTL.
const RANDOM_PROGRAMS: &str = "100000";
/// Mutants of compiled programs on the emulator, and on the RTL.
const MUTANTS: &str = "1000000";
const COSIM_MUTANTS: &str = "10000";

/// Seeds of histories under faults.
const HISTORIES: &str = "--seeds=0..1000000";

/// Random tokenizer settings, against 200 in the test command.
const TOKENIZERS: &str = "2000";

/// Cargo's arguments, split at blanks.
const CLIPPY: &str = "clippy --locked --workspace --all-targets --all-features -- -D warnings";
const TESTS: &str = "test --locked --workspace --all-features -- --include-ignored";
const PROGRAMS: &str =
    "test --locked --workspace --all-features --test top_device -- --ignored many_random";
const FLIPPED_BIT: &str = "xtask vm --model tiny --test fqbert-runtime -- on_the_virtual_board";
const SIMULATE: &str = "run --locked --release -p fqbert-simulation --";

/// Every test that is marked as slow, the property tests with more cases, the benchmarks' crates,
/// which the test command leaves out, mutants and histories by the million, planted bugs,
/// token ids against transformers', quantization-aware training and synthesis.
pub fn main(_: &Args) -> Result<ExitCode> {
    let root = root();
    let cargo = |args: &str| {
        let mut command = Command::new("cargo");
        command
            .current_dir(&root)
            .args(args.split(' '))
            .env("PROPTEST_CASES", PROPTEST_CASES)
            .env("FQBERT_COSIM_TOPS", COSIM_TOPS);
        command
    };
    for args in [CLIPPY, TESTS] {
        note(format!("== cargo {args}"));
        run(&mut cargo(args))?;
    }
    note(format!("== {RANDOM_PROGRAMS} random programs on the RTL"));
    run(cargo(PROGRAMS).env("FQBERT_RANDOM_PROGRAMS", RANDOM_PROGRAMS))?;
    for (package, count) in [
        ("fqbert-compiler", MUTANTS),
        ("fqbert-cosim", COSIM_MUTANTS),
    ] {
        note(format!(
            "== {count} mutants of compiled programs, {package}"
        ));
        let mutants =
            format!("test --locked -p {package} --test mutants -- --ignored many --nocapture");
        run(cargo(&mutants).env("FQBERT_MUTANTS", count))?;
    }
    note("== a flipped bit on the virtual board, recorded and found");
    run(&mut cargo(FLIPPED_BIT))?;
    note("== the README's main job, as it shows it");
    let sentence = "a gorgeous, witty, seductive movie.";
    run(cargo("run --locked --release -- classify").arg(sentence))?;
    note("== histories under faults, and planted bugs that they find");
    run(cargo(SIMULATE).arg(HISTORIES))?;
    planted::run(&root, "")?;
    note(format!(
        "== {TOKENIZERS} random tokenizers against transformers"
    ));
    tokens::run_cases(&root, TOKENIZERS)?;
    note("== cargo xtask synth --check");
    synth::run(&root, true)?;
    note("== cargo xtask qat");
    qat::main(&qat::Args {})
}
