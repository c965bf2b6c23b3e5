//! How large an accelerator is, and what follows from it.

pub use crate::generated::geometry::{Fit, Geometry, PARAMETERS, Parameter};

use crate::generated::geometry as presets;
use crate::isa::{MemoryId, WEIGHT_SLOTS};

/// A product of the array's shape: 8x4 in two channels of a pair, or 8x8 in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// 8-bit activations, 4-bit weights: 2C channels a tile.
    W4,
    /// 8-bit activations, 8-bit weights or operands: C channels a tile.
    W8,
}

impl Geometry {
    /// Every preset, smallest first.
    pub fn presets() -> &'static [&'static Geometry] {
        presets::ALL
    }

    /// The preset of that name.
    pub fn by_name(name: &str) -> Option<&'static Geometry> {
        Self::presets().iter().copied().find(|g| g.name == name)
    }

    /// Bytes of one word of a memory.
    pub fn word_bytes(&self, memory: MemoryId) -> u32 {
        memory.word_bytes(self)
    }

    /// Words of a memory.
    pub fn depth(&self, memory: MemoryId) -> u32 {
        memory.depth_words(self)
    }

    /// Output channels of one column tile.
    pub fn tile_channels(&self, mode: Mode) -> u32 {
        match mode {
            Mode::W4 => 2 * self.pairs,
            Mode::W8 => self.pairs,
        }
    }

    /// Tokens written to OPD in one cycle: they must fall into distinct pairs (keys) and distinct
    /// lanes of one chunk (values).
    pub(crate) fn operand_tokens(&self) -> u32 {
        self.rows.min(self.lanes).min(self.pairs)
    }

    /// Read port that fills a weight slot.
    pub fn slot_port(&self, slot: usize) -> u32 {
        debug_assert!(slot < WEIGHT_SLOTS);
        slot as u32 % self.ports
    }

    /// DSP48E2 slices by unit: see [`Dsps`].
    pub fn dsps(&self) -> Dsps {
        let lanes = 2 * self.rows;
        Dsps {
            matrix: self.rows * self.pairs * self.lanes,
            requantize: lanes,
            softmax: lanes,
            layer_norm: 5 * self.rows * self.ln_channels,
            layer_norm_shared: 8,
        }
    }

    /// 8x4 MACs per cycle.
    pub fn macs_per_cycle(&self) -> u32 {
        2 * self.rows * self.pairs * self.lanes
    }

    /// 36-kbit block RAMs of a memory, from its width and depth: the better of 512 x 72 and 1024 x
    /// 36 blocks in simple dual-port use, a lower bound on what a synthesis tool needs. Tables in
    /// LUTs count zero.
    pub fn bram36(&self, memory: MemoryId) -> u32 {
        if matches!(memory, MemoryId::Exp | MemoryId::Gel | MemoryId::Rng) {
            return 0;
        }
        let bits = 8 * self.word_bytes(memory);
        let words = self.depth(memory);
        let narrow = bits.div_ceil(36) * words.div_ceil(1024);
        let wide = bits.div_ceil(72) * words.div_ceil(512);
        narrow.min(wide)
    }

    /// 36-kbit block RAMs inside the vector cores: the line buffers between the passes of softmax
    /// (scores, then 16-bit exponentials, double-buffered, `max_seq` columns) and of layer norm
    /// (sums, double-buffered, `max_hidden` channels), and the exponential tables, one per two
    /// lanes.
    pub fn bram36_vector(&self) -> u32 {
        let block = |bits: u32, words: u32| {
            (bits.div_ceil(36) * words.div_ceil(1024)).min(bits.div_ceil(72) * words.div_ceil(512))
        };
        let columns = self.max_seq;
        let channels = 2 * self.max_hidden / self.ln_channels;
        block(16 * self.rows, columns)
            + block(32 * self.rows, columns)
            + block(16 * self.rows * self.ln_channels, channels)
            + self.rows / 2
    }
}

/// DSP48E2 slices of an accelerator by unit (costs per operation: `docs/numerics.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dsps {
    /// The packed array: R * C * L.
    pub matrix: u32,
    /// One 27 x 18 multiplier for each of 2R requantization lanes.
    pub requantize: u32,
    /// One for each of 2R softmax lanes.
    pub softmax: u32,
    /// Five for each of R * E layer-norm lanes.
    pub layer_norm: u32,
    /// Variance, mean and reciprocal square root, shared by the rows.
    pub layer_norm_shared: u32,
}

impl Dsps {
    /// All of them.
    pub fn total(&self) -> u32 {
        self.matrix + self.requantize + self.softmax + self.layer_norm + self.layer_norm_shared
    }
}
