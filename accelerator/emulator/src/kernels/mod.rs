//! The arithmetic of the engines on the contract's packed layouts.
//!
//! Every [`Kernel`] gives the same bits: integer sums are exact in any order, and requantization,
//! softmax and layer norm are those of `fqbert-numerics`. Work is split over rayon's current pool
//! by row tiles and column groups, never inside a sum, so the number of threads cannot change a
//! result either.

mod choice;
mod kernel;
mod layernorm;
mod matmul;
mod operands;
mod outputs;
mod portable;
mod scalar;
mod share;
mod softmax;
mod softmax_rows;
mod vector;
mod workspace;
mod write;

pub use choice::KernelError;
pub use kernel::Kernel;
pub(crate) use layernorm::layer_norm;
pub(crate) use matmul::{in_any_order, joins, matmul, matmul_joined};
pub(crate) use operands::{Member, add_params};
pub(crate) use softmax::softmax;
pub(crate) use workspace::Workspace;

#[cfg(test)]
mod tests;
