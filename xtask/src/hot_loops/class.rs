//! Instructions of a loop by what they do.

use serde::{Deserialize, Serialize};

use super::listing::Instruction;
use super::target::Target;

/// What an instruction does in a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reads or writes the stack: a value that has lost its register.
    Stack,
    /// A vector from one register to another.
    Move,
    /// A scalar to all lanes.
    Broadcast,
    Load,
    Store,
    /// A product of vectors, with or without addition.
    Multiply,
    /// An addition of vectors.
    Add,
    /// Another operation of vectors.
    Vector,
    Scalar,
}

/// How many of each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Counts {
    pub multiply: usize,
    pub add: usize,
    pub load: usize,
    pub broadcast: usize,
    pub store: usize,
    /// Vectors from register to register.
    pub moves: usize,
    /// Accesses to the stack.
    pub stack: usize,
    /// Other operations of vectors.
    pub vector: usize,
    pub scalar: usize,
}

impl Counts {
    /// Of a loop in a function whose frame has a pointer of its own, or none.
    pub fn of(target: Target, frame: bool, body: &[Instruction]) -> Self {
        let mut counts = Self::default();
        for instruction in body {
            *match class(target, frame, instruction) {
                Class::Stack => &mut counts.stack,
                Class::Move => &mut counts.moves,
                Class::Broadcast => &mut counts.broadcast,
                Class::Load => &mut counts.load,
                Class::Store => &mut counts.store,
                Class::Multiply => &mut counts.multiply,
                Class::Add => &mut counts.add,
                Class::Vector => &mut counts.vector,
                Class::Scalar => &mut counts.scalar,
            } += 1;
        }
        counts
    }

    /// Those that work on vector registers.
    pub fn vectors(&self) -> usize {
        let memory = self.load + self.broadcast + self.store;
        self.multiply + self.add + memory + self.moves + self.vector
    }
}

/// Whether the frame pointer's register is one in this function.
pub fn has_frame(target: Target, code: &[Instruction]) -> bool {
    let sets = |i: &Instruction| match target {
        Target::X86_64 => i.mnemonic == "movq" && i.operands == "%rsp, %rbp",
        Target::Aarch64 => {
            matches!(&*i.mnemonic, "mov" | "add") && i.operands.starts_with("x29, sp")
        }
    };
    code.iter().any(sets)
}

/// What an instruction does.
pub fn class(target: Target, frame: bool, instruction: &Instruction) -> Class {
    match target {
        Target::X86_64 => x86_64(frame, instruction),
        Target::Aarch64 => aarch64(frame, instruction),
    }
}

fn starts(mnemonic: &str, with: &[&str]) -> bool {
    with.iter().any(|prefix| mnemonic.starts_with(prefix))
}

/// Operands are in AT&T's order: sources first.
fn x86_64(frame: bool, i: &Instruction) -> Class {
    let (name, operands) = (i.mnemonic.as_str(), i.operands.as_str());
    let memory = operands.contains('(');
    let address = name.starts_with("lea") || name.starts_with("prefetch");
    let base = operands.split('(').nth(1).unwrap_or_default();
    if memory && !address && (base.starts_with("%rsp") || frame && base.starts_with("%rbp")) {
        return Class::Stack;
    }
    if !["%xmm", "%ymm", "%zmm"]
        .iter()
        .any(|r| operands.contains(r))
    {
        return Class::Scalar;
    }
    let whole = starts(name, &["vmova", "vmovu", "vmovdq", "mova", "movu", "movdq"]);
    let part = matches!(
        name,
        "vmovd" | "vmovq" | "vmovss" | "vmovsd" | "movd" | "movq"
    ) || starts(name, &["vmovlp", "vmovhp", "vpmov"]);
    if starts(name, &["vpbroadcast", "vbroadcast"]) {
        Class::Broadcast
    } else if memory && (whole || part) {
        if operands.starts_with('%') {
            Class::Store
        } else {
            Class::Load
        }
    } else if whole && !operands.contains("{%k") {
        Class::Move
    } else if starts(
        name,
        &[
            "vpdp", "vpmadd", "vpmul", "vmul", "vfmadd", "vfmsub", "vfnmadd", "vfnmsub",
        ],
    ) {
        Class::Multiply
    } else if starts(name, &["vpadd", "vaddp"]) {
        Class::Add
    } else {
        Class::Vector
    }
}

/// The target is the first operand, but for stores.
fn aarch64(frame: bool, i: &Instruction) -> Class {
    let (name, operands) = (i.mnemonic.as_str(), i.operands.as_str());
    let base = operands.split('[').nth(1).unwrap_or_default();
    // `v1.s[0]` has a bracket, but no register behind it.
    if base.starts_with("sp") || frame && base.starts_with("x29") {
        return Class::Stack;
    }
    let vector = |operand: &str| {
        let operand = operand.trim_start_matches(['{', ' ']);
        let number = operand.get(1..2).unwrap_or_default();
        operand.starts_with(['v', 'q', 'd', 's']) && number.starts_with(|c: char| c.is_numeric())
    };
    if !operands.split(',').any(|operand| vector(operand.trim())) {
        return Class::Scalar;
    }
    let lane = operands.contains('[');
    if starts(name, &["dup", "ld1r"]) {
        Class::Broadcast
    } else if starts(name, &["ld"]) {
        Class::Load
    } else if starts(name, &["st"]) {
        Class::Store
    } else if name == "mov" && operands.split(',').all(|o| vector(o.trim())) && !lane {
        Class::Move
    } else if starts(
        name,
        &[
            "sdot", "udot", "smmla", "ummla", "smull", "smlal", "umull", "umlal", "mul", "mla",
        ],
    ) {
        Class::Multiply
    } else if starts(name, &["sadalp", "uadalp", "add", "sqadd", "saddw"]) {
        Class::Add
    } else {
        Class::Vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hot_loops::listing;

    fn of(target: Target, frame: bool, line: &str) -> Class {
        let functions = listing::functions(target, &format!("0 <f>:\n0: {line}\n"));
        class(target, frame, &functions[0].code[0])
    }

    #[test]
    fn classes_of_x86_64() {
        for (line, class) in [
            ("vpdpbusd %zmm19, %zmm18, %zmm17", Class::Multiply),
            ("{vex} vpdpbusd (%rdi), %ymm1, %ymm2", Class::Multiply),
            ("vpdpbusd 0x40(%rsp), %zmm18, %zmm17", Class::Stack),
            ("vmovdqa64 %zmm1, (%rsp)", Class::Stack),
            ("vmovdqa64 (%r12), %zmm18", Class::Load),
            ("vmovdqa %ymm1, 0x20(%rsi)", Class::Store),
            ("vmovdqa64 %zmm1, %zmm17", Class::Move),
            ("vmovaps %ymm1, %ymm2", Class::Move),
            ("vmovdqa64 %zmm1, %zmm17 {%k1}", Class::Vector),
            ("vmovdqu8 %zmm1, (%rdi) {%k1}", Class::Store),
            ("vmovd %ecx, %xmm1", Class::Vector),
            ("vmovq (%rax), %xmm1", Class::Load),
            ("vpmovsxbw (%rax), %ymm1", Class::Load),
            ("vpmovsxbw %xmm2, %ymm1", Class::Vector),
            ("vmovddup %xmm2, %xmm1", Class::Vector),
            ("vpbroadcastq -0x78(%rbp), %zmm19", Class::Broadcast),
            ("vpaddw %ymm0, %ymm1, %ymm1", Class::Add),
            ("leaq 0x8(%rsp), %rax", Class::Scalar),
            ("jne 0x0 <f>", Class::Scalar),
        ] {
            assert_eq!(of(Target::X86_64, false, line), class, "{line}");
        }
        let line = "vmovdqa -0x40(%rbp), %ymm1";
        assert_eq!(of(Target::X86_64, true, line), Class::Stack);
        assert_eq!(of(Target::X86_64, false, line), Class::Load);
    }

    #[test]
    fn classes_of_aarch64() {
        for (line, class) in [
            ("sdot v7.4s, v19.16b, v17.4b[0]", Class::Multiply),
            ("smlal2 v11.8h, v1.16b, v3.16b", Class::Multiply),
            ("sadalp v25.4s, v0.8h", Class::Add),
            ("ldp q0, q1, [x15, #-0x10]", Class::Load),
            ("ld1 { v0.16b, v1.16b }, [x1]", Class::Load),
            ("ldur q3, [x29, #-0x70]", Class::Stack),
            ("str q9, [sp, #0x80]", Class::Stack),
            ("stp q5, q4, [x13]", Class::Store),
            ("mov v9.16b, v0.16b", Class::Move),
            ("mov v9.s[1], v0.s[0]", Class::Vector),
            ("mov x8, x9", Class::Scalar),
            ("ldp x8, x9, [x1]", Class::Scalar),
            ("dup v4.4s, w8", Class::Broadcast),
            ("ext v28.16b, v2.16b, v2.16b, #0x8", Class::Vector),
            ("subs x17, x17, #0x1", Class::Scalar),
        ] {
            assert_eq!(of(Target::Aarch64, true, line), class, "{line}");
        }
        let line = "ldur q3, [x29, #-0x70]";
        assert_eq!(of(Target::Aarch64, false, line), Class::Load);
    }
}
