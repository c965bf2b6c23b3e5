//! The kernels of vector instruction sets: what they share, and the instruction sets.

pub mod blocked;
pub mod fused;
mod joined;
pub mod path;
mod slab;

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "aarch64")]
pub mod neon;
#[cfg(target_arch = "x86_64")]
pub mod vnni;

use super::Kernel;
use path::Path;

/// The functions of a kernel that has its own.
pub fn path(kernel: Kernel) -> Option<&'static Path> {
    match kernel {
        Kernel::Scalar | Kernel::Portable => None,
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2 => Some(&avx2::PATH),
        #[cfg(target_arch = "x86_64")]
        Kernel::AvxVnni => Some(&vnni::AVX),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512Vnni => Some(&vnni::AVX512),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon => Some(&neon::NEON),
        #[cfg(target_arch = "aarch64")]
        Kernel::NeonDot => Some(&neon::DOT),
        #[cfg(target_arch = "aarch64")]
        Kernel::NeonI8mm => Some(&neon::I8MM),
        #[allow(unreachable_patterns, reason = "kernels of other architectures")]
        _ => None,
    }
}
