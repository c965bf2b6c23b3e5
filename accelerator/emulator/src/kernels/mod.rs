//! The arithmetic of the engines on the contract's packed layouts.
//!
//! Every [`Kernel`] gives the same bits: integer sums are exact in any order, and requantization,
//! softmax and layer norm are those of `fqbert-numerics`. Work is split over rayon's current pool
//! by row tiles and column groups, never inside a sum, so the number of threads cannot change a
//! result either.

mod layernorm;
mod matmul;
mod portable;
mod scalar;
mod softmax;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vector;
mod write;

use std::fmt;
use std::str::FromStr;

use fqbert_contract::Geometry;

pub(crate) use layernorm::layer_norm;
pub(crate) use matmul::{
    Member, Workspace, add_params, in_any_order, joins, matmul, matmul_joined, weight_slot,
};
pub(crate) use softmax::softmax;

/// Environment variable that forces a kernel, by its name.
pub const KERNEL_VARIABLE: &str = "FQBERT_KERNEL";

/// A path through the arithmetic.
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

/// Why a kernel cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// No kernel has the name.
    #[error("no kernel is called {name:?}; there are {}", names())]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// This CPU, or the target of this build, lacks it.
    #[error("this CPU cannot run the kernel {kernel}; it can run {}", usable())]
    Unsupported {
        /// What was asked for.
        kernel: Kernel,
    },
}

fn names() -> String {
    Kernel::ALL.map(Kernel::name).join(", ")
}

fn usable() -> String {
    let names: Vec<&str> = Kernel::supported().map(Kernel::name).collect();
    names.join(", ")
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

    /// The name that [`FromStr`] reads.
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

    /// Whether this CPU runs it.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar | Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => vector::avx2::is_detected(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => vector::vnni::is_avx_detected(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => vector::vnni::is_avx512_detected(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => vector::neon::is_detected(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => vector::neon::is_dot_detected(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonI8mm => vector::neon::is_i8mm_detected(),
            #[allow(unreachable_patterns, reason = "kernels of other architectures")]
            _ => false,
        }
    }

    /// Whether AVX2 is among its instructions.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn has_avx2(self) -> bool {
        matches!(self, Self::Avx2 | Self::AvxVnni | Self::Avx512Vnni)
    }

    /// The kernels this CPU runs, slowest first.
    pub fn supported() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|k| k.is_supported())
    }

    /// The fastest kernel of this CPU.
    pub fn detect() -> Self {
        Self::supported().last().unwrap_or(Self::Portable)
    }

    /// The kernel that `FQBERT_KERNEL` names, if it is set and not empty.
    ///
    /// # Errors
    /// A name that is no kernel's, or a kernel this CPU does not run.
    pub fn from_env() -> Result<Option<Self>, KernelError> {
        match std::env::var(KERNEL_VARIABLE) {
            Ok(name) if !name.is_empty() => name.parse().map(Some),
            Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(name)) => Err(KernelError::Unknown {
                name: name.to_string_lossy().into_owned(),
            }),
        }
    }

    /// Itself, or the portable kernel where the vector kernels' assumptions (8 lanes, rows in
    /// fours, at most 32) do not hold for `g` or the CPU lacks it.
    pub(crate) fn usable_for(self, g: &Geometry) -> Self {
        let shaped = g.lanes == 8 && g.rows.is_multiple_of(4) && g.rows <= 32;
        if self == Self::Scalar || (shaped && self.is_supported()) {
            self
        } else {
            Self::Portable
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kernel {
    type Err = KernelError;

    fn from_str(name: &str) -> Result<Self, KernelError> {
        let kernel = Self::ALL
            .into_iter()
            .find(|k| k.name() == name)
            .ok_or_else(|| KernelError::Unknown {
                name: name.to_owned(),
            })?;
        if kernel.is_supported() {
            Ok(kernel)
        } else {
            Err(KernelError::Unsupported { kernel })
        }
    }
}

#[cfg(test)]
mod tests;
