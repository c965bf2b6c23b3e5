//! PeakRDL in its virtual environment: the AXI4-Lite block, and the register list for our own
//! renderers.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::isa_source::Contract;
use crate::host::output;
use crate::python;

/// Bits of the register block's address: 4 KiB.
pub const ADDRESS_WIDTH: u32 = 12;

/// A register, or an array of them, as `registers.py` prints it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    pub name: String,
    pub title: String,
    pub doc: String,
    pub offset: u32,
    pub count: Option<u32>,
    pub stride: Option<u32>,
    pub fields: Vec<RegisterField>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterField {
    pub name: String,
    pub doc: String,
    pub lsb: u32,
    pub width: u32,
    pub reset: Option<u32>,
    pub readable: bool,
    pub writable: bool,
    pub write_one_to_clear: bool,
}

/// How software may use a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
    WriteOnly,
    WriteOneToClear,
}

impl Register {
    /// The access of the register, from its fields.
    pub fn access(&self) -> Access {
        let any = |test: fn(&RegisterField) -> bool| self.fields.iter().any(test);
        match (any(|f| f.readable), any(|f| f.writable)) {
            (_, true) if any(|f| f.write_one_to_clear) => Access::WriteOneToClear,
            (true, true) => Access::ReadWrite,
            (false, true) => Access::WriteOnly,
            _ => Access::ReadOnly,
        }
    }

    /// Value after a reset, `None` where any of it is a wire from the hardware.
    pub fn reset(&self) -> Option<u32> {
        self.fields
            .iter()
            .try_fold(0, |value, field| Some(value | field.reset? << field.lsb))
    }

    /// A register that is one 32-bit number.
    pub fn is_number(&self) -> bool {
        matches!(self.fields.as_slice(), [only] if only.width == 32)
    }

    /// Name and offset of every element: `BUSY[3]` for arrays.
    pub fn elements(&self) -> Vec<(String, u32)> {
        match (self.count, self.stride) {
            (Some(count), Some(stride)) => (0..count)
                .map(|i| (format!("{}[{i}]", self.name), self.offset + i * stride))
                .collect(),
            _ => vec![(self.name.clone(), self.offset)],
        }
    }
}

impl RegisterField {
    pub fn mask(&self) -> u32 {
        (u32::MAX >> (32 - self.width)) << self.lsb
    }

    /// `5` or `31:16`.
    pub fn bits(&self) -> String {
        match self.width {
            1 => self.lsb.to_string(),
            width => format!("{}:{}", self.lsb + width - 1, self.lsb),
        }
    }
}

/// The tools of `xtask/requirements.txt`.
pub struct PeakRdl {
    environment: PathBuf,
    exporter: PathBuf,
    source: PathBuf,
    parameters: Vec<String>,
}

impl PeakRdl {
    /// Makes the environment where it is missing or its PeakRDL is not the pinned one.
    pub fn prepare(root: &Path, contract: &Contract) -> Result<Self> {
        let environment = python::environment(root, python::GEN)?;
        Ok(Self {
            environment,
            exporter: root.join("xtask/src/gen/registers.py"),
            source: root.join("accelerator/contract/registers.rdl"),
            parameters: vec![
                format!("MAGIC={:#x}", contract.magic),
                format!("MAJOR={}", contract.major),
                format!("MINOR={}", contract.minor),
            ],
        })
    }

    /// The registers in order of offset.
    pub fn registers(&self) -> Result<Vec<Register>> {
        let json = output(
            Command::new(self.environment.join("bin/python"))
                .arg(&self.exporter)
                .arg(&self.source)
                .args(&self.parameters),
        )?;
        let mut registers: Vec<Register> =
            serde_json::from_str(&json).context("registers.py printed something unexpected")?;
        registers.sort_by_key(|r| r.offset);
        for register in &registers {
            ensure!(
                register.count.is_some() == register.stride.is_some(),
                "{} is an array of more than one dimension",
                register.name
            );
            for field in &register.fields {
                ensure!(
                    (1..=32).contains(&field.width) && field.lsb + field.width <= 32,
                    "{}.{} lies outside 32 bits",
                    register.name,
                    field.name
                );
            }
        }
        Ok(registers)
    }

    /// The AXI4-Lite block: (`fqbert_regs.sv`, `fqbert_regs_pkg.sv`).
    pub fn regblock(&self) -> Result<(String, String)> {
        let folder = tempfile::tempdir()?;
        let width = ADDRESS_WIDTH.to_string();
        let mut command = self.peakrdl("regblock");
        command.args([
            "--cpuif",
            "axi4-lite-flat",
            "--type-style",
            "hier",
            "--addr-width",
        ]);
        output(command.arg(width).arg("-o").arg(folder.path()))?;
        let read = |name: &str| {
            let path = folder.path().join(name);
            std::fs::read_to_string(&path).with_context(|| format!("PeakRDL wrote no {name}"))
        };
        Ok((
            linted(&read("fqbert_regs.sv")?),
            linted(&read("fqbert_regs_pkg.sv")?),
        ))
    }

    fn peakrdl(&self, exporter: &str) -> Command {
        let mut command = Command::new(self.environment.join("bin/python"));
        command.args(["-m", "peakrdl", exporter]).arg(&self.source);
        for parameter in &self.parameters {
            command.args(["-P", parameter]);
        }
        command
    }
}

/// PeakRDL's text with the lint rules off that it does not keep: it names constants and decodes
/// bits that a block of this shape never reads, and each field has a process of its own that writes
/// its own member of one structure, which Verilator takes for several drivers of the whole.
fn linted(text: &str) -> String {
    let rules = ["MULTIDRIVEN", "UNUSEDPARAM", "UNUSEDSIGNAL"];
    let mark = |state| {
        rules
            .map(|rule| format!("/* verilator lint_{state} {rule} */\n"))
            .concat()
    };
    // Trailing blanks would be changed by any editor that touches the file.
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}{}\n{}", mark("off"), lines.join("\n"), mark("on"))
}
