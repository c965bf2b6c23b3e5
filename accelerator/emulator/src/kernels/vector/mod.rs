//! The kernels of vector instruction sets: what they share, and the instruction sets.
//!
//! This file is the gate to them: all that depends on the target or the CPU is decided here, and
//! [`detect`] alone asks the CPU.

mod ahead;
mod blocked;
mod detect;
mod dot;
pub mod fused;
pub mod instruction_set;
mod joined;
pub mod octet;
mod slab;
mod tables;
mod target;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod none;
#[cfg(target_arch = "x86_64")]
pub mod vnni;

use fqbert_contract::isa::Layernorm;

use super::kernel::Kernel;
use super::softmax_rows::ScoreTile;
use crate::memories::Memories;
use instruction_set::InstructionSet;

/// What [`layer_norm`] keeps from instruction to instruction.
#[cfg(target_arch = "x86_64")]
pub use avx2::KeptNorm;
/// What [`layer_norm`] keeps from instruction to instruction: nothing.
#[cfg(not(target_arch = "x86_64"))]
pub type KeptNorm = ();

/// Whether `kernel` is one of these and this CPU runs it.
pub fn is_supported(kernel: Kernel) -> bool {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2 => detect::avx2(),
        #[cfg(target_arch = "x86_64")]
        Kernel::AvxVnni => detect::avx_vnni(),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512Vnni => detect::avx512_vnni(),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon => detect::neon(),
        #[cfg(target_arch = "aarch64")]
        Kernel::NeonDot => detect::neon_dot(),
        #[cfg(target_arch = "aarch64")]
        Kernel::NeonI8mm => detect::neon_i8mm(),
        // Plain code, and kernels of other architectures.
        _ => false,
    }
}

/// The MATMUL functions of a kernel that has its own.
pub fn instruction_set(kernel: Kernel) -> Option<&'static InstructionSet> {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2 => Some(&tables::AVX2),
        #[cfg(target_arch = "x86_64")]
        Kernel::AvxVnni => Some(&vnni::AVX),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512Vnni => Some(&vnni::AVX512),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon => Some(&tables::NEON),
        #[cfg(target_arch = "aarch64")]
        Kernel::NeonDot => Some(&tables::DOT),
        #[cfg(target_arch = "aarch64")]
        Kernel::NeonI8mm => Some(&tables::I8MM),
        // Plain code, and kernels of other architectures.
        _ => None,
    }
}

/// Whether AVX2 is among the kernel's instructions.
#[cfg(target_arch = "x86_64")]
fn has_avx2(kernel: Kernel) -> bool {
    matches!(kernel, Kernel::Avx2 | Kernel::AvxVnni | Kernel::Avx512Vnni)
}

/// A row tile of a SOFTMAX by a kernel that has its own; false where it has none.
#[inline]
pub fn softmax_tile(kernel: Kernel, x: &ScoreTile<'_>, out: &mut [u8]) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        if kernel == Kernel::Avx512Vnni {
            avx512::softmax_tile(x, out);
            return true;
        }
        if has_avx2(kernel) {
            avx2::softmax_tile(x, out);
            return true;
        }
    }
    let _ = (kernel, x, out);
    false
}

/// A LAYERNORM on tiles of `rows` rows by a kernel that has its own; false where it has none, or
/// none for what the instruction asks.
pub fn layer_norm(
    kernel: Kernel,
    rows: usize,
    l: &Layernorm,
    memories: &mut Memories,
    kept: &mut KeptNorm,
) -> bool {
    #[cfg(target_arch = "x86_64")]
    if has_avx2(kernel) {
        let wide = kernel == Kernel::Avx512Vnni && rows.is_multiple_of(avx512::NORM_ROWS);
        let tile = if wide {
            avx512::norm_tile
        } else {
            avx2::norm_tile
        };
        return avx2::layer_norm(rows, l, memories, kept, tile);
    }
    let _ = (kernel, rows, l, memories, kept);
    false
}
