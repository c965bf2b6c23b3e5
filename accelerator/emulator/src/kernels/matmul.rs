//! MATMUL: which kernel computes it, and how.
//!
//! A kernel with an instruction set of its own goes from the operands straight to the words of the
//! destination ([`vector::fused`]), as long as the order of its writes cannot be seen. All else is
//! plain code in two phases: dot products and requantization, then the writes in the drain's order.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Matmul, Operation};
use fqbert_contract::verify;
use fqbert_numerics::requant::Requant;

use super::kernel::Kernel;
use super::operands::{Member, operands, read_params};
use super::vector::instruction_set::InstructionSet;
use super::vector::{self, fused};
use super::workspace::Workspace;
use super::{portable, scalar, write};
use crate::memories::Memories;

/// Executes a MATMUL that `check_operation` has accepted.
pub fn matmul(
    g: &Geometry,
    m: &Matmul,
    memories: &mut Memories,
    workspace: &mut Workspace,
    kernel: Kernel,
) {
    debug_assert!(verify::check_operation(g, &Operation::Matmul(*m)).is_ok());
    read_params(memories, m, &mut workspace.params);
    let set = vector::instruction_set(kernel);
    if !set.is_some_and(|set| by_instruction_set(set, g, m, memories, workspace)) {
        in_plain_code(g, m, memories, workspace, kernel);
    }
}

/// By the functions of an instruction set, with the records that the workspace holds; false where
/// the order of writes counts, and nothing has been done.
pub fn by_instruction_set(
    set: &InstructionSet,
    g: &Geometry,
    m: &Matmul,
    memories: &mut Memories,
    workspace: &mut Workspace,
) -> bool {
    let Workspace {
        params, products, ..
    } = workspace;
    fused::matmul(set, g, m, memories, params, products, &[])
}

/// By plain code, with the records that the workspace holds.
pub fn in_plain_code(
    g: &Geometry,
    m: &Matmul,
    memories: &mut Memories,
    workspace: &mut Workspace,
    kernel: Kernel,
) {
    let x = operands(g, m, memories, &workspace.params);
    if kernel == Kernel::Scalar {
        scalar::matmul(&x, &mut workspace.outputs);
    } else {
        portable::matmul(&x, &mut workspace.outputs);
    }
    write::results(g, m, &workspace.outputs, memories);
}

/// Whether `kernel` executes MATMULs as one that [`in_any_order`] accepts.
pub fn joins(kernel: Kernel) -> bool {
    vector::instruction_set(kernel).is_some()
}

/// Whether `members`, which `m` is the whole of, give the same in any order.
pub fn in_any_order<'a>(
    g: &Geometry,
    m: &Matmul,
    members: impl Iterator<Item = &'a Matmul>,
) -> bool {
    fused::in_any_order(g, m, members)
}

/// Executes MATMULs that [`in_any_order`] has accepted and `m` is the whole of, by a kernel that
/// [`joins`]. `params` are those of all their channels.
pub fn matmul_joined(
    g: &Geometry,
    m: &Matmul,
    members: &[Member<'_>],
    params: &[Requant],
    memories: &mut Memories,
    workspace: &mut Workspace,
    kernel: Kernel,
) {
    if let Some(set) = vector::instruction_set(kernel) {
        fused::matmul(
            set,
            g,
            m,
            memories,
            params,
            &mut workspace.products,
            members,
        );
    }
}
