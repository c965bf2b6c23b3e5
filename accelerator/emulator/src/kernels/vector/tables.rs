//! The functions of each instruction set as a table. The instruction sets themselves do not know
//! the form of it.

#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::instruction_set::InstructionSet;
#[cfg(target_arch = "aarch64")]
use super::neon::{base, dotprod, drain, i8mm, unpack};
#[cfg(target_arch = "aarch64")]
use super::octet::{Line, Octet};

/// AVX2: 16-bit sums of pairs of products.
#[cfg(target_arch = "x86_64")]
pub static AVX2: InstructionSet = InstructionSet {
    code_lines: 2,
    weight_zero_point: avx2::ZERO_POINT,
    activation_zero_points: [0, 0],
    row_corrections: avx2::row_corrections,
    unpack4: avx2::unpack4,
    unpack8: avx2::unpack8,
    code_sums: |octet, lines| octet.code_sums(lines),
    dot4: avx2::dot4,
    dot8: avx2::dot8,
    drain: avx2::drain,
    pair: None,
};

/// What every Armv8 has.
#[cfg(target_arch = "aarch64")]
pub static NEON: InstructionSet = InstructionSet {
    dot4: base::dot4,
    dot8: base::dot8,
    ..common(unpack::whole4, unpack::whole8)
};

/// With `sdot`.
#[cfg(target_arch = "aarch64")]
pub static DOT: InstructionSet = InstructionSet {
    dot4: dotprod::dot,
    dot8: dotprod::dot,
    ..common(unpack::halves4, unpack::halves8)
};

/// With `smmla`.
#[cfg(target_arch = "aarch64")]
pub static I8MM: InstructionSet = InstructionSet {
    dot4: i8mm::dot,
    dot8: i8mm::dot,
    ..common(unpack::whole4, unpack::whole8)
};

#[cfg(target_arch = "aarch64")]
type Unpack = fn(&Octet<'_>, &mut [Line]);

#[cfg(target_arch = "aarch64")]
const fn common(unpack4: Unpack, unpack8: Unpack) -> InstructionSet {
    InstructionSet {
        code_lines: 1,
        weight_zero_point: 0,
        activation_zero_points: [0, -128],
        // Never asked for: the zero point is 0.
        row_corrections: |_, _, corrections| corrections.fill(0),
        unpack4,
        unpack8,
        code_sums: |octet, lines| octet.code_sums(lines),
        dot4: base::dot4,
        dot8: base::dot8,
        drain: drain::drain,
        pair: None,
    }
}
