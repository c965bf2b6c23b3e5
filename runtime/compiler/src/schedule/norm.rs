//! Layer norms, and the way of their results out of the last layer.

use std::ops::Range;

use fqbert_contract::isa::{Layernorm, MemoryId, Operation};
use fqbert_contract::program::Span;

use super::Scheduler;
use crate::emit::Pending;
use crate::sem;
use crate::weights::Pass;

/// Which layer norm, and where in it.
#[derive(Clone, Copy)]
pub(super) struct Norm {
    /// The one after the feed-forward.
    pub output: bool,
    /// The first rows that it normalises in this layer.
    pub first: bool,
    /// The last rows that it normalises in this layer.
    pub last: bool,
}

impl Scheduler<'_> {
    pub(super) fn layer_norm(
        &self,
        layer: usize,
        output: bool,
        rows: &Range<u32>,
        resb: u32,
    ) -> Layernorm {
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
    pub(super) fn normalise(&mut self, layer: usize, pass: &Pass, rows: Range<u32>, norm: &Norm) {
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
