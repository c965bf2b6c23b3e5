//! Weights as groups of column tiles: as many as a weight slot holds, loaded by one LOAD and used
//! by one or more MATMULs.

use std::ops::Range;

use fqbert_contract::Geometry;
use fqbert_contract::geometry::Mode;
use fqbert_contract::program::Span;
use fqbert_model::Linear;

use crate::constants::{ConstantsLayout, MatrixLayout};
use crate::plan::{Plan, tile_cycles};

/// Most column tiles an instruction can count.
const MAX_TILES: u32 = 255;

/// Some column tiles of a matrix.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub layer: u8,
    /// Where they lie in the constants region.
    pub span: Span,
    /// Number of column tiles.
    pub tiles: u32,
    /// First output channel, and number of output channels.
    pub first_channel: u32,
    pub channels: u32,
    pub mode: Mode,
    /// Words of a tile.
    pub tile_words: u32,
    /// Cycles for one row tile.
    pub cycles_per_row_tile: u64,
}

/// One pass over a matrix for a block of rows.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub which: Linear,
    /// Row tiles.
    pub rows: Range<u32>,
    /// Number of groups.
    pub groups: usize,
}

/// All passes of one layer in order, and all groups of all layers in order of use.
pub(crate) struct Stream {
    pub passes: Vec<Vec<Pass>>,
    pub groups: Vec<Group>,
}

impl Stream {
    pub fn new(layout: &ConstantsLayout, plan: &Plan, g: &Geometry) -> Self {
        let mut stream = Stream {
            passes: Vec::new(),
            groups: Vec::new(),
        };
        for (index, layer) in layout.layers.iter().enumerate() {
            let mut passes = Vec::new();
            let mut pass = |which: Linear, rows: &Range<u32>| {
                let before = stream.groups.len();
                stream
                    .groups
                    .extend(groups(g, layer.matrix(which), index as u8));
                let groups = stream.groups.len() - before;
                passes.push(Pass {
                    which,
                    rows: rows.clone(),
                    groups,
                });
            };
            let all = 0..plan.row_tiles;
            for which in [Linear::Q, Linear::K, Linear::V] {
                pass(which, &all);
            }
            for block in &plan.output_blocks {
                pass(Linear::O, block);
            }
            for block in &plan.ffn_blocks {
                pass(Linear::FfnIn, block);
                pass(Linear::FfnOut, block);
            }
            stream.passes.push(passes);
        }
        stream
    }
}

/// A matrix in as few groups of nearly equal size as slots allow.
fn groups(g: &Geometry, m: &MatrixLayout, layer: u8) -> impl Iterator<Item = Group> {
    let tile_channels = g.tile_channels(m.mode);
    let tile_bytes = u64::from(m.tile_words) * u64::from(g.pairs * g.lanes);
    let most = (g.wgt_words / m.tile_words).clamp(1, MAX_TILES);
    let count = m.tiles.div_ceil(most);
    let (size, longer) = (m.tiles / count, m.tiles % count);
    let (m, per_tile) = (*m, tile_cycles(g, m.mode, m.tile_words));
    (0..count).map(move |i| {
        let first = i * size + i.min(longer);
        let tiles = size + u32::from(i < longer);
        let first_channel = first * tile_channels;
        Group {
            layer,
            span: Span {
                offset: m.span.offset + u64::from(first) * tile_bytes,
                length: u64::from(tiles) * tile_bytes,
            },
            tiles,
            first_channel,
            channels: (tiles * tile_channels).min(m.outputs - first_channel),
            mode: m.mode,
            tile_words: m.tile_words,
            cycles_per_row_tile: u64::from(tiles) * per_tile,
        }
    })
}
