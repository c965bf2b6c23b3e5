//! The results of a MATMUL before they are written: by plain code, or by octets of channels.

use super::operands::Operands;

/// Channels that the vector kernels compute together, and whose results they leave side by side.
pub const OCTET: usize = 8;

/// Results before they are written: `[group][row tile][row][width]`, where a group is `width`
/// consecutive channels.
#[derive(Debug, Default)]
pub struct Outputs {
    pub values: Vec<i16>,
    pub width: usize,
    pub groups: usize,
    pub rows: usize,
    pub row_tiles: usize,
}

impl Outputs {
    /// Makes room for `channels` channels in groups of a multiple of `unit` channels, enough groups
    /// to occupy the pool.
    pub fn shape(&mut self, x: &Operands<'_>, unit: usize) {
        let units = x.channels.div_ceil(unit);
        let wanted = (2 * rayon::current_num_threads())
            .div_ceil(x.row_tiles)
            .clamp(1, units);
        let per_group = units.div_ceil(wanted);
        self.width = per_group * unit;
        self.groups = units.div_ceil(per_group);
        self.rows = x.rows;
        self.row_tiles = x.row_tiles;
        // Stale values beyond the written channels are never read.
        self.values
            .resize(self.groups * self.row_tiles * self.chunk(), 0);
    }

    /// Values of one group and row tile.
    pub fn chunk(&self) -> usize {
        self.rows * self.width
    }

    /// The results of one row, group after group; the last group may be longer than the channels
    /// written.
    pub fn row(&self, tile: usize, row: usize) -> impl Iterator<Item = &[i16]> {
        (0..self.groups).map(move |group| {
            let at = (group * self.row_tiles + tile) * self.chunk() + row * self.width;
            &self.values[at..at + self.width]
        })
    }
}
