//! The order of the work: what each layer does, and what runs beside it.
//!
//! MATRIX is the bottleneck, so the schedule is its timeline, and everything else is arranged to be
//! ready in time:
//! - weights are loaded up to four groups ahead, across stages and layers;
//! - a head's softmax runs beside the products of the heads before and after it, the first beside
//!   the value projection;
//! - a layer norm runs beside the stage before it, whose last groups go row tile by row tile (the
//!   *tail*), and the stage after it, whose first groups do too (the *lead*);
//! - parameters and tables are loaded one stage or layer ahead.

mod attention;
mod blocks;
mod norm;
mod pass;

use fqbert_contract::Geometry;
use fqbert_contract::isa::{End, MemoryId, Operation};
use fqbert_contract::program::{Region, Span};
use fqbert_model::Linear;

use crate::constants::{ConstantsLayout, ParamSet};
use crate::emit::{Emitter, Pending};
use crate::io::Io;
use crate::options::CompileOptions;
use crate::plan::Plan;
use crate::sem;
use crate::weights::{Pass, Stream};

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
}

fn exp_table(layer: usize) -> u32 {
    layer as u32 & 1
}

fn gelu_table(layer: usize) -> u32 {
    layer as u32 & 1
}
