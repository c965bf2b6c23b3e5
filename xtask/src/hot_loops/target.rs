//! The architectures whose loops are read.

use clap::ValueEnum;

/// An architecture that kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// x86-64.
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// As in triples.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// What begins a comment in the disassembly.
    pub const fn comment(self) -> &'static str {
        match self {
            Self::X86_64 => "#",
            Self::Aarch64 => "//",
        }
    }

    /// Whether an instruction may go on elsewhere in its function. Calls are none.
    pub fn is_branch(self, mnemonic: &str) -> bool {
        match self {
            Self::X86_64 => mnemonic.starts_with('j'),
            Self::Aarch64 => {
                mnemonic == "b"
                    || mnemonic.starts_with("b.")
                    || matches!(mnemonic, "cbz" | "cbnz" | "tbz" | "tbnz")
            }
        }
    }

    /// Whether an instruction calls a function.
    pub fn is_call(self, mnemonic: &str) -> bool {
        match self {
            Self::X86_64 => mnemonic.starts_with("call"),
            Self::Aarch64 => matches!(mnemonic, "bl" | "blr"),
        }
    }
}
