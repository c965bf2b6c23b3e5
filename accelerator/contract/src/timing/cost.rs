//! What an instruction costs alone, in cycles, as formulas of the geometry.

use crate::geometry::Geometry;
use crate::isa::{Layernorm, Load, Matmul, Operation, Softmax, Store};

/// Cycles from a read burst's address to its first beat (DDR and interconnect, about 280 ns at 214
/// MHz).
pub const READ_LATENCY: u64 = 60;
/// Cycles from the last beat of a write burst to its response.
pub const WRITE_LATENCY: u64 = 40;
/// Cycles FETCH needs for an instruction: two beats of 128 bits.
pub const FETCH_CYCLES: u64 = 2;
/// Cycles from an instruction's second beat to its place in a queue: buffer, and the field check's
/// pipeline.
pub(super) const DECODE_CYCLES: u64 = 10;
/// Cycles an engine needs between taking an instruction and its first element.
pub const START_CYCLES: u64 = 2;
/// Matrix pipeline beside the cascade: two of block RAM, two of operand registers, two of the DSP's
/// own.
const MATRIX_PIPELINE: u64 = 6;
/// Requantization pipeline: join, bias, multiply (3), shift, saturate, table, write.
const REQUANTIZE_PIPELINE: u64 = 9;
/// Softmax, per row tile beside its columns: divider (18) and pipeline.
const SOFTMAX_OVERHEAD: u64 = 26;
/// Layer norm, per row tile beside its channels and rows: pipelines of variance, root and output.
const LAYER_NORM_OVERHEAD: u64 = 24;

/// What an instruction costs, in cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The engine is occupied: the next instruction of its queue can start this much later.
    pub issue: u64,
    /// From start until all effects are visible and the signals rise; at least `issue`.
    pub latency: u64,
}

/// Cost of an operation on a geometry, with nothing else under way. What other instructions add is
/// [`simulate`](super::simulate)'s.
pub fn cost(g: &Geometry, operation: &Operation) -> Cost {
    match operation {
        Operation::Nop(_) | Operation::End(_) => Cost {
            issue: 1,
            latency: 1,
        },
        Operation::Load(l) => load_cost(l),
        Operation::Store(s) => store_cost(s),
        Operation::Matmul(m) => matmul_cost(g, m),
        Operation::Softmax(s) => softmax_cost(s),
        Operation::Layernorm(l) => layer_norm_cost(g, l),
    }
}

fn load_cost(l: &Load) -> Cost {
    let issue = START_CYCLES + u64::from(l.beats);
    Cost {
        issue,
        latency: issue + READ_LATENCY,
    }
}

fn store_cost(s: &Store) -> Cost {
    let issue = START_CYCLES + u64::from(s.beats);
    Cost {
        issue,
        latency: issue + WRITE_LATENCY,
    }
}

/// Cycles the drain of one tile takes: one channel pair a cycle (8x4) or two (8x8), times the
/// writes a column of R tokens needs in OPD.
pub(super) fn drain_cycles(g: &Geometry, m: &Matmul) -> u64 {
    let writes = if matches!(m.dest, 3 | 4) {
        u64::from(g.rows / g.operand_tokens())
    } else {
        1
    };
    drain_columns(g, m) * writes
}

/// Steps of two channels in which a tile leaves the shadow.
pub(super) fn drain_columns(g: &Geometry, m: &Matmul) -> u64 {
    u64::from(if m.mode8 { g.pairs / 2 } else { g.pairs })
}

/// Cycles of a MATMUL's tile: its chunks, or the drain where that is longer.
pub(super) fn slot_cycles(g: &Geometry, m: &Matmul) -> u64 {
    u64::from(m.k_chunks).max(drain_cycles(g, m))
}

fn matmul_cost(g: &Geometry, m: &Matmul) -> Cost {
    let tiles = u64::from(m.row_tiles) * u64::from(m.col_tiles);
    let issue = START_CYCLES + tiles * slot_cycles(g, m);
    Cost {
        issue,
        latency: issue + drain_latency(g) + drain_cycles(g, m),
    }
}

/// Cycles from a tile's last chunk to the cycle before its first result is written.
pub(super) fn drain_latency(g: &Geometry) -> u64 {
    u64::from(g.lanes) + MATRIX_PIPELINE + REQUANTIZE_PIPELINE
}

/// Cycles of one of softmax's three passes over a row tile.
pub(super) fn softmax_pass(s: &Softmax) -> u64 {
    u64::from(s.columns) / 2 + SOFTMAX_OVERHEAD
}

/// Cycles of one of layer norm's two passes over a row tile.
pub(super) fn layer_norm_pass(g: &Geometry, l: &Layernorm) -> u64 {
    layer_norm_groups(g, l) + u64::from(g.rows) + LAYER_NORM_OVERHEAD
}

/// Groups of channels that layer norm works on in one cycle.
pub(super) fn layer_norm_groups(g: &Geometry, l: &Layernorm) -> u64 {
    u64::from(l.channels) / u64::from(g.ln_channels)
}

fn softmax_cost(s: &Softmax) -> Cost {
    let pass = softmax_pass(s);
    let tiles = u64::from(s.row_tiles);
    // Three passes (maximum, exponential and sum, normalise) work on three row tiles at once.
    Cost {
        issue: START_CYCLES + tiles * pass,
        latency: START_CYCLES + (tiles + 2) * pass,
    }
}

fn layer_norm_cost(g: &Geometry, l: &Layernorm) -> Cost {
    let pass = layer_norm_pass(g, l);
    let tiles = u64::from(l.row_tiles);
    // Two passes (add and statistics, normalise) work on two row tiles at once.
    Cost {
        issue: START_CYCLES + tiles * pass,
        latency: START_CYCLES + (tiles + 1) * pass,
    }
}
