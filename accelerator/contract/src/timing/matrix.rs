//! MATRIX (`fqbert_matrix_read.sv`, `fqbert_drain.sv`): never held up once started, so all its
//! accesses follow from the start.

use super::cost::{START_CYCLES, cost, drain_columns, drain_cycles, drain_latency, slot_cycles};
use super::dma::Times;
use super::ports::Ports;
use crate::geometry::Geometry;
use crate::isa::{Matmul, Operation};

/// Destination ACT.
const DEST_ACT: u8 = 0;

/// The matrix engine.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    free: u64,
    /// When the last tile will have left the shadow.
    drained: u64,
}

impl Matrix {
    /// First cycle in which it can take an instruction.
    pub fn free(&self) -> u64 {
        self.free
    }

    /// Starts `m` in cycle `start`, and notes when it takes ports.
    ///
    /// Its first tile cannot leave the array before the last of the instruction before has left the
    /// shadow: where that one's drain is longer, the first slot is.
    pub fn start(&mut self, g: &Geometry, m: &Matmul, start: u64, ports: &mut Ports) -> Times {
        let cost = cost(g, &Operation::Matmul(*m));
        let (slot, chunks) = (slot_cycles(g, m), u64::from(m.k_chunks));
        let held = self.drained.saturating_sub(start + START_CYCLES + slot);
        let (rows, columns) = (u64::from(m.row_tiles), u64::from(m.col_tiles));
        // The end of the first slot, whose last cycles read its chunks.
        let first = start + START_CYCLES + held + slot;
        if !m.a_probs {
            ports
                .matrix_act_read
                .push(first - chunks, chunks, slot, rows * columns);
            ports.matrix_act_read.settle();
        }
        if m.dest == DEST_ACT {
            let writes = first + drain_latency(g);
            let steps = drain_columns(g, m);
            // The last column tile may have fewer channels.
            let rest = (u64::from(m.channels) / 2).saturating_sub((columns.max(1) - 1) * steps);
            let whole = rows * (columns.max(1) - 1);
            ports.matrix_act_write.push(writes, steps, slot, whole);
            ports
                .matrix_act_write
                .push(writes + whole * slot, rest.min(steps), slot, rows);
            ports.matrix_act_write.settle();
        }
        self.free = start + cost.issue + held;
        self.drained = self.free + drain_cycles(g, m);
        Times {
            free: self.free,
            retire: start + cost.latency + held,
            held: 0,
        }
    }
}
