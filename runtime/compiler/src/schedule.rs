//! The order of the work: what each layer does, and what runs beside it.
//!
//! MATRIX is the bottleneck, so the schedule is its timeline, and everything else is arranged to be ready in time:
//! - weights are loaded up to four groups ahead, across stages and layers;
//! - a head's softmax runs beside the products of the heads before and after it, the first beside the value projection;
//! - a layer norm runs beside the stage before it, whose last groups go row tile by row tile (the *tail*), and the stage after it, whose
//!   first groups do too (the *lead*);
//! - parameters and tables are loaded one stage or layer ahead.

use std::ops::Range;

use fqbert_contract::Geometry;
use fqbert_contract::geometry::Mode;
use fqbert_contract::isa::{End, Layernorm, Matmul, MemoryId, Operation, Softmax};
use fqbert_contract::program::{Region, Span};
use fqbert_contract::timing;
use fqbert_model::Linear;

use crate::constants::{ConstantsLayout, ParamSet};
use crate::emit::{Emitter, Pending, Touches};
use crate::plan::Plan;
use crate::sem;
use crate::weights::{Pass, Stream};
use crate::{CompileOptions, Io};

/// Most groups of a lead or tail: leaves slots for what follows. The very last tail has no successor.
const EDGE_GROUPS: usize = 2;
const LAST_TAIL_GROUPS: usize = 4;
/// Row tiles of the 8-bit input that are loaded ahead of their use.
const INPUT_AHEAD: u32 = 8;

pub(crate) struct Scheduler<'a> {
    e: Emitter<'a>,
    plan: &'a Plan,
    layout: &'a ConstantsLayout,
    passes: &'a [Vec<Pass>],
    stream: &'a Stream,
    io: &'a Io,
    options: CompileOptions,
    /// Row tiles of the 8-bit input whose LOAD has been appended.
    input_loaded: u32,
}

impl<'a> Scheduler<'a> {
    pub fn new(
        g: &'a Geometry,
        plan: &'a Plan,
        layout: &'a ConstantsLayout,
        stream: &'a Stream,
        io: &'a Io,
        options: CompileOptions,
    ) -> Self {
        Self {
            e: Emitter::new(g, &stream.groups),
            plan,
            layout,
            passes: &stream.passes,
            stream,
            io,
            options,
            input_loaded: 0,
        }
    }

    /// The whole program.
    pub fn run(mut self) -> Emitter<'a> {
        self.load_params(0, ParamSet::Attention);
        for layer in 0..self.layers() {
            self.e.layer = layer as u8;
            self.attention(layer);
            self.output_projection(layer);
            self.feed_forward(layer);
        }
        self.e.drain();
        self.e.push(Operation::End(End {}), &[], &[]);
        self.e
    }

    fn layers(&self) -> usize {
        self.layout.layers.len()
    }

    fn is_last(&self, layer: usize) -> bool {
        layer + 1 == self.layers()
    }

    fn passes(&self, layer: usize, which: Linear) -> impl Iterator<Item = &'a Pass> + use<'a> {
        self.passes[layer].iter().filter(move |p| p.which == which)
    }

    // Parameters and tables.

    /// PAR holds two sets; this set goes where the last but one was.
    fn load_params(&mut self, layer: usize, set: ParamSet) {
        let first = layer == 0 && matches!(set, ParamSet::Attention | ParamSet::Output);
        let mut waits: &[u8] = if first { &[] } else { &[sem::PARAMS_FREE] };
        let at = &self.layout.layers[layer];
        let named = std::mem::replace(&mut self.e.layer, layer as u8);
        if set == ParamSet::FfnIn {
            let word = 16 * gelu_table(layer);
            self.e
                .load(MemoryId::Gel, word, Region::Constants, at.gelu, waits, &[]);
            waits = &[];
        }
        let (word, span) = (self.param_base(set), at.params(set));
        self.e.load(
            MemoryId::Par,
            word,
            Region::Constants,
            span,
            waits,
            &[sem::PARAMS],
        );
        self.e.layer = named;
    }

    fn param_base(&self, set: ParamSet) -> u32 {
        match set {
            ParamSet::Attention | ParamSet::FfnIn => 0,
            ParamSet::Output | ParamSet::FfnOut => self.plan.par_second,
        }
    }

    /// Whether a later set takes the place of this one, so that its release is waited for.
    fn params_are_replaced(&self, layer: usize, set: ParamSet) -> bool {
        !self.is_last(layer) || matches!(set, ParamSet::Attention | ParamSet::Output)
    }

    /// Exponential table and layer-norm parameters of a layer.
    fn load_vector_constants(&mut self, layer: usize) {
        let at = &self.layout.layers[layer];
        let first = layer < self.plan.norm_sets as usize;
        let waits: &[u8] = if first { &[] } else { &[sem::CONSTANTS_FREE] };
        let (exp, norms) = (32 * exp_table(layer), self.norm_base(layer));
        self.e
            .load(MemoryId::Exp, exp, Region::Constants, at.exp, waits, &[]);
        self.e.load(
            MemoryId::Lnp,
            norms,
            Region::Constants,
            at.norms[0],
            &[],
            &[],
        );
        let second = norms + self.plan.norm_words;
        self.e.load(
            MemoryId::Lnp,
            second,
            Region::Constants,
            at.norms[1],
            &[],
            &[sem::CONSTANTS],
        );
    }

    fn norm_base(&self, layer: usize) -> u32 {
        layer as u32 % self.plan.norm_sets * 2 * self.plan.norm_words
    }

    // Input.

    /// Appends the LOADs of the 8-bit input up to row tile `end`.
    fn load_input(&mut self, end: u32) {
        let words = self.plan.act_words;
        let bytes = u64::from(words) * u64::from(self.e.g.word_bytes(MemoryId::Act));
        while self.input_loaded < end.min(self.plan.row_tiles) {
            let row = self.input_loaded;
            let span = Span {
                offset: self.io.x8.offset + u64::from(row) * bytes,
                length: bytes,
            };
            self.e.load(
                MemoryId::Act,
                row * words,
                Region::Input,
                span,
                &[],
                &[sem::INPUT],
            );
            let rows = row..row + 1;
            self.e.pending.push_back(Pending {
                semaphore: sem::INPUT,
                rows,
                resb: 0..0,
            });
            self.input_loaded += 1;
        }
    }

    // Attention.

    fn attention(&mut self, layer: usize) {
        let pass = |s: &Self, which| s.passes(layer, which).next().cloned();
        self.e.matrix_waits.push(sem::PARAMS);
        let Some((q, k, v)) = pass(self, Linear::Q)
            .zip(pass(self, Linear::K))
            .zip(pass(self, Linear::V))
            .map(|((q, k), v)| (q, k, v))
        else {
            return;
        };
        let q_groups = self.lead(layer, &q, q.groups, &[]);
        if layer == 0 {
            let ranges = self.io.ranges;
            self.load_input(self.plan.row_tiles);
            self.e
                .load(MemoryId::Rng, 0, Region::Input, ranges, &[], &[]);
        }
        self.load_vector_constants(layer);
        self.load_params(layer, ParamSet::Output);
        self.body(layer, &q, q_groups, &[]);
        let groups = self.e.take_groups(k.groups);
        self.body(layer, &k, groups, &[sem::SELF]);
        if layer == 0 {
            let x16 = self.io.x16;
            self.e.load(
                MemoryId::Resx,
                0,
                Region::Input,
                x16,
                &[],
                &[sem::CONSTANTS],
            );
        }

        // The first scores follow the first group of values, so that the keys are written by then, and the softmax of
        // the first head runs beside the rest of the values.
        let pieces: Vec<(u32, Range<u32>)> = (0..self.plan.heads)
            .flat_map(|head| self.plan.pieces().into_iter().map(move |rows| (head, rows)))
            .collect();
        let ahead = match self.options.overlap {
            true => (self.plan.pieces_in_flight as usize - 1).min(pieces.len()),
            false => 0,
        };
        let first = usize::from(v.groups > 1 && ahead > 0);
        let groups = self.e.take_groups(first);
        self.body(layer, &v, groups, &[]);
        self.e.matrix_waits.push(sem::SELF);
        if ahead > 0 {
            self.scores(layer, 0, &pieces[0]);
        }
        let groups = self.e.take_groups(v.groups - first);
        self.body(layer, &v, groups, &[sem::SELF]);
        for (index, piece) in pieces.iter().enumerate().take(ahead).skip(1) {
            self.scores(layer, index, piece);
        }
        for index in 0..pieces.len() {
            if let Some(piece) = pieces.get(index + ahead) {
                self.scores(layer, index + ahead, piece);
            }
            if index == 0 {
                self.e.matrix_waits.push(sem::SELF);
            }
            let last = index + 1 == pieces.len();
            self.context(layer, index, &pieces[index], last);
        }
    }

    /// Scores of a piece, and their softmax.
    fn scores(&mut self, layer: usize, index: usize, piece: &(u32, Range<u32>)) {
        let p = self.plan;
        let (head, rows) = piece;
        let tiles = rows.len() as u32;
        let buffer = index as u32 % p.pieces_in_flight * p.piece_tiles;
        let scores = Matmul {
            mode8: true,
            b_opd: true,
            uniform: true,
            dest: Matmul::DEST_SCR,
            a_base: (p.work_base + rows.start * p.act_words + head * p.head_dim / 8) as u16,
            a_stride: p.act_words as u16,
            b_base: (head * p.head_dim / 8) as u16,
            b_stride: p.act_words as u16,
            k_chunks: (p.head_dim / 8) as u16,
            row_tiles: tiles as u8,
            col_tiles: p.sequence.div_ceil(self.e.g.pairs) as u8,
            channels: p.sequence as u16,
            dst_base: (buffer * p.score_words) as u16,
            dst_stride: p.score_words as u16,
            par_base: (3 * p.hidden / 2) as u16,
            ..Matmul::default()
        };
        self.e
            .matmul(scores, &Touches::default(), &[], &[sem::SCORES]);
        let softmax = Softmax {
            table: exp_table(layer) as u8,
            src_base: (buffer * p.score_words) as u16,
            src_stride: p.score_words as u16,
            dst_base: (buffer * p.prob_words) as u16,
            dst_stride: p.prob_words as u16,
            columns: p.sequence as u16,
            row_tiles: tiles as u8,
            row0: (rows.start * self.e.g.rows) as u16,
        };
        let both = [sem::CONSTANTS, sem::SCORES];
        let waits = if index == 0 { &both[..] } else { &both[1..] };
        self.e
            .push(Operation::Softmax(softmax), waits, &[sem::PROBS]);
    }

    /// Context of a piece, written over its queries.
    fn context(&mut self, layer: usize, index: usize, piece: &(u32, Range<u32>), last: bool) {
        let p = self.plan;
        let (head, rows) = piece;
        let buffer = index as u32 % p.pieces_in_flight * p.piece_tiles;
        let context = Matmul {
            mode8: true,
            a_probs: true,
            b_opd: true,
            uniform: true,
            dest: Matmul::DEST_ACT,
            a_base: (buffer * p.prob_words) as u16,
            a_stride: p.prob_words as u16,
            b_base: (p.values_base + head * p.value_head_words) as u16,
            b_stride: p.prob_words as u16,
            k_chunks: p.prob_words as u16,
            row_tiles: rows.len() as u8,
            col_tiles: p.head_dim.div_ceil(self.e.g.pairs) as u8,
            channels: p.head_dim as u16,
            dst_channel: (head * p.head_dim) as u16,
            dst_base: (p.work_base + rows.start * p.act_words) as u16,
            dst_stride: p.act_words as u16,
            par_base: (3 * p.hidden / 2 + 1) as u16,
            ..Matmul::default()
        };
        let mut signals = Vec::new();
        if last {
            signals.push(sem::SELF);
            if self.params_are_replaced(layer, ParamSet::Attention) {
                signals.push(sem::PARAMS_FREE);
            }
        }
        self.e
            .matmul(context, &Touches::default(), &[sem::PROBS], &signals);
    }

    // Attention output and feed-forward.

    fn output_projection(&mut self, layer: usize) {
        self.e.matrix_waits.extend([sem::PARAMS, sem::SELF]);
        let blocks: Vec<&Pass> = self.passes(layer, Linear::O).collect();
        for (index, pass) in blocks.iter().enumerate() {
            let last = index + 1 == blocks.len();
            let tail = self.tail_groups(layer, pass);
            let free = last && self.params_are_replaced(layer, ParamSet::Output);
            let done = done_signals(tail, free);
            let groups = self.lead(layer, pass, pass.groups - tail, done);
            if index == 0 {
                self.load_params(layer, ParamSet::FfnIn);
            }
            self.body(layer, pass, groups, done);
            self.tail(
                layer,
                pass,
                tail,
                Norm {
                    output: false,
                    first: index == 0,
                    last,
                },
                free,
            );
        }
    }

    fn feed_forward(&mut self, layer: usize) {
        let inner: Vec<&Pass> = self.passes(layer, Linear::FfnIn).collect();
        let outer: Vec<&Pass> = self.passes(layer, Linear::FfnOut).collect();
        for (index, (pass, out)) in inner.iter().zip(&outer).enumerate() {
            let (first, last) = (index == 0, index + 1 == inner.len());
            if first {
                self.e.matrix_waits.push(sem::PARAMS);
            }
            let mut signals = vec![sem::SELF];
            if last && self.params_are_replaced(layer, ParamSet::FfnIn) {
                signals.push(sem::PARAMS_FREE);
            }
            let groups = self.lead(layer, pass, pass.groups, &signals);
            if first {
                self.load_params(layer, ParamSet::FfnOut);
            }
            self.body(layer, pass, groups, &signals);

            self.e.matrix_waits.push(sem::SELF);
            if first {
                self.e.matrix_waits.push(sem::PARAMS);
            }
            if last && !self.is_last(layer) {
                self.load_params(layer + 1, ParamSet::Attention);
            }
            let tail = self.tail_groups(layer, out);
            let free = last && self.params_are_replaced(layer, ParamSet::FfnOut);
            let done = done_signals(tail, free);
            let groups = self.lead(layer, out, out.groups - tail, done);
            self.body(layer, out, groups, done);
            self.tail(
                layer,
                out,
                tail,
                Norm {
                    output: true,
                    first: false,
                    last,
                },
                free,
            );
        }
    }

    // A pass over a matrix: lead, body, tail.

    /// Cycles in which the vector engine normalises one row tile.
    fn norm_cycles(&self) -> u64 {
        let one = self.layer_norm(0, false, &(0..1), 0);
        timing::cost(self.e.g, &Operation::Layernorm(one)).issue
    }

    /// How many of a pass's groups go row tile by row tile at its end.
    fn tail_groups(&self, layer: usize, pass: &Pass) -> usize {
        if !self.options.overlap {
            return 0;
        }
        let last = self.is_last(layer) && pass.which == Linear::FfnOut;
        let bytes = u64::from(self.plan.res_words) * u64::from(self.e.g.word_bytes(MemoryId::Resx));
        let (pace, most) = match last {
            true => (self.norm_cycles().max(bytes / 16), LAST_TAIL_GROUPS),
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

    /// The first groups of a pass, row tile by row tile if a layer norm (or the input) is still under way; returns the groups that are left of
    /// the first `available`. If none is left, the last instruction raises `signals`.
    fn lead(
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
    fn body(&mut self, layer: usize, pass: &Pass, groups: Range<usize>, signals: &[u8]) {
        for group in groups.clone() {
            let last = group + 1 == groups.end;
            let signals = if last { signals } else { &[] };
            self.product(layer, pass, group, pass.rows.clone(), signals);
        }
    }

    /// The last groups, each row tile followed by its layer norm; `free`: the parameters are used for the last time.
    fn tail(&mut self, layer: usize, pass: &Pass, tail: usize, norm: Norm, free: bool) {
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
        let p = self.plan;
        let slot = (group % 4) as u8;
        let weights = &self.stream.groups[group];
        let (first, start) = (weights.first_channel, rows.start);
        let mut touches = Touches::default();
        let (hidden_input, set) = match pass.which {
            Linear::Q | Linear::K | Linear::V => (true, ParamSet::Attention),
            Linear::O => (false, ParamSet::Output),
            Linear::FfnIn => (true, ParamSet::FfnIn),
            Linear::FfnOut => (false, ParamSet::FfnOut),
        };
        if self.starts(layer, pass) {
            self.load_input(match self.options.overlap {
                true => rows.end + INPUT_AHEAD,
                false => p.row_tiles,
            });
        }
        let (a_base, a_stride) = match pass.which {
            Linear::O => (p.work_base + start * p.act_words, p.act_words),
            Linear::FfnOut => (
                p.work_base + (start - pass.rows.start) * p.mid_words,
                p.mid_words,
            ),
            _ => (start * p.act_words, p.act_words),
        };
        if hidden_input {
            touches.rows = rows.clone();
        }
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
            par_base: (self.param_base(set) + self.param_offset(pass.which) + first / 2) as u16,
            ..Matmul::default()
        };
        match pass.which {
            Linear::Q => {
                m.dest = Matmul::DEST_ACT;
                m.dst_base = (p.work_base + start * p.act_words) as u16;
                m.dst_stride = p.act_words as u16;
            }
            Linear::K => {
                m.dest = Matmul::DEST_KEYS;
                m.dst_stride = p.act_words as u16;
                m.row_tile0 = start as u8;
            }
            Linear::V => {
                let (head, d) = (first / p.head_dim, first % p.head_dim);
                let (tile, pair) = (d / self.e.g.pairs, d % self.e.g.pairs);
                let base = p.values_base + head * p.value_head_words + tile * p.prob_words;
                m.dest = Matmul::DEST_VALUES;
                m.dst_base = base as u16;
                m.dst_stride = p.prob_words as u16;
                m.dst_channel = (d | pair << 8) as u16;
                m.head_dim = p.head_dim as u8;
                m.row_tile0 = start as u8;
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

    /// Words of a matrix's records from the beginning of its set.
    fn param_offset(&self, which: Linear) -> u32 {
        match which {
            Linear::K => self.plan.hidden / 2,
            Linear::V => self.plan.hidden,
            _ => 0,
        }
    }

    // Layer norm.

    fn layer_norm(&self, layer: usize, output: bool, rows: &Range<u32>, resb: u32) -> Layernorm {
        let p = self.plan;
        let x = (rows.start * p.res_words) as u16;
        let par_base = self.norm_base(layer) + if output { p.norm_words } else { 0 };
        Layernorm {
            x_base: x,
            b_base: (resb * p.res_words) as u16,
            y16_base: x,
            y8_base: (rows.start * p.act_words) as u16,
            stride: p.res_words as u16,
            y8_stride: p.act_words as u16,
            channels: p.hidden as u16,
            row_tiles: rows.len() as u8,
            par_base: par_base as u16,
        }
    }

    /// Layer norm of some row tiles of a pass, and their way out of the last layer.
    fn normalise(&mut self, layer: usize, pass: &Pass, rows: Range<u32>, norm: &Norm) {
        let p = self.plan;
        let resb = p.resb_tile(&pass.rows, rows.start);
        let ends = norm.output && self.is_last(layer);
        let mut waits = vec![sem::BRANCH];
        if layer == 0 && norm.first {
            // The 16-bit input.
            waits.push(sem::CONSTANTS);
        }
        let mut signals = Vec::new();
        if ends {
            signals.push(sem::OUTPUT);
        }
        // Nothing comes after the last rows of the last layer.
        let followed = !ends || pass.rows.end != p.row_tiles;
        if followed {
            signals.push(sem::NORMED);
        }
        let replaced = layer + (p.norm_sets as usize) < self.layers();
        if norm.output && norm.last && replaced {
            signals.push(sem::CONSTANTS_FREE);
        }
        let operation = self.layer_norm(layer, norm.output, &rows, resb);
        self.e
            .push(Operation::Layernorm(operation), &waits, &signals);
        if followed {
            let resb = resb..resb + rows.len() as u32;
            self.e.pending.push_back(Pending {
                semaphore: sem::NORMED,
                rows: rows.clone(),
                resb,
            });
        }
        if ends {
            let tile = u64::from(p.res_words) * u64::from(self.e.g.word_bytes(MemoryId::Resx));
            let span = Span {
                offset: self.io.y16.offset + u64::from(rows.start) * tile,
                length: rows.len() as u64 * tile,
            };
            self.e.store(rows.start * p.res_words, span, &[sem::OUTPUT]);
        }
    }
}

/// Which layer norm, and where in it.
#[derive(Clone, Copy)]
struct Norm {
    /// The one after the feed-forward.
    output: bool,
    /// The first rows that it normalises in this layer.
    first: bool,
    /// The last rows that it normalises in this layer.
    last: bool,
}

/// Signals of the last instruction of a pass without a tail: the block is complete, perhaps the parameters are free.
fn done_signals(tail: usize, free: bool) -> &'static [u8] {
    match (tail, free) {
        (0, true) => &[sem::BRANCH, sem::PARAMS_FREE],
        (0, false) => &[sem::BRANCH],
        _ => &[],
    }
}

fn exp_table(layer: usize) -> u32 {
    layer as u32 & 1
}

fn gelu_table(layer: usize) -> u32 {
    layer as u32 & 1
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
