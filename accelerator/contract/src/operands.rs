//! Which memories the operands of a MATMUL lie in.

use crate::isa::{Matmul, MemoryId};

/// The memory of a weight slot; only the low two bits of `slot` count.
pub fn weight_slot(slot: u8) -> MemoryId {
    match slot & 3 {
        0 => MemoryId::Wgt0,
        1 => MemoryId::Wgt1,
        2 => MemoryId::Wgt2,
        _ => MemoryId::Wgt3,
    }
}

/// The memories of a MATMUL's activation side and of its weight side.
pub fn matmul_operands(m: &Matmul) -> (MemoryId, MemoryId) {
    let activations = if m.a_probs {
        MemoryId::Prb
    } else {
        MemoryId::Act
    };
    let weights = if m.b_opd {
        MemoryId::Opd
    } else {
        weight_slot(m.b_slot)
    };
    (activations, weights)
}
