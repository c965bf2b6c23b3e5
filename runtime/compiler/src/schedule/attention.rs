//! Queries, keys, values, and attention head by head.

use std::ops::Range;

use fqbert_contract::isa::{Matmul, MemoryId, Operation, Softmax};
use fqbert_contract::program::Region;
use fqbert_model::Linear;

use super::{Scheduler, exp_table};
use crate::constants::ParamSet;
use crate::emit::Touches;
use crate::sem;

impl Scheduler<'_> {
    pub(super) fn attention(&mut self, layer: usize) {
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
        self.body_by_block(layer, &k, groups, &[sem::SELF]);
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

        // The first scores follow the first group of values, so that the keys are written by then,
        // and the softmax of the first head runs beside the rest of the values.
        let pieces: Vec<(u32, Range<u32>)> = (0..self.plan.heads)
            .flat_map(|head| self.plan.pieces().into_iter().map(move |rows| (head, rows)))
            .collect();
        let ahead = match self.options.overlap {
            true => (self.plan.pieces_in_flight as usize - 1).min(pieces.len()),
            false => 0,
        };
        let first = usize::from(v.groups > 1 && ahead > 0);
        let groups = self.e.take_groups(first);
        self.body_by_block(layer, &v, groups, &[]);
        self.e.matrix_waits.push(sem::SELF);
        if ahead > 0 {
            self.scores(layer, 0, &pieces[0]);
        }
        let groups = self.e.take_groups(v.groups - first);
        self.body_by_block(layer, &v, groups, &[sem::SELF]);
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
            b_base: (p.block_of(rows.start) * p.key_block_words + head * p.head_dim / 8) as u16,
            b_stride: p.act_words as u16,
            k_chunks: (p.head_dim / 8) as u16,
            row_tiles: tiles as u8,
            col_tiles: p.block.div_ceil(self.e.g.pairs) as u8,
            channels: p.block as u16,
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
            columns: p.block as u16,
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
        let values = p.values_base
            + p.block_of(rows.start) * p.value_block_words
            + head * p.value_head_words;
        let context = Matmul {
            mode8: true,
            a_probs: true,
            b_opd: true,
            uniform: true,
            dest: Matmul::DEST_ACT,
            a_base: (buffer * p.prob_words) as u16,
            a_stride: p.prob_words as u16,
            b_base: values as u16,
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
}
