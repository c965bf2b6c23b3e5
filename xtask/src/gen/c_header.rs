//! `fqbert_contract.h`: registers, codes and instruction fields for C.

use std::fmt::Write;

use anyhow::Result;

use super::model::{Geometries, Isa, PARAMETERS};
use super::peakrdl::{ADDRESS_WIDTH, Register};

pub fn render(isa: &Isa, geometries: &Geometries, registers: &[Register]) -> Result<String> {
    let mut out = String::new();
    let o = &mut out;
    writeln!(
        o,
        "/* The contract between the fqbert accelerator and its software; described in docs/contract.md. */"
    )?;
    writeln!(
        o,
        "#ifndef FQBERT_CONTRACT_H\n#define FQBERT_CONTRACT_H\n\n#include <stdint.h>\n"
    )?;
    let c = &isa.contract;
    define(
        o,
        "MAGIC",
        format!("UINT32_C({:#010x})", c.magic),
        "ID register",
    )?;
    define(
        o,
        "CONTRACT_MAJOR",
        format!("{}u", c.major),
        "must be equal",
    )?;
    define(
        o,
        "CONTRACT_MINOR",
        format!("{}u", c.minor),
        "a higher one only adds",
    )?;
    define(
        o,
        "INSTRUCTION_BYTES",
        format!("{}u", c.instruction_bytes),
        "little endian",
    )?;
    define(
        o,
        "BEAT_BYTES",
        format!("{}u", c.beat_bytes),
        "a transfer of a 128-bit port",
    )?;
    define(
        o,
        "SEMAPHORES",
        format!("{}u", c.semaphores),
        "id 0 means none",
    )?;
    define(
        o,
        "SEMAPHORE_MAX",
        format!("{}u", c.semaphore_max),
        "highest count",
    )?;
    define(
        o,
        "QUEUE_DEPTH",
        format!("{}u", c.queue_depth),
        "instructions of an engine's queue",
    )?;
    define(
        o,
        "WEIGHT_SLOTS",
        format!("{}u", c.weight_slots),
        "weight memories",
    )?;
    define(
        o,
        "PROGRAM_MAX",
        format!("{}u", c.program_max),
        "instructions of a program",
    )?;

    writeln!(o, "\n/* Features: bits of FQBERT_REG_FEATURES. */")?;
    for f in &isa.feature {
        define(o, &format!("FEATURE_{}", f.name), bits(1 << f.bit), &f.doc)?;
    }
    writeln!(o, "\n/* Engines. */")?;
    for e in &isa.engine {
        define(
            o,
            &format!("ENGINE_{}", e.name),
            format!("{}u", e.id),
            &e.doc,
        )?;
    }
    writeln!(o, "\n/* Units of the BUSY, STALL and RETIRED counters. */")?;
    for u in &isa.unit {
        define(o, &format!("UNIT_{}", u.name), format!("{}u", u.id), &u.doc)?;
    }
    writeln!(o, "\n/* On-chip memories. */")?;
    for m in &isa.memory {
        define(o, &format!("MEMORY_{}", m.name), format!("{}u", m.id), "")?;
    }
    writeln!(o, "\n/* Faults: values of FQBERT_REG_FAULT_CAUSE. */")?;
    for f in &isa.fault {
        define(
            o,
            &format!("FAULT_{}", f.name),
            format!("{}u", f.code),
            &f.doc,
        )?;
    }
    registers_section(o, registers)?;
    instructions(o, isa)?;

    writeln!(
        o,
        "/* Geometries: arguments of a brace initializer for struct fqbert_geometry. */"
    )?;
    writeln!(o, "struct fqbert_geometry {{")?;
    for parameter in PARAMETERS {
        writeln!(o, "    uint32_t {parameter};")?;
    }
    writeln!(o, "}};\n")?;
    for g in &geometries.geometry {
        let numbers: Vec<String> = PARAMETERS
            .iter()
            .map(|p| Ok(format!("{}u", g.number(p)?)))
            .collect::<Result<_>>()?;
        writeln!(o, "/* {} */", g.doc)?;
        writeln!(
            o,
            "#define FQBERT_GEOMETRY_{} \\\n    {}\n",
            g.name.to_uppercase(),
            numbers.join(", ")
        )?;
    }
    writeln!(o, "#endif")?;
    Ok(out)
}

fn registers_section(o: &mut String, registers: &[Register]) -> Result<()> {
    writeln!(
        o,
        "\n/* Registers: 32-bit, offsets in bytes; unmapped offsets read 0 and ignore writes. */"
    )?;
    define(
        o,
        "BLOCK_BYTES",
        format!("{:#x}u", 1 << ADDRESS_WIDTH),
        "size of the block",
    )?;
    for r in registers {
        let doc = format!("{}: {}", r.access(), r.title.to_lowercase());
        match (r.count, r.stride) {
            (Some(count), Some(stride)) => {
                let name = format!("REG_{}(i)", r.name);
                define(
                    o,
                    &name,
                    format!("({:#05x}u + {stride}u * (i))", r.offset),
                    &doc,
                )?;
                define(o, &format!("REG_{}_COUNT", r.name), format!("{count}u"), "")?;
            }
            _ => define(
                o,
                &format!("REG_{}", r.name),
                format!("{:#05x}u", r.offset),
                &doc,
            )?,
        }
    }
    for r in registers.iter().filter(|r| !r.is_number()) {
        writeln!(o, "\n/* Fields of {}. */", r.name)?;
        for f in &r.fields {
            let name = format!("{}_{}", r.name, f.name);
            define(o, &format!("{name}_MASK"), bits(f.mask()), &f.doc)?;
            define(o, &format!("{name}_SHIFT"), format!("{}u", f.lsb), "")?;
        }
    }
    Ok(())
}

fn instructions(o: &mut String, isa: &Isa) -> Result<()> {
    writeln!(
        o,
        "\n/* Instructions: eight words. A field is FQBERT_<INSTRUCTION>_<FIELD>_{{WORD,SHIFT,MASK}}, MASK in place. */"
    )?;
    let mut field = |prefix: &str, f: &super::model::Field| -> Result<()> {
        let name = format!("{prefix}_{}", f.name.to_uppercase());
        define(o, &format!("{name}_WORD"), format!("{}u", f.word), &f.doc)?;
        define(o, &format!("{name}_SHIFT"), format!("{}u", f.lsb), "")?;
        define(o, &format!("{name}_MASK"), bits(f.mask()), "")
    };
    for f in isa.common.iter().filter(|f| f.name != "flags") {
        field("INSTRUCTION", f)?;
    }
    for i in &isa.instruction {
        for f in &i.fields {
            field(&i.name, f)?;
        }
    }
    writeln!(o, "\n/* Opcodes. */")?;
    for i in &isa.instruction {
        define(
            o,
            &format!("OPCODE_{}", i.name),
            format!("{:#04x}u", i.opcode),
            &i.doc,
        )?;
    }
    writeln!(o, "\n/* Values of fields. */")?;
    for i in &isa.instruction {
        for f in &i.fields {
            for (value, label) in f.values.iter().enumerate() {
                let name = format!("{}_{}_{label}", i.name, f.name.to_uppercase());
                define(o, &name, format!("{value}u"), "")?;
            }
        }
    }
    writeln!(o)?;
    Ok(())
}

fn bits(mask: u32) -> String {
    format!("UINT32_C({mask:#010x})")
}

fn define(o: &mut String, name: &str, value: String, doc: &str) -> Result<()> {
    match doc {
        "" => writeln!(o, "#define FQBERT_{name} {value}")?,
        doc => writeln!(o, "#define FQBERT_{name} {value} /* {doc} */")?,
    }
    Ok(())
}
