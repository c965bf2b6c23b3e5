//! `fqbert_pkg.sv`: the contract for the RTL. Instructions are packed structures over the 256 bits
//! that fetch delivers.

use std::fmt::Write;

use anyhow::{Result, ensure};

use super::formula::{Factor, Formula};
use super::geometry_source::Geometries;
use super::isa_source::{Instruction, Isa, Memory, WORDS};

/// Field names of the contract that SystemVerilog reserves; the RTL writes them with a trailing
/// underscore.
const KEYWORDS: [&str; 6] = ["final", "signed", "table", "type", "wait", "with"];

pub fn render(isa: &Isa, geometries: &Geometries) -> Result<String> {
    let mut out = String::new();
    writeln!(
        out,
        "// The RTL's view of the contract; the meaning of everything here is in docs/contract.md.\n"
    )?;
    writeln!(
        out,
        "/* verilator lint_off UNUSEDPARAM */\npackage fqbert_pkg;\n"
    )?;
    constants(&mut out, isa)?;
    enumerations(&mut out, isa)?;
    geometry(&mut out, isa, geometries)?;
    instructions(&mut out, isa)?;
    reserved(&mut out, isa)?;
    writeln!(out, "endpackage\n/* verilator lint_on UNUSEDPARAM */")?;
    Ok(out)
}

fn constants(out: &mut String, isa: &Isa) -> Result<()> {
    let c = &isa.contract;
    writeln!(
        out,
        "  localparam logic [31:0] MAGIC = 32'h{:08x};",
        c.magic
    )?;
    writeln!(
        out,
        "  localparam logic [15:0] CONTRACT_MAJOR = 16'd{};",
        c.major
    )?;
    writeln!(
        out,
        "  localparam logic [15:0] CONTRACT_MINOR = 16'd{};",
        c.minor
    )?;
    for (name, value) in [
        ("INSTRUCTION_BYTES", c.instruction_bytes),
        ("BEAT_BYTES", c.beat_bytes),
        ("SEMAPHORES", c.semaphores),
        ("SEMAPHORE_MAX", c.semaphore_max),
        ("QUEUE_DEPTH", c.queue_depth),
        ("WEIGHT_SLOTS", c.weight_slots),
        ("PROGRAM_MAX", c.program_max),
    ] {
        writeln!(out, "  localparam int unsigned {name} = {value};")?;
    }
    writeln!(out)?;
    for feature in &isa.feature {
        let (bit, name) = (1u64 << feature.bit, &feature.name);
        writeln!(
            out,
            "  localparam logic [31:0] FEATURE_{name} = 32'h{bit:08x}; // {}",
            feature.doc
        )?;
    }
    let all: Vec<String> = isa
        .feature
        .iter()
        .map(|f| format!("FEATURE_{}", f.name))
        .collect();
    writeln!(
        out,
        "  localparam logic [31:0] FEATURES_ALL = {};\n",
        all.join(" | ")
    )?;
    Ok(())
}

/// An enumeration of `(value, name, comment)`; the names take the prefix.
fn enumeration<'a>(
    out: &mut String,
    name: &str,
    prefix: &str,
    width: u32,
    values: impl Iterator<Item = (u8, &'a str, &'a str)>,
) -> Result<()> {
    let values: Vec<_> = values.collect();
    writeln!(out, "  typedef enum logic [{}:0] {{", width - 1)?;
    for (index, (value, label, doc)) in values.iter().enumerate() {
        let comma = if index + 1 < values.len() { "," } else { "" };
        let doc = if doc.is_empty() {
            String::new()
        } else {
            format!(" // {doc}")
        };
        writeln!(out, "    {prefix}_{label} = {width}'d{value}{comma}{doc}")?;
    }
    writeln!(out, "  }} {name}_e;\n")?;
    Ok(())
}

fn enumerations(out: &mut String, isa: &Isa) -> Result<()> {
    let engines = isa
        .engine
        .iter()
        .map(|e| (e.id, e.name.as_str(), e.doc.as_str()));
    enumeration(out, "engine", "ENGINE", 2, engines)?;
    let units = isa
        .unit
        .iter()
        .map(|u| (u.id, u.name.as_str(), u.doc.as_str()));
    enumeration(out, "unit", "UNIT", 3, units)?;
    // The documentation of a memory is a paragraph; docs/contract.md has it.
    let memories = isa.memory.iter().map(|m| (m.id, m.name.as_str(), ""));
    enumeration(out, "memory", "MEMORY", 4, memories)?;
    let faults = isa
        .fault
        .iter()
        .map(|f| (f.code, f.name.as_str(), f.doc.as_str()));
    enumeration(out, "fault", "FAULT", 4, faults)?;
    let opcodes = isa
        .instruction
        .iter()
        .map(|i| (i.opcode, i.name.as_str(), ""));
    enumeration(out, "opcode", "OPCODE", 8, opcodes)?;
    for i in &isa.instruction {
        for field in i.fields.iter().filter(|f| !f.values.is_empty()) {
            let name = format!("{}_{}", i.name.to_lowercase(), field.name);
            let values = field
                .values
                .iter()
                .zip(0u8..)
                .map(|(v, index)| (index, v.as_str(), ""));
            enumeration(out, &name, &name.to_uppercase(), field.width, values)?;
        }
    }
    Ok(())
}

fn geometry(out: &mut String, isa: &Isa, geometries: &Geometries) -> Result<()> {
    writeln!(
        out,
        "  // What a device is built with: the parameter of every module whose size depends on it."
    )?;
    writeln!(out, "  typedef struct packed {{")?;
    for parameter in &geometries.parameter {
        writeln!(out, "    int unsigned {};", parameter.name)?;
    }
    writeln!(out, "  }} geometry_t;\n")?;
    for g in &geometries.geometry {
        writeln!(out, "  // {}", g.doc)?;
        writeln!(
            out,
            "  localparam geometry_t GEOMETRY_{} = '{{",
            g.name.to_uppercase()
        )?;
        let numbers: Vec<String> = geometries
            .parameter
            .iter()
            .map(|p| Ok(format!("    {}: {}", p.name, g.number(&p.name)?)))
            .collect::<Result<_>>()?;
        writeln!(out, "{}\n  }};\n", numbers.join(",\n"))?;
    }
    let word: fn(&Memory) -> &String = |m| &m.word;
    let depth: fn(&Memory) -> &String = |m| &m.depth;
    for (name, doc, pick) in [
        ("word_bytes", "Bytes of a memory's word.", word),
        ("depth_words", "Words of a memory.", depth),
    ] {
        writeln!(out, "  // {doc}")?;
        // Each function reads some of the parameters only.
        writeln!(out, "  /* verilator lint_off UNUSEDSIGNAL */")?;
        writeln!(
            out,
            "  function automatic int unsigned {name}(geometry_t g, memory_e memory);"
        )?;
        writeln!(out, "    case (memory)")?;
        for memory in &isa.memory {
            let formula = expression(&Formula::parse(pick(memory), geometries)?);
            writeln!(out, "      MEMORY_{}: return {formula};", memory.name)?;
        }
        writeln!(out, "      default: return 0;\n    endcase\n  endfunction")?;
        writeln!(out, "  /* verilator lint_on UNUSEDSIGNAL */\n")?;
    }
    Ok(())
}

fn expression(formula: &Formula) -> String {
    let factors: Vec<String> = formula
        .factors
        .iter()
        .map(|factor| match factor {
            Factor::Number(number) => number.to_string(),
            Factor::Parameter(name) => format!("g.{name}"),
        })
        .collect();
    match formula.divisor {
        1 => factors.join(" * "),
        divisor => format!("{} / {divisor}", factors.join(" * ")),
    }
}

/// A member of a packed structure, from `lsb` of the 256 bits on.
struct Member {
    lsb: u32,
    width: u32,
    name: String,
    doc: String,
}

/// The members from bit 255 down, gaps filled.
fn members(isa: &Isa, instruction: Option<&Instruction>) -> Result<Vec<Member>> {
    let bit = |word: usize, lsb: u32| word as u32 * 32 + lsb;
    let common = isa
        .common
        .iter()
        .filter(|f| instruction.is_none() || f.name != "flags");
    let mut taken: Vec<Member> = common
        .map(|f| Member {
            lsb: bit(f.word, f.lsb),
            width: f.width,
            name: spelled(&f.name),
            doc: f.doc.clone(),
        })
        .collect();
    for field in instruction.iter().flat_map(|i| i.logical()) {
        let Some(first) = field.parts.first() else {
            continue;
        };
        let mut width = 0;
        for part in &field.parts {
            ensure!(
                bit(part.word, part.lsb) == bit(first.word, first.lsb) + width,
                "the halves of {} are not neighbours",
                field.name
            );
            width += part.width;
        }
        taken.push(Member {
            lsb: bit(first.word, first.lsb),
            width,
            name: spelled(field.name),
            doc: field.doc.to_owned(),
        });
    }
    taken.sort_by_key(|m| std::cmp::Reverse(m.lsb));
    let mut all = Vec::new();
    let mut top = 32 * WORDS as u32;
    for member in taken {
        fill(&mut all, &mut top, member.lsb + member.width);
        top = member.lsb;
        all.push(member);
    }
    fill(&mut all, &mut top, 0);
    Ok(all)
}

/// Reserved members from `top` down to `bottom`.
fn fill(members: &mut Vec<Member>, top: &mut u32, bottom: u32) {
    if *top > bottom {
        let name = format!("reserved{bottom}");
        members.push(Member {
            lsb: bottom,
            width: *top - bottom,
            name,
            doc: String::new(),
        });
    }
    *top = bottom;
}

fn spelled(name: &str) -> String {
    if KEYWORDS.contains(&name) {
        format!("{name}_")
    } else {
        name.to_owned()
    }
}

fn instructions(out: &mut String, isa: &Isa) -> Result<()> {
    writeln!(
        out,
        "  // An instruction: word 0 in bits 31:0, as two beats of a port deliver it. Each structure below is the same"
    )?;
    writeln!(
        out,
        "  // 256 bits; a cast, such as matmul_t'(instruction), picks the view. Members named reserved<bit> must be 0."
    )?;
    writeln!(
        out,
        "  typedef logic [{}:0] instruction_t;\n",
        32 * WORDS - 1
    )?;
    structure(
        out,
        "header",
        "what every instruction has",
        &members(isa, None)?,
    )?;
    for i in &isa.instruction {
        structure(out, &i.name.to_lowercase(), &i.doc, &members(isa, Some(i))?)?;
    }
    Ok(())
}

fn structure(out: &mut String, name: &str, doc: &str, members: &[Member]) -> Result<()> {
    writeln!(out, "  // {}: {doc}", name.to_uppercase())?;
    writeln!(out, "  typedef struct packed {{")?;
    for member in members {
        let range = match member.width {
            1 => "logic".to_owned(),
            width => format!("logic [{}:0]", width - 1),
        };
        let doc = if member.doc.is_empty() {
            String::new()
        } else {
            format!(" // {}", member.doc)
        };
        writeln!(out, "    {range} {};{doc}", member.name)?;
    }
    writeln!(out, "  }} {name}_t;\n")?;
    Ok(())
}

fn reserved(out: &mut String, isa: &Isa) -> Result<()> {
    writeln!(
        out,
        "  // Whether the contract has the opcode; anything else is fault ILLEGAL_OPCODE."
    )?;
    writeln!(
        out,
        "  function automatic logic opcode_known(logic [7:0] opcode);\n    case (opcode)"
    )?;
    let names: Vec<String> = isa
        .instruction
        .iter()
        .map(|i| format!("OPCODE_{}", i.name))
        .collect();
    writeln!(out, "      {}: return 1'b1;", names.join(", "))?;
    writeln!(
        out,
        "      default: return 1'b0;\n    endcase\n  endfunction\n"
    )?;
    writeln!(
        out,
        "  // Bits that must be 0 in an instruction of this opcode; a set one is fault ILLEGAL_FIELD."
    )?;
    writeln!(
        out,
        "  function automatic instruction_t reserved_bits(logic [7:0] opcode);\n    case (opcode)"
    )?;
    for i in &isa.instruction {
        let words: Vec<String> = isa
            .reserved(i)
            .iter()
            .rev()
            .map(|word| format!("{word:08x}"))
            .collect();
        writeln!(
            out,
            "      OPCODE_{}: return 256'h{};",
            i.name,
            words.join("_")
        )?;
    }
    writeln!(
        out,
        "      default: return '0;\n    endcase\n  endfunction\n"
    )?;
    Ok(())
}
