//! Token ids against those of transformers (`quantizer/checkpoint/differential/tokens.py`).

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::host::run;
use crate::python;

/// Compares so many random cases, whose seed is printed. The program is built if it is not there.
pub fn run_cases(root: &Path, cases: &str) -> Result<()> {
    let environment = python::environment(root, python::TOKENS)?;
    let example = "build --locked -p fqbert-checkpoint --all-features --example tokenize";
    run(Command::new("cargo")
        .current_dir(root)
        .args(example.split(' ')))?;
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root.join("target"), Into::into);
    run(Command::new(environment.join("bin/python"))
        .arg(root.join("quantizer/checkpoint/differential/tokens.py"))
        .arg(target.join("debug/examples/tokenize"))
        .args(["--cases", cases]))
}
