//! What `llvm-objdump` prints, as functions of instructions.

use super::target::Target;

/// A function's machine code.
#[derive(Debug)]
pub struct Function {
    /// Its path without the hash that the compiler adds.
    pub name: String,
    pub code: Vec<Instruction>,
}

/// An instruction as it is written in assembly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub address: u64,
    /// What stands before the mnemonic: `{vex}`.
    pub prefix: String,
    pub mnemonic: String,
    /// Without a branch's target.
    pub operands: String,
    /// Where a branch inside the function leads.
    pub branch: Option<u64>,
}

/// The functions of a disassembly with demangled names and without the bytes of the code.
pub fn functions(target: Target, listing: &str) -> Vec<Function> {
    let mut functions: Vec<Function> = Vec::new();
    for line in listing.lines() {
        if let Some(name) = header(line) {
            functions.push(Function {
                name: path(name),
                code: Vec::new(),
            });
        } else if let Some(function) = functions.last_mut() {
            function.code.extend(instruction(target, line));
        }
    }
    functions
}

/// The name in the line that begins a function: `0000000000000000 <name>:`.
fn header(line: &str) -> Option<&str> {
    let (address, name) = line.split_once(" <")?;
    u64::from_str_radix(address, 16).ok()?;
    name.strip_suffix(">:")
}

/// A symbol without what the compiler and the linker add to a function's path.
fn path(symbol: &str) -> String {
    let symbol = symbol.split(" (.llvm.").next().unwrap_or(symbol);
    let is_hash = |last: &str| {
        let digits = last.strip_prefix('h');
        digits.is_some_and(|d| d.len() == 16 && d.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let path = match symbol.rsplit_once("::") {
        Some((path, last)) if is_hash(last) => path,
        _ => symbol,
    };
    path.replace("_$u7b$$u7b$closure$u7d$$u7d$", "{{closure}}")
}

fn instruction(target: Target, line: &str) -> Option<Instruction> {
    let (address, text) = line.split_once(':')?;
    let address = u64::from_str_radix(address.trim(), 16).ok()?;
    let text = text.split(target.comment()).next().unwrap_or(text).trim();
    // Symbols behind addresses.
    let text = text.split(" <").next().unwrap_or(text);
    let (prefix, text) = match text.split_once('}') {
        Some((prefix, text)) if prefix.starts_with('{') => (format!("{prefix}}} "), text.trim()),
        _ => (String::new(), text),
    };
    let (mnemonic, operands) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if mnemonic.is_empty() {
        return None;
    }
    let mut operands = operands.trim().to_owned();
    let mut branch = None;
    if target.is_branch(mnemonic) {
        let at = operands.rfind(' ').map_or(0, |blank| blank + 1);
        let to = operands[at..].strip_prefix("0x");
        branch = to.and_then(|to| u64::from_str_radix(to, 16).ok());
        if branch.is_some() {
            operands.truncate(at);
        }
    }
    Some(Instruction {
        address,
        prefix,
        mnemonic: mnemonic.to_owned(),
        operands,
        branch,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "
lib.rlib(a.o):	file format elf64-x86-64

Disassembly of section .text.x:

0000000000000000 <a::b::{closure}::h57de0420f9965994 (.llvm.99)>:
       0:      	xorl	%ecx, %ecx
       8:      	{vex}	vpdpbusd	-0x8(%rbp), %ymm1, %ymm2
       9:      	vpshufd	$0xb1, %ymm18, %ymm18   # ymm18 = ymm18[1,0]
      1a:      	jne	0x8 <a::b::h57de0420f9965994+0x8>
      1c:      	jmpq	*%rax

0000000000000000 <c::dot>:
       0:      	retq
";

    #[test]
    fn a_listing_is_read_as_functions_of_instructions() {
        let functions = functions(Target::X86_64, LISTING);
        let names: Vec<&str> = functions.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["a::b::{closure}", "c::dot"]);
        let code = &functions[0].code;
        assert_eq!(code.len(), 5);
        assert_eq!(
            (&*code[1].prefix, &*code[1].mnemonic),
            ("{vex} ", "vpdpbusd")
        );
        assert_eq!(code[1].operands, "-0x8(%rbp), %ymm1, %ymm2");
        assert_eq!(code[2].operands, "$0xb1, %ymm18, %ymm18");
        assert_eq!((code[3].branch, &*code[3].operands), (Some(8), ""));
        assert_eq!((code[4].branch, &*code[4].operands), (None, "*%rax"));
    }

    #[test]
    fn a_branch_keeps_the_operands_before_its_target() {
        let line = "      40:      	tbnz	w8, #0x0, 0x38 <f+0x38>";
        let branch = instruction(Target::Aarch64, line).unwrap();
        assert_eq!(
            (branch.branch, &*branch.operands),
            (Some(0x38), "w8, #0x0, ")
        );
        let line = "      cc:      	mov	w3, #0x4                // =4";
        let plain = instruction(Target::Aarch64, line).unwrap();
        assert_eq!((plain.branch, &*plain.operands), (None, "w3, #0x4"));
    }
}
