//! Layer norm's two passes over a row tile (`fqbert_layernorm.sv`), to the cycle.
//!
//! The first pass reads RESX. The second works on a group of channels a cycle, from a line buffer,
//! writes RESX, and gathers words of ACT, which go through a queue since MATRIX may write ACT in
//! that cycle. It pauses in the cycle in which a later instruction reads its header, and before a
//! word for which the queue has no place; its tile leaves when everything is written.

use std::collections::VecDeque;

use super::ports::Ports;

/// Words on their way to ACT, at most.
const WORDS: usize = 16;
/// From a group's read to its write to RESX.
const READ_TO_RESX: u64 = 14;
/// From the read of a word's last group to the word's place in the queue.
const READ_TO_QUEUE: u64 = 18;

/// A row tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// The cycle before its first pass.
    pub(super) begin: u64,
    /// Groups of channels.
    pub(super) groups: u64,
    /// Cycles of a pass.
    pub(super) pass: u64,
    /// Groups in a word of ACT.
    pub(super) word_groups: u64,
    /// Whether two groups share a word of RESX.
    pub(super) halves: bool,
    /// The last of its instruction.
    pub(super) last: bool,
}

/// How far the core has come.
#[derive(Clone, Debug, Default)]
pub(super) struct NormProgress {
    /// Cycles in which the passes handed on the last tile.
    first: u64,
    second: u64,
    /// Cycles in which the newest words were written to ACT, oldest first.
    written: VecDeque<u64>,
}

impl NormProgress {
    /// The cycle in which the first pass handed on its last tile.
    pub(super) fn handed_on(&self) -> u64 {
        self.first
    }

    /// The cycle in which the last tile left.
    pub(super) fn done(&self) -> u64 {
        self.second
    }

    /// Works on `tile` and notes when it takes ports. Returns cycles that its words waited for ACT.
    pub(super) fn tile(&mut self, tile: &Tile, headers: &VecDeque<u64>, ports: &mut Ports) -> u64 {
        let step = if tile.halves { 2 } else { 1 };
        ports
            .vector_resx_read
            .push(tile.begin + 1, 1, step, tile.groups / step);
        self.first = (tile.begin + tile.pass).max(self.second);
        let mut held = 0;
        let mut group = self.first;
        for word in 0..tile.groups / tile.word_groups {
            for position in 0..tile.word_groups {
                group += 1;
                if position == 0 {
                    group = group.max(self.place());
                }
                // A later header takes the port that the parameters come from.
                while headers.contains(&group) {
                    group += 1;
                }
                if !tile.halves || (word * tile.word_groups + position) % 2 == 1 {
                    ports.vector_resx_write.push_cycle(group + READ_TO_RESX);
                }
            }
            let before = self.written.back().copied().unwrap_or(0);
            let wanted = (group + READ_TO_QUEUE + 1).max(before) + 1;
            let at = ports.matrix_act_write.window(wanted).from;
            held += at - wanted;
            ports.vector_act_write.push_cycle(at);
            self.write(at);
        }
        let written = self.written.back().map_or(0, |at| at + 1);
        self.second = (self.first + tile.pass)
            .max(group + READ_TO_QUEUE + 1)
            .max(if tile.last { written } else { 0 });
        held
    }

    /// First cycle in which the queue has a place for another word.
    fn place(&self) -> u64 {
        if self.written.len() < WORDS {
            0
        } else {
            self.written.front().map_or(0, |at| at + 1)
        }
    }

    fn write(&mut self, at: u64) {
        self.written.push_back(at);
        if self.written.len() > WORDS {
            self.written.pop_front();
        }
    }
}
