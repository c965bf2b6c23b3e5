//! A target without vector kernels: it has no instruction set, so that nothing of its types is ever
//! made.

use fqbert_numerics::requant::Requant;

/// Requantization of an octet by no instruction set.
#[derive(Clone, Copy, Debug)]
pub enum Scale {}

impl Scale {
    /// As those of the instruction sets.
    pub fn new(_params: &[Requant], _start: usize, _largest: i64, _limit: i16) -> Self {
        unreachable!("only an instruction set requantizes octets")
    }
}
