//! The kernels' dot products, and where they are.

use super::listing::Instruction;
use super::target::Target;

/// Dot products of a kernel, and where they are: components of the function's path, one behind the
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
    product("avx512-vnni", "8x4, an octet", &["dot4_avx512"]),
    product("avx512-vnni", "8x8, an octet", &["dot8_avx512"]),
    // The last: see `of`.
    product("avx512-vnni", "two octets", &["avx512", "products", "sums"]),
];

const AARCH64: &[Product] = &[
    product("neon", "8x4", &["neon", "base", "half4"]),
    product("neon", "8x8", &["neon", "base", "half8"]),
    product("neon-dotprod", "8x4 and 8x8", &["neon", "dotprod", "rows"]),
    product("neon-i8mm", "8x4 and 8x8", &["neon", "i8mm", "rows"]),
];

/// The dot products that must be found.
pub const fn all(target: Target) -> &'static [Product] {
    match target {
        Target::X86_64 => X86_64,
        Target::Aarch64 => AARCH64,
    }
}

/// The dot products that a loop belongs to, by its function's path. Those of two octets are inlined
/// where the sums go on to their drain, and there known by their instruction.
pub fn of(target: Target, function: &str, body: &[Instruction]) -> Option<&'static Product> {
    let products = all(target);
    let by_path = products.iter().find(|p| p.is_in(function));
    let is_inlined = || {
        let multiplies = body.iter().any(|i| i.mnemonic == "vpdpbusd");
        multiplies && function.starts_with("avx512::pair::")
    };
    by_path.or_else(|| products.last().filter(|_| is_inlined()))
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
        let four = &X86_64[4];
        assert!(four.is_in("vnni::dot4_avx512::inner"));
        assert!(four.is_in("avx512::dot::dot4_avx512"));
        assert!(!four.is_in("vnni::dot4_avx::inner"));
        assert!(X86_64[0].is_in("avx2::dot::accumulate"));
        assert!(!X86_64[0].is_in("avx2::accumulate"));
    }
}
