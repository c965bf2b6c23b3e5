//! Buffers kept from instruction to instruction.

use fqbert_numerics::requant::Requant;

use super::outputs::Outputs;
use super::vector;

/// All of them.
#[derive(Debug, Default)]
pub struct Workspace {
    pub outputs: Outputs,
    pub params: Vec<Requant>,
    pub products: vector::fused::Buffers,
    pub norm: vector::KeptNorm,
}
