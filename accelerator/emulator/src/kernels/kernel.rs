//! The kernels there are.

use std::fmt;

/// An implementation of the arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// The functions of `fqbert-numerics`, literally: for comparison, not for speed.
    Scalar,
    /// Plain Rust that the compiler vectorises for whatever target it is built for.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// As `Avx2`, with the 8-bit dot product of AVX-VNNI.
    AvxVnni,
    /// As `Avx2`, with that of AVX-512 VNNI.
    Avx512Vnni,
    /// aarch64 with its base instructions.
    Neon,
    /// As `Neon`, with the dot product of Armv8.2 (`dotprod`).
    NeonDot,
    /// As `Neon`, with the 8-bit matrix product of Armv8.6 (`i8mm`).
    NeonI8mm,
}

impl Kernel {
    /// All of them, slowest first.
    pub const ALL: [Self; 8] = [
        Self::Scalar,
        Self::Portable,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::Neon,
        Self::NeonDot,
        Self::NeonI8mm,
    ];

    /// The name that [`FromStr`](std::str::FromStr) reads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Neon => "neon",
            Self::NeonDot => "neon-dotprod",
            Self::NeonI8mm => "neon-i8mm",
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
