//! Which words of which memory hold what, and into how many row blocks the work is cut where a
//! memory does not hold all rows.

use std::ops::Range;

use fqbert_contract::Geometry;
use fqbert_contract::geometry::Mode;
use fqbert_contract::isa::MemoryId;
use fqbert_model::{Linear, QuantizedModel};

use crate::error::CompileError;

/// Most row or column tiles an instruction, and row tiles a semaphore, can count.
const MAX_TILES: u32 = 255;
/// Heads whose scores are in flight at once: one being written, one in the softmax, one ready.
const ATTENTION_DEPTH: u32 = 3;
/// One would be correct too, but two are what hides the softmax.
const LEAST_IN_FLIGHT: u32 = 2;

const SHORTER: &str = "use a shorter sequence or a larger geometry";
const LARGER: &str = "use a larger geometry";

/// The numbers of a model on a geometry at a sequence length. `_words` are words per row tile.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub sequence: u32,
    pub row_tiles: u32,
    /// Row tiles of a block of attention, and its tokens; the blocks are all rows.
    pub block_tiles: u32,
    pub block: u32,
    pub hidden: u32,
    pub heads: u32,
    pub head_dim: u32,
    /// ACT words per row tile of hidden channels.
    pub act_words: u32,
    /// ACT words per row tile of intermediate channels.
    pub mid_words: u32,
    /// RESX and RESB words per row tile.
    pub res_words: u32,
    /// SCR words per row tile.
    pub score_words: u32,
    /// PRB words per row tile; also OPD words per value tile.
    pub prob_words: u32,
    /// ACT: 8-bit layer input and attention output of all rows, from word 0. Then queries and
    /// context of all rows, and, once those are dead, the feed-forward middle of a block.
    pub work_base: u32,
    /// OPD: keys from word 0, block after block, values from here, likewise.
    pub values_base: u32,
    /// OPD words per block of keys, per value head of a block, and per block of values.
    pub key_block_words: u32,
    pub value_head_words: u32,
    pub value_block_words: u32,
    /// Row tiles of a piece of attention, and pieces in flight.
    pub piece_tiles: u32,
    pub pieces_in_flight: u32,
    /// Row tiles of each block of the attention output projection.
    pub output_blocks: Vec<Range<u32>>,
    /// Row tiles of each block of the feed-forward.
    pub ffn_blocks: Vec<Range<u32>>,
    /// Whether RESB holds all rows, each at its own place.
    pub resb_whole: bool,
    /// PAR: sets Attention and FfnIn begin at 0, Output and FfnOut here.
    pub par_second: u32,
    /// Sets of layer-norm parameters that LNP holds: 2 or 1.
    pub norm_sets: u32,
    /// LNP words of one layer norm.
    pub norm_words: u32,
}

impl Plan {
    /// All rows in one block.
    pub fn new(model: &QuantizedModel, g: &Geometry, sequence: u32) -> Result<Self, CompileError> {
        Self::with_block(model, g, sequence, sequence)
    }

    pub fn with_block(
        model: &QuantizedModel,
        g: &Geometry,
        sequence: u32,
        block: u32,
    ) -> Result<Self, CompileError> {
        check_model(model, g)?;
        check_sequence(g, sequence)?;
        check_sequence(g, block)?;
        if !sequence.is_multiple_of(block) {
            return Err(CompileError::Sequence {
                sequence,
                geometry: g.name,
                rule: format!("a multiple of its blocks of {block}"),
            });
        }
        let plan = Self::sizes(model, g, sequence, block);
        plan.check_streams(g, model)?;
        plan.check_attention(g)?;
        plan.check_parameters(g, model)?;
        Ok(plan)
    }

    /// Sizes and places, whether they fit or not.
    fn sizes(model: &QuantizedModel, g: &Geometry, sequence: u32, block: u32) -> Self {
        let c = &model.config;
        let (hidden, heads, mid) = (c.hidden as u32, c.heads as u32, c.intermediate as u32);
        let head_dim = c.head_dim() as u32;
        let (row_tiles, lanes) = (sequence / g.rows, g.lanes);
        let act_words = hidden / lanes;
        let (mid_words, res_words) = (mid / lanes, hidden / 2);
        let (block_tiles, count) = (block / g.rows, sequence / block);
        let (score_words, prob_words) = (block / 2, block / lanes);

        let work_base = row_tiles * act_words;
        let ffn_room = g.act_words.saturating_sub(work_base);
        let resb_tiles = g.resb_words / res_words;
        let key_block_words = block.div_ceil(g.pairs) * act_words;
        let value_head_words = head_dim.div_ceil(g.pairs) * prob_words;

        let in_flight = |depth: u32| {
            let scr = g.scr_words / depth / score_words;
            scr.min(g.prb_words / depth / prob_words).min(block_tiles)
        };
        let pieces_in_flight = if in_flight(ATTENTION_DEPTH) == block_tiles {
            ATTENTION_DEPTH
        } else {
            LEAST_IN_FLIGHT
        };
        let pieces = block_tiles.div_ceil(in_flight(pieces_in_flight).max(1));
        let norm_words = 2 + hidden / 2;
        Self {
            sequence,
            row_tiles,
            block_tiles,
            block,
            hidden,
            heads,
            head_dim,
            act_words,
            mid_words,
            res_words,
            score_words,
            prob_words,
            work_base,
            values_base: count * key_block_words,
            key_block_words,
            value_head_words,
            value_block_words: heads * value_head_words,
            piece_tiles: block_tiles.div_ceil(pieces),
            pieces_in_flight,
            output_blocks: blocks(row_tiles, resb_tiles),
            ffn_blocks: blocks(row_tiles, resb_tiles.min(ffn_room / mid_words)),
            resb_whole: resb_tiles >= row_tiles,
            par_second: (3 * hidden / 2 + 2).max(mid / 2),
            norm_sets: if 4 * norm_words <= g.lnp_words { 2 } else { 1 },
            norm_words,
        }
    }

    /// Whether activations and residual stream fit their memories.
    fn check_streams(&self, g: &Geometry, model: &QuantizedModel) -> Result<(), CompileError> {
        let (fit, mid) = (Fit { g }, model.config.intermediate);
        let Self {
            sequence,
            hidden,
            work_base,
            mid_words,
            res_words,
            ..
        } = *self;
        fit.check(MemoryId::Act, 2 * work_base, SHORTER, || {
            format!("{sequence} tokens by 2 x {hidden} channels")
        })?;
        fit.check(MemoryId::Act, work_base + mid_words, LARGER, || {
            format!(
                "{sequence} tokens by {hidden} and {} by {mid} channels",
                g.rows
            )
        })?;
        fit.check(MemoryId::Resx, self.row_tiles * res_words, SHORTER, || {
            format!("{sequence} tokens by {hidden} channels of residual stream")
        })?;
        fit.check(MemoryId::Resb, res_words, LARGER, || {
            format!("{} tokens by {hidden} channels of a branch", g.rows)
        })
    }

    /// Whether keys and values, scores and probabilities do.
    fn check_attention(&self, g: &Geometry) -> Result<(), CompileError> {
        let fit = Fit { g };
        let Self {
            sequence,
            block,
            hidden,
            ..
        } = *self;
        let values = sequence / block * self.value_block_words;
        fit.check(MemoryId::Opd, self.values_base + values, SHORTER, || {
            format!("keys and values of {sequence} tokens by {hidden} channels")
        })?;
        let scores = LEAST_IN_FLIGHT * self.score_words;
        fit.check(MemoryId::Scr, scores, SHORTER, || {
            format!("two row tiles of scores over {block} keys")
        })?;
        let probabilities = LEAST_IN_FLIGHT * self.prob_words;
        fit.check(MemoryId::Prb, probabilities, SHORTER, || {
            format!("two row tiles of probabilities over {block} keys")
        })
    }

    /// Whether records, layer-norm parameters and weights do.
    fn check_parameters(&self, g: &Geometry, model: &QuantizedModel) -> Result<(), CompileError> {
        let (fit, hidden, par_first) = (Fit { g }, self.hidden, self.par_second);
        fit.check(MemoryId::Par, par_first + hidden / 2, LARGER, || {
            format!("records of {} and {hidden} channels", 2 * par_first)
        })?;
        fit.check(MemoryId::Lnp, 2 * self.norm_words, LARGER, || {
            format!("parameters of two layer norms of {hidden} channels")
        })?;
        for which in Linear::ALL {
            let (_, inputs) = which.shape(&model.config);
            let words = inputs as u32 / g.lanes;
            fit.check(MemoryId::Wgt0, words, LARGER, || {
                format!("one column tile of {inputs} terms ({})", which.name())
            })?;
        }
        Ok(())
    }

    /// Row tile of RESB that holds row tile `row` of a block.
    pub fn resb_tile(&self, block: &Range<u32>, row: u32) -> u32 {
        if self.resb_whole {
            row
        } else {
            row - block.start
        }
    }

    /// Row tiles of each piece of a head's attention; a piece is in one block.
    pub fn pieces(&self) -> Vec<Range<u32>> {
        self.attention_blocks()
            .flat_map(|block| {
                let start = block.start;
                let pieces = blocks(self.block_tiles, self.piece_tiles).into_iter();
                pieces.map(move |p| start + p.start..start + p.end)
            })
            .collect()
    }

    /// Row tiles of each block of attention.
    pub fn attention_blocks(&self) -> impl Iterator<Item = Range<u32>> + use<> {
        let tiles = self.block_tiles;
        (0..self.row_tiles / tiles).map(move |index| index * tiles..(index + 1) * tiles)
    }

    /// The block that row tile `row` is in.
    pub fn block_of(&self, row: u32) -> u32 {
        row / self.block_tiles
    }
}

/// `0..total` cut into as few equal blocks of at most `most` as possible.
fn blocks(total: u32, most: u32) -> Vec<Range<u32>> {
    let count = total.div_ceil(most.max(1)).max(1);
    let (size, longer) = (total / count, total % count);
    let mut start = 0;
    (0..count)
        .map(|i| {
            let end = start + size + u32::from(i < longer);
            let block = start..end;
            start = end;
            block
        })
        .collect()
}

struct Fit<'a> {
    g: &'a Geometry,
}

impl Fit<'_> {
    fn check(
        &self,
        memory: MemoryId,
        needed: u32,
        remedy: &'static str,
        what: impl FnOnce() -> String,
    ) -> Result<(), CompileError> {
        let available = self.g.depth(memory);
        if needed <= available {
            return Ok(());
        }
        Err(CompileError::Memory {
            memory: memory.name(),
            geometry: self.g.name,
            available: available.into(),
            needed: needed.into(),
            what: what(),
            remedy,
        })
    }
}

/// A sequence is a whole number of row tiles and of chunks.
pub(crate) fn sequence_unit(g: &Geometry) -> u32 {
    g.rows.max(g.lanes)
}

fn check_sequence(g: &Geometry, sequence: u32) -> Result<(), CompileError> {
    let unit = sequence_unit(g);
    let most = g.max_seq.min(MAX_TILES * g.rows.min(g.pairs)) / unit * unit;
    if sequence > 0 && sequence <= most && sequence.is_multiple_of(unit) {
        return Ok(());
    }
    Err(CompileError::Sequence {
        sequence,
        geometry: g.name,
        rule: format!("a multiple of {unit} in {unit}..={most}"),
    })
}

/// Refuses a model that the geometry cannot take, or whose parts disagree with its configuration.
/// What else a loaded model guarantees does not matter here.
pub(crate) fn check_model(model: &QuantizedModel, g: &Geometry) -> Result<(), CompileError> {
    let c = &model.config;
    c.validate().map_err(|e| CompileError::Inconsistent {
        reason: e.to_string(),
    })?;
    let size = |what, found: usize, rule: String| CompileError::Model {
        what,
        found: found as u64,
        geometry: g.name,
        rule,
    };
    if c.hidden > g.max_hidden as usize {
        return Err(size(
            "hidden size",
            c.hidden,
            format!("at most {}", g.max_hidden),
        ));
    }
    let lanes = g.lanes as usize;
    for (what, value) in [
        ("hidden size", c.hidden),
        ("intermediate size", c.intermediate),
        ("head size", c.head_dim()),
    ] {
        if !value.is_multiple_of(lanes) {
            return Err(size(what, value, format!("multiples of {lanes}")));
        }
    }
    let count = |what: &str, found: usize, expected: usize| match found == expected {
        true => Ok(()),
        false => Err(CompileError::Inconsistent {
            reason: format!("the number of {what} is {found}, the configuration has {expected}"),
        }),
    };
    count("layers", model.layers.len(), c.layers)?;
    for layer in &model.layers {
        for which in Linear::ALL {
            let linear = layer.linear(which);
            let (outputs, inputs) = which.shape(c);
            count(
                &format!("{} outputs", which.name()),
                linear.weights.outputs(),
                outputs,
            )?;
            count(
                &format!("{} inputs", which.name()),
                linear.weights.inputs(),
                inputs,
            )?;
            count(
                &format!("{} records", which.name()),
                linear.params.len(),
                outputs,
            )?;
        }
        for norm in [&layer.ln_attn, &layer.ln_out] {
            count("layer-norm weights", norm.gamma.len(), c.hidden)?;
            count("layer-norm biases", norm.beta.len(), c.hidden)?;
        }
    }
    Ok(())
}

/// Cycles that one column tile takes for one row tile, drain included.
pub(crate) fn tile_cycles(g: &Geometry, mode: Mode, k_chunks: u32) -> u64 {
    let drain = match mode {
        Mode::W4 => g.pairs,
        Mode::W8 => g.pairs / 2,
    };
    u64::from(k_chunks.max(drain))
}
