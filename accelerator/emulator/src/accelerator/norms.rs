//! LAYERNORMs held back, to be executed as one.
//!
//! Where a unit of the accelerator waits for the first rows, a program takes a matrix in row tiles,
//! each with a LAYERNORM of its own between its MATMULs and the next tile's. On a CPU that would
//! keep the MATMULs of all tiles from being one, and give one row tile to all threads. So a
//! LAYERNORM is held back too, behind the MATMULs that are, as long as those that come later have
//! nothing to do with what it reads and writes.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Layernorm, Operation};
use fqbert_contract::verify::{Footprint, footprint};

/// LAYERNORMs of row tiles one behind the other, as one.
#[derive(Debug, Default)]
pub struct WaitingNorms {
    whole: Option<(Layernorm, Footprint)>,
}

impl WaitingNorms {
    /// Holds `l` back, which `check_operation` has accepted; false if it must not be with those
    /// that are.
    pub fn hold(&mut self, g: &Geometry, l: &Layernorm) -> bool {
        let whole = match &self.whole {
            // Row tiles in place and apart: in any order they give the same.
            None if l.y16_base == l.x_base && tiles_are_apart(g, l) => *l,
            None => return false,
            Some((first, _)) => match first.row_tiles.checked_add(l.row_tiles) {
                Some(row_tiles) if behind(first, l.row_tiles) == Some(*l) => Layernorm {
                    row_tiles,
                    ..*first
                },
                _ => return false,
            },
        };
        self.whole = Some((whole, footprint(g, &Operation::Layernorm(whole))));
        true
    }

    /// Whether an operation behind them may be executed before them.
    pub fn may_wait_for(&self, g: &Geometry, operation: &Operation) -> bool {
        let Some((_, norms)) = &self.whole else {
            return true;
        };
        let other = footprint(g, operation);
        let apart = |a: &Footprint, b: &Footprint| {
            let touched = || b.reads.iter().chain(&b.writes);
            !a.writes.iter().any(|area| touched().any(|b| area.meets(b)))
        };
        apart(norms, &other) && apart(&other, norms)
    }

    /// Whether none is held back.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.whole.is_none()
    }

    /// Those that are held back, to be executed.
    pub fn take(&mut self) -> Option<Layernorm> {
        self.whole.take().map(|(whole, _)| whole)
    }
}

/// Whether each row tile has words of its own.
fn tiles_are_apart(g: &Geometry, l: &Layernorm) -> bool {
    let operation = Operation::Layernorm(*l);
    let areas = footprint(g, &operation);
    let touched = areas.reads.iter().chain(&areas.writes);
    let mut of_rows = touched.filter(|area| area.stride > 0);
    of_rows.all(|area| area.width <= area.stride)
}

/// The same on as many row tiles behind those of `l`; none if they are too far.
fn behind(l: &Layernorm, row_tiles: u8) -> Option<Layernorm> {
    let behind = |base: u16, stride: u16| {
        let at = usize::from(base) + usize::from(l.row_tiles) * usize::from(stride);
        u16::try_from(at).ok()
    };
    Some(Layernorm {
        x_base: behind(l.x_base, l.stride)?,
        b_base: behind(l.b_base, l.stride)?,
        y16_base: behind(l.y16_base, l.stride)?,
        y8_base: behind(l.y8_base, l.y8_stride)?,
        row_tiles,
        ..*l
    })
}
