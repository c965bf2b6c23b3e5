//! VECTOR (`fqbert_vector.sv`): two cores whose passes work on a row tile each, one tile handed on
//! as the next is free.
//!
//! Softmax meets nobody. Layer norm reads and writes RESX, where nobody holds it up, and writes
//! ACT, where MATRIX does; so its tiles are certain only as far as MATRIX's instructions are known,
//! and beyond they are a forecast.

use std::collections::VecDeque;

use super::cost::{layer_norm_groups, layer_norm_pass, softmax_pass};
use super::dma::Times;
use super::layer_norm::{NormProgress, Tile};
use super::ports::Ports;
use crate::geometry::Geometry;
use crate::isa::{Layernorm, Softmax};

/// From an instruction's start to the cycle before the first of its first pass.
const START_TO_PASS: u64 = 1;

/// A LAYERNORM that is not over for certain.
#[derive(Clone, Copy, Debug)]
struct Norm {
    /// Row tiles to go.
    tiles: u64,
    /// The next of them.
    tile: Tile,
    /// Cycles that words of the tiles before waited for ACT.
    held: u64,
}

/// The vector engine.
#[derive(Clone, Debug, Default)]
pub struct Vector {
    /// Cycles in which softmax's passes hand on their last tile.
    softmax: [u64; 3],
    settled: NormProgress,
    norms: VecDeque<Norm>,
    /// Cycles in which later LAYERNORMs read their headers, oldest first: the second pass of one
    /// before them pauses.
    headers: VecDeque<u64>,
    complete: VecDeque<Times>,
    forecast: VecDeque<Times>,
    norm_free: u64,
}

impl Vector {
    /// First cycle in which it can take an instruction, of either kind: when both first passes are
    /// over.
    pub fn free(&self) -> u64 {
        let softmax = self.softmax[0];
        self.norm_free
            .max(if softmax > 0 { softmax + 1 } else { 0 })
    }

    /// Whether MATRIX's writes to ACT matter to what is under way.
    pub(super) fn is_open(&self) -> bool {
        !self.norms.is_empty()
    }

    /// The cycle before which it does not look at ports any more.
    pub(super) fn horizon(&self, now: u64) -> u64 {
        if self.is_open() {
            self.settled.handed_on().min(now)
        } else {
            now
        }
    }

    /// Starts `s` in cycle `start`.
    pub fn start_softmax(&mut self, s: &Softmax, start: u64) -> Times {
        let pass = softmax_pass(s);
        let mut begin = start + START_TO_PASS;
        for _ in 0..s.row_tiles {
            let [_, second, third] = self.softmax;
            // A pass hands its tile on when the next one is free or becomes it in this cycle.
            let first = (begin + pass).max(second);
            let second = (first + pass).max(third);
            self.softmax = [first, second, second + pass];
            begin = first;
        }
        Times {
            free: self.softmax[0] + 1,
            retire: self.softmax[2] + 1,
            held: 0,
        }
    }

    /// Starts `l` in cycle `start`: its times are [`Self::front`]'s, in order.
    pub fn start_layer_norm(&mut self, g: &Geometry, l: &Layernorm, start: u64, ports: &mut Ports) {
        let begin = start + START_TO_PASS;
        self.headers.push_back(begin);
        self.norms.push_back(Norm {
            tiles: u64::from(l.row_tiles),
            tile: Tile {
                begin,
                groups: layer_norm_groups(g, l),
                pass: layer_norm_pass(g, l),
                word_groups: u64::from(g.lanes / g.ln_channels),
                halves: g.ln_channels == 1,
                last: false,
            },
            held: 0,
        });
        self.refresh(ports, start);
    }

    /// Forecasts anew, knowing all instructions that start up to cycle `now`.
    pub fn refresh(&mut self, ports: &mut Ports, now: u64) {
        ports.roll_back_vector();
        self.forecast.clear();
        let mut progress = self.settled.clone();
        let mut certain = true;
        for norm in std::mem::take(&mut self.norms) {
            let (mut coming, mut kept) = (norm, norm);
            while coming.tiles > 0 {
                coming.tile.last = coming.tiles == 1;
                coming.held += progress.tile(&coming.tile, &self.headers, ports);
                coming.tile.begin = progress.handed_on();
                coming.tiles -= 1;
                certain &= progress.done() <= now;
                if certain {
                    self.settled = progress.clone();
                    ports.settle_vector();
                    kept = coming;
                }
            }
            self.norm_free = progress.handed_on() + 1;
            let times = Times {
                free: self.norm_free,
                retire: progress.done() + 1,
                held: coming.held,
            };
            if certain {
                self.complete.push_back(times);
            } else {
                self.forecast.push_back(times);
                self.norms.push_back(kept);
            }
        }
        let over = self.settled.handed_on();
        while self.headers.front().is_some_and(|at| *at <= over) {
            self.headers.pop_front();
        }
    }

    /// Times of the oldest LAYERNORM that has not been taken.
    pub fn front(&self) -> Option<Times> {
        self.complete
            .front()
            .or_else(|| self.forecast.front())
            .copied()
    }

    /// Takes the oldest LAYERNORM, which completes at `now`.
    pub fn take(&mut self, ports: &mut Ports, now: u64) {
        if self.complete.is_empty() {
            self.refresh(ports, now);
        }
        self.complete.pop_front();
    }
}
