//! Embedding tables in the precision that they are stored in.

use half::f16;

/// An embedding table, row-major. The word table is by far the largest tensor of a small model, so
/// it may stay in half precision.
#[derive(Clone, Debug, PartialEq)]
pub enum Table {
    /// Half precision.
    F16(Vec<f16>),
    /// Single precision.
    F32(Vec<f32>),
}

impl Table {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Table::F16(v) => v.len(),
            Table::F32(v) => v.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds row `index` of `out.len()` channels to `out`. `None`, and `out` untouched, if there is
    /// no such row.
    pub(crate) fn add_row(&self, index: usize, out: &mut [f32]) -> Option<()> {
        let start = index.checked_mul(out.len())?;
        let end = start.checked_add(out.len())?;
        match self {
            Table::F16(v) => {
                let row = v.get(start..end)?;
                out.iter_mut().zip(row).for_each(|(o, r)| *o += r.to_f32());
            }
            Table::F32(v) => {
                let row = v.get(start..end)?;
                out.iter_mut().zip(row).for_each(|(o, r)| *o += r);
            }
        }
        Some(())
    }
}
