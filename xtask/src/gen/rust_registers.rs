//! `generated/registers.rs`: offsets, bits and the register table.

use std::fmt::Write;

use anyhow::Result;

use super::isa_source::Named;
use super::peakrdl::{ADDRESS_WIDTH, Access, Register};

pub fn render(registers: &[Register], units: &[Named]) -> Result<String> {
    let mut out = String::new();
    write!(
        out,
        "//! The register block: offsets, bits and a table of every register.\n\n\
         use crate::address::RegisterOffset;\n\n\
         /// Bytes of the register block; offsets that no register takes read 0 and \
         ignore writes.\n\
         pub const BLOCK_BYTES: u32 = 1 << {ADDRESS_WIDTH};\n\n"
    )?;
    registers.iter().try_for_each(|r| offset(&mut out, r))?;
    for register in registers.iter().filter(|r| !r.is_number()) {
        fields(&mut out, register)?;
    }
    units_of_counters(&mut out, units)?;
    out.push_str(TYPES);
    table(&mut out, registers)?;
    Ok(out)
}

/// The offset of a register, or of the elements of an array.
fn offset(out: &mut String, r: &Register) -> Result<()> {
    let doc = format!("/// {}: {}", r.title, r.doc);
    let (name, offset) = (&r.name, r.offset);
    let (Some(count), Some(stride)) = (r.count, r.stride) else {
        writeln!(
            out,
            "{doc}\npub const {name}: RegisterOffset = RegisterOffset({offset:#05x});\n"
        )?;
        return Ok(());
    };
    write!(
        out,
        "{doc}\npub const {name}: RegisterOffset = RegisterOffset({offset:#05x});\n\
         /// Elements of [`{name}`].\npub const {name}_COUNT: u32 = {count};\n\
         /// Offset of element `index` of [`{name}`].\n///\n\
         /// # Panics\n/// Past the last element.\n\
         pub const fn {lower}(index: u32) -> RegisterOffset {{\n\
         assert!(index < {name}_COUNT);\n\
         RegisterOffset({offset:#05x} + {stride} * index)\n}}\n\n",
        lower = name.to_lowercase(),
    )?;
    Ok(())
}

fn fields(out: &mut String, r: &Register) -> Result<()> {
    writeln!(
        out,
        "/// Fields of [`{}`].\npub mod {} {{",
        r.name,
        r.name.to_lowercase()
    )?;
    for f in &r.fields {
        let doc = if f.doc.is_empty() { &r.title } else { &f.doc };
        let (name, lsb) = (&f.name, f.lsb);
        if f.width == 1 {
            writeln!(out, "/// {doc}.\npub const {name}: u32 = 1 << {lsb};")?;
        } else {
            writeln!(
                out,
                "/// Lowest bit: {doc}.\npub const {name}_SHIFT: u32 = {lsb};\n\
                 /// Bits in place: {doc}.\npub const {name}_MASK: u32 = {:#010x};",
                f.mask(),
            )?;
        }
    }
    writeln!(out, "}}\n")?;
    Ok(())
}

fn units_of_counters(out: &mut String, units: &[Named]) -> Result<()> {
    writeln!(
        out,
        "/// Bits that IRQ_ENABLE and IRQ_STATUS share.\n\
         pub mod irq {{\npub use super::irq_status::*;\n}}\n\n\
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
    Ok(())
}

fn table(out: &mut String, registers: &[Register]) -> Result<()> {
    writeln!(
        out,
        "/// Every register in order of offset, arrays element by element.\n\
         pub const ALL: &[RegisterInfo] = &["
    )?;
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
    Ok(())
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
