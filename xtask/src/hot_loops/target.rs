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

/// A kernel's dot products, and where they are: components of the function's path, one behind the
/// other.
pub struct Product {
    pub kernel: &'static str,
    pub widths: &'static str,
    pub path: &'static [&'static str],
    /// Accesses to the stack that a loop may have.
    pub stack: usize,
}

const fn product(
    kernel: &'static str,
    widths: &'static str,
    path: &'static [&'static str],
) -> Product {
    Product {
        kernel,
        widths,
        path,
        stack: 0,
    }
}

const X86_64: &[Product] = &[
    // Its 32-bit sums live in memory between two blocks of eight steps; the compiler keeps half of
    // them on its own stack.
    Product {
        stack: 10,
        ..product("avx2", "8x4", &["avx2", "dot", "accumulate"])
    },
    product("avx2", "8x8", &["avx2", "dot", "two_rows"]),
    product("avx-vnni", "8x4", &["dot4_avx"]),
    product("avx-vnni", "8x8", &["dot8_avx"]),
    product("avx512-vnni", "8x4", &["dot4_avx512"]),
    product("avx512-vnni", "8x8", &["dot8_avx512"]),
];

const AARCH64: &[Product] = &[
    product("neon", "8x4", &["neon", "base", "half4"]),
    product("neon", "8x8", &["neon", "base", "half8"]),
    product("neon-dotprod", "8x4 and 8x8", &["neon", "dotprod", "rows"]),
    product("neon-i8mm", "8x4 and 8x8", &["neon", "i8mm", "rows"]),
];

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

    /// The dot products that must be found.
    pub const fn products(self) -> &'static [Product] {
        match self {
            Self::X86_64 => X86_64,
            Self::Aarch64 => AARCH64,
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

impl Product {
    /// Whether a function belongs to it.
    pub fn is_in(&self, function: &str) -> bool {
        let parts: Vec<&str> = function.split("::").collect();
        parts
            .windows(self.path.len())
            .any(|window| window == self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_found_by_whole_components_of_the_path() {
        let [.., four, _] = X86_64 else { panic!() };
        assert!(four.is_in("vnni::dot4_avx512::inner"));
        assert!(four.is_in("avx512::dot::dot4_avx512"));
        assert!(!four.is_in("vnni::dot4_avx::inner"));
        assert!(X86_64[0].is_in("avx2::dot::accumulate"));
        assert!(!X86_64[0].is_in("avx2::accumulate"));
    }
}
