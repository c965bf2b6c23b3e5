//! `include/fqbert_contract.h` as a C compiler reads it, against the Rust contract.
//!
//! Every register, code, field and preset becomes a static assertion or a printed number of one C
//! program, whose compilation and output are the test.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use fqbert_contract::geometry::{Geometry, PARAMETERS};
use fqbert_contract::isa::{
    self, Engine, FaultCause, INSTRUCTION_WORDS, Instruction, MemoryId, reserved_bits,
};
use fqbert_contract::registers::{self as regs, RegisterInfo};

/// Words whose every field differs from its neighbours.
const PATTERNS: [u32; 3] = [0xffff_ffff, 0x5a3c_96e1, 0xa5c3_691e];

struct Program(String);

impl Program {
    fn assert_equal(&mut self, c: &str, value: impl Into<u64>) {
        let value = value.into();
        // Twice in the text: once as the condition, once in the message.
        writeln!(
            self.0,
            "_Static_assert(({c}) == {value}u, \"{c} is not {value}\");"
        )
        .expect("a string");
    }

    /// `FQBERT_NAME` has the value.
    fn constant(&mut self, name: &str, value: impl Into<u64>) {
        self.assert_equal(&format!("FQBERT_{name}"), value);
    }
}

#[test]
fn a_c_compiler_reads_the_same_contract() {
    let mut program = Program("#include <stdio.h>\n#include \"fqbert_contract.h\"\n".into());
    constants(&mut program);
    registers(&mut program);
    for opcode in 0..=u8::MAX {
        for pattern in PATTERNS {
            instruction(&mut program, opcode, pattern);
        }
    }
    print_geometries(&mut program);
    assert_eq!(compiled_and_run(&program.0), geometries());
}

fn constants(program: &mut Program) {
    program.constant("MAGIC", isa::MAGIC);
    program.constant("CONTRACT_MAJOR", isa::CONTRACT_MAJOR);
    program.constant("CONTRACT_MINOR", isa::CONTRACT_MINOR);
    for (name, value) in [
        ("INSTRUCTION_BYTES", isa::INSTRUCTION_BYTES),
        ("BEAT_BYTES", isa::BEAT_BYTES),
        ("SEMAPHORES", isa::SEMAPHORES),
        ("SEMAPHORE_MAX", isa::SEMAPHORE_MAX as usize),
        ("QUEUE_DEPTH", isa::QUEUE_DEPTH),
        ("WEIGHT_SLOTS", isa::WEIGHT_SLOTS),
        ("PROGRAM_MAX", isa::PROGRAM_MAX as usize),
    ] {
        program.constant(name, value as u64);
    }
    for (bit, name, _) in isa::feature::NAMES {
        program.constant(&format!("FEATURE_{name}"), *bit);
    }
    for engine in Engine::ALL {
        program.constant(&format!("ENGINE_{engine}"), engine.code());
    }
    for memory in MemoryId::ALL {
        program.constant(&format!("MEMORY_{memory}"), memory.code());
    }
    for fault in FaultCause::ALL {
        program.constant(&format!("FAULT_{fault}"), fault.code());
    }
    for (index, unit) in (0u32..).zip(regs::unit::NAMES) {
        program.constant(&format!("UNIT_{unit}"), index);
    }
}

fn registers(program: &mut Program) {
    program.constant("BLOCK_BYTES", regs::BLOCK_BYTES);
    for RegisterInfo { name, offset, .. } in regs::ALL {
        let c = name.replace('[', "(").replace(']', ")");
        program.constant(&format!("REG_{c}"), offset.0);
    }
    program.constant("REG_SEMAPHORES_COUNT", regs::SEMAPHORES_COUNT);
    program.constant("STATUS_CONFIG_IGNORED_MASK", regs::status::CONFIG_IGNORED);
    program.constant("IRQ_ENABLE_FAULT_MASK", regs::irq_enable::FAULT);
    program.constant("CONTROL_RESET_MASK", regs::control::RESET);
    for parameter in PARAMETERS.iter().filter(|p| p.mask != u32::MAX) {
        let register = RegisterInfo::at(parameter.register).expect("in the table");
        let field = format!("{}_{}", register.name, parameter.name.to_uppercase());
        program.constant(&format!("{field}_MASK"), parameter.mask);
        program.constant(&format!("{field}_SHIFT"), parameter.shift);
    }
}

/// The fields of the instruction that `pattern` in all words is, as C takes them out of the words.
fn instruction(program: &mut Program, opcode: u8, pattern: u32) {
    let Some(reserved) = reserved_bits(opcode) else {
        return;
    };
    let mut words: [u32; INSTRUCTION_WORDS] = reserved.map(|bits| pattern & !bits);
    words[0] = words[0] & !0xff | u32::from(opcode);
    let instruction = Instruction::decode(&words).expect("no reserved bit is set");
    let operation = instruction.operation;
    let name = operation.mnemonic();
    program.constant(&format!("OPCODE_{name}"), opcode);

    let mut field = |owner: &str, name: &str, value: u64| {
        let field = format!("FQBERT_{owner}_{}", name.to_uppercase());
        let list = words.map(|word| format!("{word:#x}u")).join(", ");
        let index = format!("{field}_WORD");
        // Which word is a constant of C: a choice among all, since arrays are no constants.
        let choice = (0..INSTRUCTION_WORDS).fold(String::from("0u"), |rest, at| {
            format!("{index} == {at}u ? {:#x}u : {rest}", words[at])
        });
        let c = format!("(({choice}) & {field}_MASK) >> {field}_SHIFT");
        writeln!(
            program.0,
            "_Static_assert(({c}) == {value}u, \"{field} of {list} is not {value}\");"
        )
        .expect("a string");
    };
    for (name, value) in operation.fields() {
        if name == "address" {
            field(operation.mnemonic(), "address_low", value & 0xffff_ffff);
            field(operation.mnemonic(), "address_high", value >> 32);
        } else {
            field(operation.mnemonic(), name, value);
        }
    }
    let header = instruction.header;
    field("INSTRUCTION", "layer", header.layer.into());
    for (index, id) in header.wait.iter().enumerate() {
        field("INSTRUCTION", &format!("wait{index}"), (*id).into());
    }
    for (index, id) in header.signal.iter().enumerate() {
        field("INSTRUCTION", &format!("signal{index}"), (*id).into());
    }
}

/// The program's `main`: each preset's name and numbers, a line each.
fn print_geometries(program: &mut Program) {
    program.0.push_str("int main(void) {\n");
    for g in Geometry::presets() {
        let upper = g.name.to_uppercase();
        write!(
            program.0,
            "    static const struct fqbert_geometry {0} = {{ FQBERT_GEOMETRY_{upper} }};\n    \
             printf(\"{0}\");\n",
            g.name
        )
        .expect("a string");
        for parameter in &PARAMETERS {
            writeln!(
                program.0,
                "    printf(\" %lu\", (unsigned long){}.{});",
                g.name, parameter.name
            )
            .expect("a string");
        }
        program.0.push_str("    printf(\"\\n\");\n");
    }
    program.0.push_str("    return 0;\n}\n");
}

/// What [`print_geometries`] must print.
fn geometries() -> String {
    let line = |g: &&Geometry| {
        let numbers = PARAMETERS.iter().map(|p| format!(" {}", (p.get)(g)));
        format!("{}{}\n", g.name, numbers.collect::<String>())
    };
    Geometry::presets().iter().map(line).collect()
}

fn compiled_and_run(source: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let (c, binary) = (
        folder.path().join("contract.c"),
        folder.path().join("contract"),
    );
    std::fs::write(&c, source).expect("written");
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(&compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I"])
        .arg(&include)
        .arg(&c)
        .arg("-o")
        .arg(&binary)
        .output()
        .unwrap_or_else(|e| panic!("cannot start {}: {e}", compiler.display()));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    let output = Command::new(&binary).output().expect("it starts");
    String::from_utf8(output.stdout).expect("text")
}
