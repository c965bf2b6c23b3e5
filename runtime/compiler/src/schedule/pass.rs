//! A pass over a matrix: lead, body, tail.

use std::ops::Range;

use fqbert_contract::geometry::Mode;
use fqbert_contract::isa::{BEAT_BYTES, Matmul, MemoryId, Operation};
use fqbert_contract::timing;
use fqbert_model::Linear;

use super::norm::Norm;
use super::{Scheduler, gelu_table};
use crate::constants::ParamSet;
use crate::emit::Touches;
use crate::sem;
use crate::weights::Pass;

/// Most groups of a lead or tail: leaves slots for what follows. The very last tail has no
/// successor.
const EDGE_GROUPS: usize = 2;
const LAST_TAIL_GROUPS: usize = 4;
/// Row tiles of the 8-bit input that are loaded ahead of their use.
const INPUT_AHEAD: u32 = 8;

impl Scheduler<'_> {
    /// Cycles in which the vector engine normalises one row tile.
    fn norm_cycles(&self) -> u64 {
        let one = self.layer_norm(0, false, &(0..1), 0);
        timing::cost(self.e.g, &Operation::Layernorm(one)).issue
    }

    /// How many of a pass's groups go row tile by row tile at its end.
    pub(super) fn tail_groups(&self, layer: usize, pass: &Pass) -> usize {
        if !self.options.overlap {
            return 0;
        }
        let last = self.is_last(layer) && pass.which == Linear::FfnOut;
        let words = u64::from(self.plan.res_words);
        let beats = words * u64::from(self.e.g.word_bytes(MemoryId::Resx)) / BEAT_BYTES as u64;
        let (pace, most) = match last {
            // Layer norm and STORE share the read port of RESX.
            true => (self.norm_cycles().max(words + beats), LAST_TAIL_GROUPS),
            false => (self.norm_cycles(), EDGE_GROUPS),
        };
        let groups = self.stream.groups.iter();
        let before = self.e.next_group();
        let cycles = groups
            .skip(before)
            .take(pass.groups)
            .rev()
            .map(|g| g.cycles_per_row_tile);
        edge(cycles, pace, most)
    }

    /// The first groups of a pass, row tile by row tile if a layer norm (or the input) is still
    /// under way; returns the groups that are left of the first `available`. If none is left, the
    /// last instruction raises `signals`.
    pub(super) fn lead(
        &mut self,
        layer: usize,
        pass: &Pass,
        available: usize,
        signals: &[u8],
    ) -> Range<usize> {
        let under_way = !self.e.pending.is_empty() || self.starts(layer, pass);
        let overlapped = self.options.overlap && under_way;
        let lead = if overlapped {
            let before = self.e.next_group();
            let groups = self.stream.groups.iter().skip(before).take(available);
            edge(
                groups.map(|g| g.cycles_per_row_tile),
                self.norm_cycles(),
                EDGE_GROUPS,
            )
        } else {
            0
        };
        let groups = self.e.take_groups(lead);
        for row in pass.rows.clone() {
            for group in groups.clone() {
                let end = row + 1 == pass.rows.end && group + 1 == groups.end && lead == available;
                let signals = if end { signals } else { &[] };
                self.product(layer, pass, group, row..row + 1, signals);
            }
        }
        self.e.load_weights(usize::MAX);
        self.e.take_groups(available - lead)
    }

    /// Whether the pass is the first of the program, which takes the input.
    fn starts(&self, layer: usize, pass: &Pass) -> bool {
        layer == 0 && pass.which == Linear::Q
    }

    /// Groups over all rows of the pass; the last instruction raises `signals`.
    pub(super) fn body(&mut self, layer: usize, pass: &Pass, groups: Range<usize>, signals: &[u8]) {
        for group in groups.clone() {
            let last = group + 1 == groups.end;
            let signals = if last { signals } else { &[] };
            self.product(layer, pass, group, pass.rows.clone(), signals);
        }
    }

    /// As [`Self::body`], each group block of attention by block of attention: for keys and values,
    /// which every block has its own of.
    pub(super) fn body_by_block(
        &mut self,
        layer: usize,
        pass: &Pass,
        groups: Range<usize>,
        signals: &[u8],
    ) {
        for group in groups.clone() {
            for rows in self.plan.attention_blocks() {
                let last = group + 1 == groups.end && rows.end == pass.rows.end;
                let signals = if last { signals } else { &[] };
                self.product(layer, pass, group, rows, signals);
            }
        }
    }

    /// The last groups, each row tile followed by its layer norm; `free`: the parameters are used
    /// for the last time.
    pub(super) fn tail(&mut self, layer: usize, pass: &Pass, tail: usize, norm: Norm, free: bool) {
        let rows = pass.rows.clone();
        if tail == 0 {
            self.normalise(layer, pass, rows, &norm);
            return;
        }
        let groups = self.e.take_groups(tail);
        for row in rows.clone() {
            for group in groups.clone() {
                let mut signals = Vec::new();
                if group + 1 == groups.end {
                    signals.push(sem::BRANCH);
                    if free && row + 1 == rows.end {
                        signals.push(sem::PARAMS_FREE);
                    }
                }
                self.product(layer, pass, group, row..row + 1, &signals);
            }
            let norm = Norm {
                first: norm.first && row == rows.start,
                last: norm.last && row + 1 == rows.end,
                ..norm
            };
            self.normalise(layer, pass, row..row + 1, &norm);
        }
    }

    /// One MATMUL: a group of column tiles for some row tiles of its pass.
    fn product(
        &mut self,
        layer: usize,
        pass: &Pass,
        group: usize,
        rows: Range<u32>,
        signals: &[u8],
    ) {
        if self.starts(layer, pass) {
            self.load_input(match self.options.overlap {
                true => rows.end + INPUT_AHEAD,
                false => self.plan.row_tiles,
            });
        }
        let slot = (group % 4) as u8;
        let mut touches = Touches::default();
        if reads_hidden(pass.which) {
            touches.rows = rows.clone();
        }
        let (a_base, a_stride) = self.source(pass, rows.start);
        let weights = &self.stream.groups[group];
        let (which, first) = (pass.which, weights.first_channel);
        let records = self.param_base(param_set(which)) + self.param_offset(which) + first / 2;
        let mut m = Matmul {
            mode8: weights.mode == Mode::W8,
            b_slot: slot,
            a_base: a_base as u16,
            a_stride: a_stride as u16,
            b_stride: weights.tile_words as u16,
            k_chunks: weights.tile_words as u16,
            row_tiles: rows.len() as u8,
            col_tiles: weights.tiles as u8,
            channels: weights.channels as u16,
            dst_channel: first as u16,
            par_base: records as u16,
            ..Matmul::default()
        };
        self.set_destination(&mut m, layer, pass, first, &rows, &mut touches);
        let wait = [sem::FULL + slot];
        let waits: &[u8] = if rows.start == pass.rows.start {
            &wait
        } else {
            &[]
        };
        let done = rows.end == pass.rows.end;
        let mut signals = signals.to_vec();
        if done && self.e.slot_is_reused(group) {
            signals.push(sem::FREE + slot);
        }
        self.e.matmul(m, &touches, waits, &signals);
        if done {
            self.e.released(group);
        }
    }

    /// Where row tile `start` of a pass's input lies in ACT, and the words of a row tile.
    fn source(&self, pass: &Pass, start: u32) -> (u32, u32) {
        let p = self.plan;
        match pass.which {
            Linear::O => (p.work_base + start * p.act_words, p.act_words),
            Linear::FfnOut => (
                p.work_base + (start - pass.rows.start) * p.mid_words,
                p.mid_words,
            ),
            _ => (start * p.act_words, p.act_words),
        }
    }

    /// Where a MATMUL of row tiles `rows` and of channels from `first` puts its result.
    fn set_destination(
        &self,
        m: &mut Matmul,
        layer: usize,
        pass: &Pass,
        first: u32,
        rows: &Range<u32>,
        touches: &mut Touches,
    ) {
        let (p, start) = (self.plan, rows.start);
        let block = p.block_of(start);
        match pass.which {
            Linear::Q => {
                m.dest = Matmul::DEST_ACT;
                m.dst_base = (p.work_base + start * p.act_words) as u16;
                m.dst_stride = p.act_words as u16;
            }
            Linear::K => {
                m.dest = Matmul::DEST_KEYS;
                m.dst_base = (block * p.key_block_words) as u16;
                m.dst_stride = p.act_words as u16;
                m.row_tile0 = (start % p.block_tiles) as u8;
            }
            Linear::V => {
                let (head, d) = (first / p.head_dim, first % p.head_dim);
                let (tile, pair) = (d / self.e.g.pairs, d % self.e.g.pairs);
                let base = p.values_base
                    + block * p.value_block_words
                    + head * p.value_head_words
                    + tile * p.prob_words;
                m.dest = Matmul::DEST_VALUES;
                m.dst_base = base as u16;
                m.dst_stride = p.prob_words as u16;
                m.dst_channel = (d | pair << 8) as u16;
                m.head_dim = p.head_dim as u8;
                m.row_tile0 = (start % p.block_tiles) as u8;
            }
            Linear::FfnIn => {
                m.dest = Matmul::DEST_ACT;
                m.gelu = true;
                m.table = gelu_table(layer) as u8;
                m.dst_base = (p.work_base + (start - pass.rows.start) * p.mid_words) as u16;
                m.dst_stride = p.mid_words as u16;
            }
            Linear::O | Linear::FfnOut => {
                let tile = p.resb_tile(&pass.rows, start);
                touches.resb = tile..tile + rows.len() as u32;
                m.dest = Matmul::DEST_RESB;
                m.dst_base = (tile * p.res_words) as u16;
                m.dst_stride = p.res_words as u16;
            }
        }
    }

    /// Words of a matrix's records from the beginning of its set.
    fn param_offset(&self, which: Linear) -> u32 {
        match which {
            Linear::K => self.plan.hidden / 2,
            Linear::V => self.plan.hidden,
            _ => 0,
        }
    }
}

/// Whether a matrix takes the hidden channels of all rows, not what attention or the feed-forward
/// made of them.
fn reads_hidden(which: Linear) -> bool {
    !matches!(which, Linear::O | Linear::FfnOut)
}

/// The set that a matrix's records are in.
fn param_set(which: Linear) -> ParamSet {
    match which {
        Linear::Q | Linear::K | Linear::V => ParamSet::Attention,
        Linear::O => ParamSet::Output,
        Linear::FfnIn => ParamSet::FfnIn,
        Linear::FfnOut => ParamSet::FfnOut,
    }
}

/// How many groups in turn take `pace` cycles a row tile, at most `most`.
fn edge(cycles: impl Iterator<Item = u64>, pace: u64, most: usize) -> usize {
    let mut sum = 0;
    let mut count = 0;
    for c in cycles.take(most) {
        if sum >= pace {
            break;
        }
        sum += c;
        count += 1;
    }
    count
}
