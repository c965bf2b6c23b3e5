//! `fqbert_contract.h`: registers, codes and instruction fields for C.
//!
//! `accelerator/contract/tests/c_header.rs` compiles it and compares it with the Rust contract.

use std::fmt::Write;

use anyhow::Result;

use super::geometry_source::Geometries;
use super::isa_source::{Field, Isa};
use super::peakrdl::{ADDRESS_WIDTH, Register};

pub fn render(isa: &Isa, geometries: &Geometries, registers: &[Register]) -> Result<String> {
    let mut out = String::from(
        "/* The contract between the fqbert accelerator and its software;\n   \
         described in docs/contract.md. */\n\
         #ifndef FQBERT_CONTRACT_H\n#define FQBERT_CONTRACT_H\n\n#include <stdint.h>\n\n",
    );
    let o = &mut out;
    constants(o, isa)?;
    codes(o, isa)?;
    register_offsets(o, registers)?;
    register_fields(o, registers)?;
    instruction_fields(o, isa)?;
    instruction_codes(o, isa)?;
    presets(o, geometries)?;
    writeln!(o, "#endif")?;
    Ok(out)
}

fn constants(o: &mut String, isa: &Isa) -> Result<()> {
    let c = &isa.contract;
    define(o, "MAGIC", &bits(c.magic), "ID register")?;
    for (name, value, doc) in [
        ("CONTRACT_MAJOR", c.major.into(), "must be equal"),
        ("CONTRACT_MINOR", c.minor.into(), "a higher one only adds"),
        ("INSTRUCTION_BYTES", c.instruction_bytes, "little endian"),
        ("BEAT_BYTES", c.beat_bytes, "a transfer of a 128-bit port"),
        ("SEMAPHORES", c.semaphores, "id 0 means none"),
        ("SEMAPHORE_MAX", c.semaphore_max, "highest count"),
        (
            "QUEUE_DEPTH",
            c.queue_depth,
            "instructions of an engine's queue",
        ),
        ("WEIGHT_SLOTS", c.weight_slots, "weight memories"),
        ("PROGRAM_MAX", c.program_max, "instructions of a program"),
    ] {
        define(o, name, &number(value), doc)?;
    }
    Ok(())
}

fn codes(o: &mut String, isa: &Isa) -> Result<()> {
    writeln!(o, "\n/* Features: bits of FQBERT_REG_FEATURES. */")?;
    for f in &isa.feature {
        define(o, &format!("FEATURE_{}", f.name), &bits(1 << f.bit), &f.doc)?;
    }
    let engines = isa.engine.iter().map(|e| (e.id, &e.name, e.doc.as_str()));
    list(o, "Engines.", "ENGINE", engines)?;
    let units = isa.unit.iter().map(|u| (u.id, &u.name, u.doc.as_str()));
    let counters = "Units of the BUSY, STALL and RETIRED counters.";
    list(o, counters, "UNIT", units)?;
    let memories = isa.memory.iter().map(|m| (m.id, &m.name, ""));
    list(o, "On-chip memories.", "MEMORY", memories)?;
    let faults = isa.fault.iter().map(|f| (f.code, &f.name, f.doc.as_str()));
    let causes = "Faults: values of FQBERT_REG_FAULT_CAUSE.";
    list(o, causes, "FAULT", faults)
}

/// A list of small codes under a title.
fn list<'a>(
    o: &mut String,
    title: &str,
    prefix: &str,
    codes: impl Iterator<Item = (u8, &'a String, &'a str)>,
) -> Result<()> {
    writeln!(o, "\n/* {title} */")?;
    for (code, name, doc) in codes {
        define(o, &format!("{prefix}_{name}"), &number(code.into()), doc)?;
    }
    Ok(())
}

fn register_offsets(o: &mut String, registers: &[Register]) -> Result<()> {
    writeln!(
        o,
        "\n/* Registers: 32-bit, offsets in bytes; unmapped offsets read 0 and ignore writes. */"
    )?;
    let block = format!("{:#x}u", 1 << ADDRESS_WIDTH);
    define(o, "BLOCK_BYTES", &block, "size of the block")?;
    for r in registers {
        let doc = format!("{}: {}", r.access(), r.title.to_lowercase());
        let (name, offset) = (format!("REG_{}", r.name), format!("{:#05x}u", r.offset));
        if let (Some(count), Some(stride)) = (r.count, r.stride) {
            let element = format!("({offset} + {stride}u * (i))");
            define(o, &format!("{name}(i)"), &element, &doc)?;
            define(o, &format!("{name}_COUNT"), &number(count), "")?;
        } else {
            define(o, &name, &offset, &doc)?;
        }
    }
    Ok(())
}

fn register_fields(o: &mut String, registers: &[Register]) -> Result<()> {
    for r in registers.iter().filter(|r| !r.is_number()) {
        writeln!(o, "\n/* Fields of {}. */", r.name)?;
        for f in &r.fields {
            let name = format!("{}_{}", r.name, f.name);
            define(o, &format!("{name}_MASK"), &bits(f.mask()), &f.doc)?;
            define(o, &format!("{name}_SHIFT"), &number(f.lsb), "")?;
        }
    }
    Ok(())
}

fn instruction_fields(o: &mut String, isa: &Isa) -> Result<()> {
    writeln!(
        o,
        "\n/* Instructions: eight words. A field is \
         FQBERT_<INSTRUCTION>_<FIELD>_{{WORD,SHIFT,MASK}},\n   \
         MASK in place. */"
    )?;
    for f in isa.common.iter().filter(|f| f.name != "flags") {
        instruction_field(o, "INSTRUCTION", f)?;
    }
    for i in &isa.instruction {
        for f in &i.fields {
            instruction_field(o, &i.name, f)?;
        }
    }
    Ok(())
}

fn instruction_field(o: &mut String, prefix: &str, f: &Field) -> Result<()> {
    let name = format!("{prefix}_{}", f.name.to_uppercase());
    define(o, &format!("{name}_WORD"), &format!("{}u", f.word), &f.doc)?;
    define(o, &format!("{name}_SHIFT"), &number(f.lsb), "")?;
    define(o, &format!("{name}_MASK"), &bits(f.mask()), "")
}

fn instruction_codes(o: &mut String, isa: &Isa) -> Result<()> {
    writeln!(o, "\n/* Opcodes. */")?;
    for i in &isa.instruction {
        let opcode = format!("{:#04x}u", i.opcode);
        define(o, &format!("OPCODE_{}", i.name), &opcode, &i.doc)?;
    }
    writeln!(o, "\n/* Values of fields. */")?;
    for i in &isa.instruction {
        for f in &i.fields {
            for (value, label) in (0u32..).zip(&f.values) {
                let name = format!("{}_{}_{label}", i.name, f.name.to_uppercase());
                define(o, &name, &number(value), "")?;
            }
        }
    }
    writeln!(o)?;
    Ok(())
}

fn presets(o: &mut String, geometries: &Geometries) -> Result<()> {
    writeln!(
        o,
        "/* Geometries: arguments of a brace initializer for struct fqbert_geometry. */\n\
         struct fqbert_geometry {{"
    )?;
    for parameter in &geometries.parameter {
        writeln!(o, "    uint32_t {};", parameter.name)?;
    }
    writeln!(o, "}};\n")?;
    for g in &geometries.geometry {
        let numbers: Vec<String> = geometries
            .parameter
            .iter()
            .map(|p| Ok(number(g.number(&p.name)?)))
            .collect::<Result<_>>()?;
        let lines: Vec<String> = numbers.chunks(8).map(|some| some.join(", ")).collect();
        writeln!(
            o,
            "/* {} */\n#define FQBERT_GEOMETRY_{} \\\n    {}\n",
            g.doc,
            g.name.to_uppercase(),
            lines.join(", \\\n    ")
        )?;
    }
    Ok(())
}

fn number(value: u32) -> String {
    format!("{value}u")
}

fn bits(mask: u32) -> String {
    format!("UINT32_C({mask:#010x})")
}

fn define(o: &mut String, name: &str, value: &str, doc: &str) -> Result<()> {
    match doc {
        "" => writeln!(o, "#define FQBERT_{name} {value}")?,
        doc => writeln!(o, "#define FQBERT_{name} {value} /* {doc} */")?,
    }
    Ok(())
}
