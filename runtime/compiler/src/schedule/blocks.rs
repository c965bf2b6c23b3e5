//! Attention output and feed-forward, block of rows by block of rows.

use fqbert_model::Linear;

use super::Scheduler;
use super::norm::Norm;
use crate::constants::ParamSet;
use crate::sem;
use crate::weights::Pass;

impl Scheduler<'_> {
    pub(super) fn output_projection(&mut self, layer: usize) {
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

    pub(super) fn feed_forward(&mut self, layer: usize) {
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
}

/// Signals of the last instruction of a pass without a tail: the block is complete, perhaps the
/// parameters are free.
fn done_signals(tail: usize, free: bool) -> &'static [u8] {
    match (tail, free) {
        (0, true) => &[sem::BRANCH, sem::PARAMS_FREE],
        (0, false) => &[sem::BRANCH],
        _ => &[],
    }
}
