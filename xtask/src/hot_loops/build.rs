//! The emulator's machine code: its release build, disassembled.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::target::Target;
use crate::cross::{Linkage, Toolchain};
use crate::host;

const DISASSEMBLER: &str = "llvm-objdump-19";

/// What was compiled by what.
pub struct Build {
    /// The compiler's version and the LLVM in it.
    pub compiler: String,
    pub listing: String,
}

/// Builds the emulator for a target as it ships, and disassembles it.
///
/// # Errors
/// The build or the disassembler fails, or packages are missing.
pub fn disassembled(target: Target, install: bool) -> Result<Build> {
    let (mut cargo, rustc) = match target {
        Target::X86_64 => (Command::new("cargo"), None),
        Target::Aarch64 => {
            let toolchain = Toolchain::prepare(install)?;
            (toolchain.cargo("build", Linkage::Static), toolchain.rustc())
        }
    };
    if target == Target::X86_64 {
        cargo.arg("build");
        if std::env::consts::ARCH != target.name() {
            cargo.args(["--target", "x86_64-unknown-linux-gnu"]);
        }
    }
    // Flags of the user's are not the shipped build's.
    cargo
        .current_dir(host::root())
        .env_remove("RUSTFLAGS")
        .args(["--locked", "--release", "--lib", "-p", "fqbert-emulator"]);
    let artifacts = host::artifacts(&mut cargo)?;
    let library = artifacts
        .iter()
        .filter(|artifact| artifact.target == "fqbert_emulator")
        .flat_map(|artifact| &artifact.files)
        .find(|file| file.extension().is_some_and(|e| e == "rlib"))
        .context("cargo names no library of fqbert-emulator")?;
    let listing = host::output(
        Command::new(DISASSEMBLER)
            .args(["--disassemble", "--demangle", "--no-show-raw-insn"])
            .arg(library),
    )?;
    Ok(Build {
        compiler: compiler(rustc)?,
        listing,
    })
}

/// `rustc 1.95.0, LLVM 22.1.2`.
fn compiler(rustc: Option<PathBuf>) -> Result<String> {
    let rustc = rustc.unwrap_or_else(|| "rustc".into());
    let text = host::output(Command::new(rustc).current_dir(host::root()).arg("-vV"))?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let (release, llvm) = (field("release: "), field("LLVM version: "));
    Ok(format!(
        "rustc {}, LLVM {}",
        release.context("rustc tells no release")?,
        llvm.context("rustc tells no version of LLVM")?
    ))
}
