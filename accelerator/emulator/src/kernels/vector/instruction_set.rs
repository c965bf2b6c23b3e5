//! What an instruction set brings to a MATMUL: the few functions that differ between the vector
//! kernels. All of them work on an octet of output channels.

use super::dot::Dot;
use super::octet::{Line, OCTET, Octet, RowSums};
use super::slab::Slab;
use crate::kernels::operands::Operands;

#[cfg(target_arch = "x86_64")]
pub use super::avx2::requantize::Scale;
#[cfg(target_arch = "aarch64")]
pub use super::neon::drain::Scale;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub use super::none::Scale;

/// The functions of an instruction set. Each checks its arguments, and that the CPU has the
/// instructions.
pub struct InstructionSet {
    /// Lines that a word of 8-bit codes takes; a word of 4-bit ones takes one.
    pub code_lines: usize,
    /// Zero point of the 4-bit weights as they are unpacked: what was added to each. The correction
    /// that [`InstructionSet::dot4`] subtracts is this many times the sum of the row.
    pub weight_zero_point: i32,
    /// Zero point of the activations as they are multiplied with 8-bit codes, signed ones, then
    /// unsigned ones. The correction that [`InstructionSet::dot8`] subtracts is this many times the
    /// sum of the channel's codes.
    pub activation_zero_points: [i32; 2],
    /// Corrections of the rows of a row tile: their sums times `weight_zero_point`.
    pub row_corrections: fn(&Operands<'_>, tile: usize, corrections: &mut [i32]),
    /// Unpacks 4-bit weights, a line a word.
    pub unpack4: fn(&Octet<'_>, &mut [Line]),
    /// Unpacks 8-bit codes, `code_lines` lines a word.
    pub unpack8: fn(&Octet<'_>, &mut [Line]),
    /// The sum of each channel's 8-bit codes, from where they lie or as they are unpacked.
    pub code_sums: fn(&Octet<'_>, &[Line]) -> [i32; OCTET],
    /// Dot products of all rows of a tile with 4-bit weights.
    pub dot4: fn(&Dot<'_>, &mut [RowSums]),
    /// Dot products of all rows of a tile with 8-bit codes.
    pub dot8: fn(&Dot<'_>, &mut [RowSums]),
    /// Requantizes and writes the sums of a row tile with an octet to its words.
    pub drain: fn(&Slab<'_>, &Scale, sums: &[RowSums], target: &mut [u8]),
    /// Dot products and drain of two octets at once, where that is one function.
    pub pair: Option<PairFunction>,
}

/// Fills the slabs of both octets.
pub type PairFunction = fn(&Pair<'_>, targets: [&mut [u8]; 2]);

/// A row tile with two octets of one MATMUL.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "AVX-512 alone takes octets in pairs")
)]
pub struct Pair<'a> {
    /// They differ in weights and in corrections of channels only.
    pub dots: [Dot<'a>; 2],
    /// The weights are 8-bit codes.
    pub mode8: bool,
    pub scales: [&'a Scale; 2],
    /// Of the same format.
    pub places: [Slab<'a>; 2],
}
