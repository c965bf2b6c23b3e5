//! `cargo xtask gen`: everything that is derived from the contract's sources.
//!
//! `accelerator/contract/isa.toml`, `geometry.toml` and `registers.rdl` become the Rust constants
//! and codec, the SystemVerilog packages and register block, the C header and `docs/contract.md`.
//! The results are committed; `--check` renders them again and fails where a file differs.

mod c_header;
mod document;
mod formula;
mod geometry_source;
mod isa_source;
mod peakrdl;
mod rust_codec;
mod rust_geometry;
mod rust_isa;
mod rust_registers;
mod systemverilog;
mod text;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};

use fqbert_files::sha256_hex;

use crate::host::{root, write_atomically};
use geometry_source::Geometries;
use isa_source::Isa;

const ISA: &str = "accelerator/contract/isa.toml";
const GEOMETRY: &str = "accelerator/contract/geometry.toml";
const REGISTERS: &str = "accelerator/contract/registers.rdl";

/// Folders that hold generated files only.
const FOLDERS: [&str; 3] = [
    "accelerator/contract/src/generated",
    "accelerator/contract/include",
    "accelerator/rtl/generated",
];

/// A file to be, its path relative to the root.
struct Output {
    path: &'static str,
    text: String,
}

/// `cargo xtask gen`.
#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; fail if a generated file does not match the contract.
    #[arg(long)]
    check: bool,
}

pub fn main(args: &Args) -> Result<ExitCode> {
    run(&root(), args.check)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes every generated file under `root`, or with `check` fails if one would change.
pub fn run(root: &Path, check: bool) -> Result<()> {
    let outputs = render(root)?;
    let stale = stale(root, &outputs)?;
    if check {
        return report(root, &outputs, &stale);
    }
    write(root, &outputs, &stale)
}

/// Writes what differs and removes what is stale.
fn write(root: &Path, outputs: &[Output], stale: &[PathBuf]) -> Result<()> {
    for output in outputs {
        let path = root.join(output.path);
        if std::fs::read_to_string(&path).ok().as_deref() == Some(output.text.as_str()) {
            continue;
        }
        write_atomically(&path, output.text.as_bytes())?;
        println!("wrote {}", output.path);
    }
    for path in stale {
        std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        println!("removed {}", path.display());
    }
    Ok(())
}

fn render(root: &Path) -> Result<Vec<Output>> {
    let read = |path: &str| {
        std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
    };
    let all = [REGISTERS, ISA, GEOMETRY];
    let sources = all
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>>>()?;
    let digest = sha256_hex(sources.iter().map(String::as_bytes));
    let geometries = Geometries::parse(&read(GEOMETRY)?)?;
    let isa = Isa::parse(&read(ISA)?, &geometries)?;
    let peakrdl = peakrdl::PeakRdl::prepare(root, &isa.contract)?;
    let registers = peakrdl.registers()?;

    let (block, package) = peakrdl.regblock()?;

    let rust =
        |sources: &[&str], text: String| rustfmt(root, &format!("{}{text}", header(sources)));
    let plain = |sources: &[&str], text: String| format!("{}{text}", header(sources));
    let modules = "//! Generated from the contract's sources; see `cargo xtask gen`.\n\n\
                   pub mod digest;\npub mod geometry;\npub mod isa;\npub mod registers;\n";
    Ok(vec![
        Output {
            path: "accelerator/contract/src/generated/mod.rs",
            text: rust(&all, modules.into())?,
        },
        Output {
            path: "accelerator/contract/src/generated/digest.rs",
            text: rust(&all, digest_module(&digest))?,
        },
        Output {
            path: "accelerator/contract/src/generated/isa.rs",
            text: rust(&[ISA], rust_isa::render(&isa, &geometries)?)?,
        },
        Output {
            path: "accelerator/contract/src/generated/geometry.rs",
            text: rust(
                &[GEOMETRY, REGISTERS],
                rust_geometry::render(&geometries, &registers)?,
            )?,
        },
        Output {
            path: "accelerator/contract/src/generated/registers.rs",
            text: rust(
                &[REGISTERS, ISA],
                rust_registers::render(&registers, &isa.unit)?,
            )?,
        },
        Output {
            path: "accelerator/contract/include/fqbert_contract.h",
            text: plain(&all, c_header::render(&isa, &geometries, &registers)?),
        },
        Output {
            path: "accelerator/rtl/generated/fqbert_pkg.sv",
            text: plain(&[ISA, GEOMETRY], systemverilog::render(&isa, &geometries)?),
        },
        Output {
            path: "accelerator/rtl/generated/fqbert_regs_pkg.sv",
            text: plain(&[REGISTERS], package),
        },
        Output {
            path: "accelerator/rtl/generated/fqbert_regs.sv",
            text: plain(&[REGISTERS], block),
        },
        Output {
            path: "docs/contract.md",
            text: format!(
                "<!-- Generated by `cargo xtask gen` from {}; do not edit. -->\n\n{}",
                all.join(", "),
                document::render(&isa, &geometries, &registers)?
            ),
        },
    ])
}

/// `generated/digest.rs`: which contract this is, in one number.
fn digest_module(digest: &str) -> String {
    format!(
        "//! Which contract this is, in one number.\n\n\
         /// SHA-256 of the contract's sources one after the other, comments included: the\n\
         /// registers, the instruction set and the geometries.\n\
         pub const CONTRACT_SHA256: &str =\n    \"{digest}\";\n"
    )
}

/// The first line of every generated file that takes `//` comments.
fn header(sources: &[&str]) -> String {
    let sources = sources.join(", ");
    format!("// Generated by `cargo xtask gen` from {sources}; do not edit.\n\n")
}

/// Files in the generated folders that nothing generates.
fn stale(root: &Path, outputs: &[Output]) -> Result<Vec<PathBuf>> {
    let mut stale = Vec::new();
    for folder in FOLDERS {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            if !outputs.iter().any(|o| root.join(o.path) == path) {
                stale.push(path);
            }
        }
    }
    stale.sort();
    Ok(stale)
}

fn report(root: &Path, outputs: &[Output], stale: &[PathBuf]) -> Result<()> {
    let mut drift = Vec::new();
    for output in outputs {
        match std::fs::read_to_string(root.join(output.path)) {
            Ok(found) if found == output.text => {}
            Ok(found) => {
                let same = found
                    .lines()
                    .zip(output.text.lines())
                    .take_while(|(a, b)| a == b)
                    .count();
                drift.push(format!("{} differs from line {}", output.path, same + 1));
            }
            Err(error) => drift.push(format!("{}: {error}", output.path)),
        }
    }
    drift.extend(
        stale
            .iter()
            .map(|path| format!("{} is not generated any more", path.display())),
    );
    ensure!(
        drift.is_empty(),
        "generated files do not match the contract:\n  {}\n\
         run `cargo xtask gen` and commit the result",
        drift.join("\n  ")
    );
    println!("{} generated files match the contract", outputs.len());
    Ok(())
}

fn rustfmt(root: &Path, text: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start rustfmt; `rustup component add rustfmt`")?;
    // rustfmt reads all of its input before it writes, so this cannot block on a full pipe.
    child
        .stdin
        .take()
        .context("rustfmt has no stdin")?
        .write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refuses generated code:\n{text}");
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_named_and_writing_ends_it() {
        let root = tempfile::tempdir().expect("a folder");
        let outputs = [
            Output {
                path: "accelerator/contract/include/a.h",
                text: "one\ntwo\n".into(),
            },
            Output {
                path: "docs/contract.md",
                text: "text\n".into(),
            },
        ];
        let check = || {
            let stale = stale(root.path(), &outputs)?;
            report(root.path(), &outputs, &stale)
        };
        let missing = check().expect_err("nothing is written").to_string();
        assert!(missing.contains("docs/contract.md: "), "{missing}");

        let stale_files = stale(root.path(), &outputs).expect("readable");
        write(root.path(), &outputs, &stale_files).expect("written");
        check().expect("as generated");

        let header = root.path().join("accelerator/contract/include/a.h");
        std::fs::write(&header, "one\n2\n").expect("written");
        std::fs::write(header.with_file_name("old.h"), "").expect("written");
        let drift = check().expect_err("two files are wrong").to_string();
        assert!(drift.contains("include/a.h differs from line 2"), "{drift}");
        assert!(drift.contains("old.h is not generated any more"), "{drift}");

        let stale_files = stale(root.path(), &outputs).expect("readable");
        write(root.path(), &outputs, &stale_files).expect("written");
        check().expect("as generated");
    }
}
