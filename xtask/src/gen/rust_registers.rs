//! `generated/registers.rs`: offsets, bits and the register table.

use std::fmt::Write;

use anyhow::Result;

use super::model::Named;
use super::peakrdl::{ADDRESS_WIDTH, Access, Register};

pub fn render(registers: &[Register], units: &[Named]) -> Result<String> {
    let mut out = String::new();
    write!(
        out,
        "//! The register block: offsets, bits and a table of every register.\n\n\
         use crate::address::RegisterOffset;\n\n\
         /// Bytes of the register block; offsets that no register takes read 0 and ignore writes.\n\
         pub const BLOCK_BYTES: u32 = 1 << {ADDRESS_WIDTH};\n\n"
    )?;
    for r in registers {
        let doc = format!("/// {}: {}", r.title, r.doc);
        match (r.count, r.stride) {
            (Some(count), Some(stride)) => write!(
                out,
                "{doc}\npub const {name}: RegisterOffset = RegisterOffset({offset:#05x});\n\
                 /// Elements of [`{name}`].\npub const {name}_COUNT: u32 = {count};\n\
                 /// Offset of element `index` of [`{name}`].\n///\n/// # Panics\n/// Past the last element.\n\
                 pub const fn {lower}(index: u32) -> RegisterOffset {{\n\
                 assert!(index < {name}_COUNT);\n\
                 RegisterOffset({offset:#05x} + {stride} * index)\n}}\n\n",
                name = r.name,
                lower = r.name.to_lowercase(),
                offset = r.offset,
            )?,
            _ => writeln!(
                out,
                "{doc}\npub const {}: RegisterOffset = RegisterOffset({:#05x});\n",
                r.name, r.offset
            )?,
        }
    }
    for r in registers.iter().filter(|r| !r.is_number()) {
        writeln!(
            out,
            "/// Fields of [`{}`].\npub mod {} {{",
            r.name,
            r.name.to_lowercase()
        )?;
        for f in &r.fields {
            let doc = if f.doc.is_empty() { &r.title } else { &f.doc };
            if f.width == 1 {
                writeln!(
                    out,
                    "/// {doc}.\npub const {}: u32 = 1 << {};",
                    f.name, f.lsb
                )?;
            } else {
                writeln!(
                    out,
                    "/// Lowest bit: {doc}.\npub const {name}_SHIFT: u32 = {};\n\
                     /// Bits in place: {doc}.\npub const {name}_MASK: u32 = {:#010x};",
                    f.lsb,
                    f.mask(),
                    name = f.name
                )?;
            }
        }
        writeln!(out, "}}\n")?;
    }
    writeln!(
        out,
        "/// Bits that IRQ_ENABLE and IRQ_STATUS share.\npub mod irq {{\npub use super::irq_status::*;\n}}\n\n\
         /// Units of the BUSY, STALL and RETIRED counters.\npub mod unit {{"
    )?;
    for unit in units {
        writeln!(
            out,
            "/// {}.\npub const {}: u32 = {};",
            unit.doc, unit.name, unit.id
        )?;
    }
    let names: Vec<String> = units.iter().map(|u| format!("{:?}", u.name)).collect();
    writeln!(
        out,
        "/// Name of each unit.\npub const NAMES: [&str; {}] = [{}];\n}}\n",
        units.len(),
        names.join(", ")
    )?;
    out.push_str(TYPES);
    writeln!(
        out,
        "/// Every register in order of offset, arrays element by element."
    )?;
    writeln!(out, "pub const ALL: &[RegisterInfo] = &[")?;
    for r in registers {
        for (name, offset) in r.elements() {
            writeln!(
                out,
                "RegisterInfo {{ name: {name:?}, offset: RegisterOffset({offset:#05x}), \
                 access: Access::{:?}, reset: {:?}, doc: {:?} }},",
                r.access(),
                r.reset(),
                r.doc
            )?;
        }
    }
    writeln!(out, "];")?;
    Ok(out)
}

const TYPES: &str = "/// How software may use a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Writes are ignored.
    ReadOnly,
    /// Reads what was written.
    ReadWrite,
    /// Reads 0.
    WriteOnly,
    /// A written 1 clears the bit, a written 0 leaves it.
    WriteOneToClear,
}

/// One register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterInfo {
    /// Name, with the index where it is an element of an array.
    pub name: &'static str,
    /// Offset into the block.
    pub offset: RegisterOffset,
    /// How software may use it.
    pub access: Access,
    /// Value after a reset; `None` where it is what the bitstream or the run makes it.
    pub reset: Option<u32>,
    /// What it is.
    pub doc: &'static str,
}

impl RegisterInfo {
    /// The register at an offset.
    pub fn at(offset: RegisterOffset) -> Option<&'static Self> {
        let index = ALL.binary_search_by_key(&offset, |r| r.offset).ok()?;
        ALL.get(index)
    }
}

";

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Access::ReadOnly => "ro",
            Access::ReadWrite => "rw",
            Access::WriteOnly => "wo",
            Access::WriteOneToClear => "w1c",
        })
    }
}
