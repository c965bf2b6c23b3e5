//! `generated/isa.rs`: constants, enumerations and the instruction codec.

use std::fmt::Write;

use anyhow::Result;

use super::formula::{Factor, Formula};
use super::geometry_source::Geometries;
use super::isa_source::{Instruction, Isa, Memory};
use super::rust_codec;
use super::text::{camel, sentence};

pub fn render(isa: &Isa, geometries: &Geometries) -> Result<String> {
    let mut out = String::new();
    constants(&mut out, isa)?;
    features(&mut out, isa)?;
    engines(&mut out, isa)?;
    memories(&mut out, isa, geometries)?;
    faults(&mut out, isa)?;
    structs(&mut out, isa)?;
    operation(&mut out, isa)?;
    rust_codec::render(&mut out, isa)?;
    Ok(out)
}

fn constants(out: &mut String, isa: &Isa) -> Result<()> {
    let c = &isa.contract;
    write!(
        out,
        "//! Instruction set: constants, enumerations and the strict codec.\n\
         //!\n\
         //! An instruction is {words} little-endian 32-bit words. Decoding is total: \
         every {bytes}-byte\n\
         //! pattern is either one instruction or a [`DecodeError`], and what decodes \
         encodes to the\n\
         //! same bits.\n\n\
         use super::geometry::Geometry;\n\n\
         /// The ID register of an accelerator.\npub const MAGIC: u32 = {magic:#010x};\n\
         /// Contracts of another major version are not understood.\n\
         pub const CONTRACT_MAJOR: u16 = {major};\n\
         /// A higher minor version only adds.\npub const CONTRACT_MINOR: u16 = {minor};\n\
         /// Bytes of an instruction in DDR.\npub const INSTRUCTION_BYTES: usize = {bytes};\n\
         /// 32-bit words of an instruction.\npub const INSTRUCTION_WORDS: usize = {words};\n\
         /// Bytes of one transfer on a 128-bit AXI port.\npub const BEAT_BYTES: usize = {beat};\n\
         /// Semaphores; 0 in a wait or signal field means none, so the usable ids are \
         `1..SEMAPHORES`.\n\
         pub const SEMAPHORES: usize = {semaphores};\n\
         /// Highest count a semaphore can hold.\npub const SEMAPHORE_MAX: u32 = {semaphore_max};\n\
         /// Instructions an engine's queue holds.\npub const QUEUE_DEPTH: usize = {queue};\n\
         /// Weight memories WGT0 and up.\npub const WEIGHT_SLOTS: usize = {slots};\n\
         /// Instructions a program may have.\npub const PROGRAM_MAX: u32 = {program};\n\n",
        words = c.instruction_bytes / 4,
        bytes = c.instruction_bytes,
        magic = c.magic,
        major = c.major,
        minor = c.minor,
        beat = c.beat_bytes,
        semaphores = c.semaphores,
        semaphore_max = c.semaphore_max,
        queue = c.queue_depth,
        slots = c.weight_slots,
        program = c.program_max,
    )?;
    Ok(())
}

fn features(out: &mut String, isa: &Isa) -> Result<()> {
    writeln!(
        out,
        "/// Bits of the FEATURES register.\npub mod feature {{"
    )?;
    for f in &isa.feature {
        writeln!(
            out,
            "/// {}.\npub const {}: u32 = 1 << {};",
            sentence(&f.doc),
            f.name,
            f.bit
        )?;
    }
    let all: Vec<&str> = isa.feature.iter().map(|f| f.name.as_str()).collect();
    writeln!(
        out,
        "/// Every feature of this contract.\npub const ALL: u32 = {};",
        all.join(" | ")
    )?;
    writeln!(out, "/// Bit, name and meaning of every feature.")?;
    writeln!(out, "pub const NAMES: &[(u32, &str, &str)] = &[")?;
    for f in &isa.feature {
        writeln!(out, "({}, {:?}, {:?}),", f.name, f.name, f.doc)?;
    }
    writeln!(out, "];\n}}\n")?;
    Ok(())
}

/// An enumeration of `u8` codes with `ALL`, `from_code`, `code`, `name`, `doc` and `Display`.
fn enumeration(
    out: &mut String,
    name: &str,
    doc: &str,
    variants: &[(u8, &str, &str)],
) -> Result<()> {
    writeln!(out, "/// {doc}")?;
    writeln!(
        out,
        "#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]"
    )?;
    writeln!(out, "#[repr(u8)]\npub enum {name} {{")?;
    for (code, variant, doc) in variants {
        writeln!(out, "/// {}.\n{} = {code},", sentence(doc), camel(variant))?;
    }
    let list = |f: &dyn Fn(&(u8, &str, &str)) -> String| -> String {
        variants.iter().map(f).collect::<Vec<_>>().join("\n")
    };
    write!(
        out,
        "}}\n\nimpl {name} {{\n\
         /// Every value, in order of code.\npub const ALL: &[Self] = &[{all}];\n\n\
         /// The value with this code, or `None` where the contract has none.\n\
         pub const fn from_code(code: u8) -> Option<Self> {{\n\
         match code {{ {from}\n_ => None, }}\n}}\n\n\
         /// The code in instruction words and registers.\n\
         pub const fn code(self) -> u8 {{ self as u8 }}\n\n\
         /// The name in the contract.\n\
         pub const fn name(self) -> &'static str {{\nmatch self {{ {names} }}\n}}\n\n\
         /// What it is.\n\
         pub const fn doc(self) -> &'static str {{\nmatch self {{ {docs} }}\n}}\n}}\n\n\
         impl std::fmt::Display for {name} {{\n\
         fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{ \
         f.pad(self.name()) }}\n}}\n\n",
        all = list(&|(_, v, _)| format!("Self::{},", camel(v))),
        from = list(&|(c, v, _)| format!("{c} => Some(Self::{}),", camel(v))),
        names = list(&|(_, v, _)| format!("Self::{} => {v:?},", camel(v))),
        docs = list(&|(_, v, d)| format!("Self::{} => {d:?},", camel(v))),
    )?;
    Ok(())
}

fn engines(out: &mut String, isa: &Isa) -> Result<()> {
    let variants: Vec<_> = isa
        .engine
        .iter()
        .map(|e| (e.id, e.name.as_str(), e.doc.as_str()))
        .collect();
    enumeration(
        out,
        "Engine",
        "An engine with its instruction queue.",
        &variants,
    )
}

fn memories(out: &mut String, isa: &Isa, geometries: &Geometries) -> Result<()> {
    let variants: Vec<_> = isa
        .memory
        .iter()
        .map(|m| (m.id, m.name.as_str(), m.doc.as_str()))
        .collect();
    enumeration(out, "MemoryId", "An on-chip memory.", &variants)?;
    writeln!(out, "impl MemoryId {{")?;
    let word: fn(&Memory) -> &String = |m| &m.word;
    let depth: fn(&Memory) -> &String = |m| &m.depth;
    for (method, doc, pick) in [
        ("word_bytes", "Bytes of one word in this geometry.", word),
        (
            "depth_words",
            "Words of the memory in this geometry.",
            depth,
        ),
    ] {
        writeln!(out, "/// {doc}")?;
        writeln!(
            out,
            "pub const fn {method}(self, geometry: &Geometry) -> u32 {{\nmatch self {{"
        )?;
        // Memories of one formula share an arm.
        let mut formulas: Vec<&String> = isa.memory.iter().map(pick).collect();
        formulas.dedup();
        let mut done: Vec<&String> = Vec::new();
        for formula in formulas {
            if done.contains(&formula) {
                continue;
            }
            done.push(formula);
            let arms: Vec<String> = isa
                .memory
                .iter()
                .filter(|m| pick(m) == formula)
                .map(|m| format!("Self::{}", camel(&m.name)))
                .collect();
            writeln!(
                out,
                "{} => {},",
                arms.join(" | "),
                expression(&Formula::parse(formula, geometries)?)
            )?;
        }
        writeln!(out, "}}\n}}\n")?;
    }
    writeln!(out, "}}\n")?;
    Ok(())
}

/// The formula in Rust, saturating: a geometry read from a broken device must not panic.
fn expression(formula: &Formula) -> String {
    let mut text = String::new();
    for (index, factor) in formula.factors.iter().enumerate() {
        let factor = match factor {
            Factor::Number(number) => format!("{number}"),
            Factor::Parameter(name) => format!("geometry.{name}"),
        };
        match index {
            0 if formula.factors.len() > 1 && factor.parse::<u32>().is_ok() => {
                text = format!("{factor}u32");
            }
            0 => text = factor,
            _ => text = format!("{text}.saturating_mul({factor})"),
        }
    }
    if formula.divisor != 1 {
        text = format!("{text} / {}", formula.divisor);
    }
    text
}

fn faults(out: &mut String, isa: &Isa) -> Result<()> {
    let variants: Vec<_> = isa
        .fault
        .iter()
        .map(|f| (f.code, f.name.as_str(), f.doc.as_str()))
        .collect();
    enumeration(
        out,
        "FaultCause",
        "Why the accelerator stopped: the FAULT_CAUSE register.",
        &variants,
    )
}

fn structs(out: &mut String, isa: &Isa) -> Result<()> {
    let derive = "#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]";
    write!(
        out,
        "/// What every instruction carries besides its operation.\n{derive}\n\
         pub struct Header {{\n\
         /// Encoder layer, for post-mortems only.\npub layer: u8,\n\
         /// Semaphores that must be above zero before the instruction starts and are then\n\
         /// decremented; 0 is none.\n\
         pub wait: [u8; 3],\n\
         /// Semaphores incremented when all effects of the instruction are visible; 0 is none.\n\
         pub signal: [u8; 3],\n}}\n\n"
    )?;
    for i in &isa.instruction {
        let name = camel(&i.name);
        write!(
            out,
            "/// {}: {}.\n{derive}\npub struct {name} {{\n",
            i.name,
            sentence(&i.doc)
        )?;
        for field in i.logical() {
            let doc = if field.doc.is_empty() {
                spoken(field.name)
            } else {
                field.doc.to_owned()
            };
            writeln!(
                out,
                "/// {}.\npub {}: {},",
                sentence(&doc),
                field.name,
                field.rust_type()
            )?;
        }
        writeln!(out, "}}\n")?;
        for field in i.fields.iter().filter(|f| !f.values.is_empty()) {
            writeln!(out, "impl {name} {{")?;
            for (value, label) in field.values.iter().enumerate() {
                writeln!(
                    out,
                    "/// Value of `{field}`.\npub const {upper}_{label}: u8 = {value};",
                    field = field.name,
                    upper = field.name.to_uppercase()
                )?;
            }
            writeln!(out, "}}\n")?;
        }
    }
    Ok(())
}

fn operation(out: &mut String, isa: &Isa) -> Result<()> {
    let each = |f: &dyn Fn(&Instruction) -> String| -> String {
        isa.instruction.iter().map(f).collect::<Vec<_>>().join("\n")
    };
    writeln!(out, "/// Opcodes: bits 7:0 of word 0.\npub mod opcode {{")?;
    for i in &isa.instruction {
        writeln!(
            out,
            "/// {}.\npub const {}: u8 = {:#04x};",
            sentence(&i.doc),
            i.name,
            i.opcode
        )?;
    }
    let engine = |i: &Instruction| {
        let name = camel(&i.name);
        if i.engine == "by flags" {
            // The field has as many codes as there are engines; the default is never reached.
            format!(
                "Self::{name}(op) => match Engine::from_code(op.engine) {{\n\
                 Some(engine) => engine, None => Engine::Load }},"
            )
        } else {
            format!("Self::{name}(_) => Engine::{},", camel(&i.engine))
        }
    };
    let fields = |i: &Instruction| {
        let logical = i.logical();
        if logical.is_empty() {
            return format!("Self::{}(_) => Vec::new(),", camel(&i.name));
        }
        let list: Vec<String> = logical
            .iter()
            .map(|f| match f.rust_type() {
                "u64" => format!("({:?}, op.{})", f.name, f.name),
                _ => format!("({:?}, u64::from(op.{}))", f.name, f.name),
            })
            .collect();
        format!("Self::{}(op) => vec![{}],", camel(&i.name), list.join(", "))
    };
    write!(
        out,
        "}}\n\n/// What an instruction does.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\n\
         pub enum Operation {{ {variants} }}\n\n\
         impl Operation {{\n\
         /// The engine whose queue takes the instruction.\n\
         pub fn engine(&self) -> Engine {{\nmatch self {{ {engines} }}\n}}\n\n\
         /// The name in a listing.\n\
         pub fn mnemonic(&self) -> &'static str {{\nmatch self {{ {names} }}\n}}\n\n\
         /// Bits 7:0 of word 0.\npub fn opcode(&self) -> u8 {{\nmatch self {{ {opcodes} }}\n}}\n\n\
         /// Field names and values in contract order, for a listing.\n\
         pub fn fields(&self) -> Vec<(&'static str, u64)> {{\nmatch self {{ {fields} }}\n}}\n}}\n\n\
         /// One instruction.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\n\
         pub struct Instruction {{\n\
         /// Layer tag, waits and signals.\npub header: Header,\n\
         /// What it does.\npub operation: Operation,\n}}\n\n",
        variants = each(&|i| {
            let name = camel(&i.name);
            format!("/// {}: {}.\n{name}({name}),", i.name, sentence(&i.doc))
        }),
        engines = each(&engine),
        names = each(&|i| format!("Self::{}(_) => {:?},", camel(&i.name), i.name)),
        opcodes = each(&|i| format!("Self::{}(_) => opcode::{},", camel(&i.name), i.name)),
        fields = each(&fields),
    )?;
    Ok(())
}

/// `src_stride` as `src stride`.
fn spoken(name: &str) -> String {
    name.replace('_', " ")
}
