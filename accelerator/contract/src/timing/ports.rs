//! When engines take the ports of the on-chip memories that another unit wants as well.
//!
//! A port is taken in whole patterns, since an engine's accesses follow from the cycle in which its
//! instruction starts. A unit that yields asks for the next free cycle. Who yields to whom is
//! `fqbert_memories.sv`: LOAD to VECTOR and MATRIX, VECTOR to MATRIX, STORE to both.

use std::collections::VecDeque;

use crate::isa::MemoryId;

/// `count` bursts of `width` cycles, from one to the next `period` cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// First cycle.
    pub first: u64,
    /// Cycles of a burst, at least 1.
    pub width: u64,
    /// From a burst's first cycle to the next one's, at least `width`.
    pub period: u64,
    /// Bursts, at least 1.
    pub count: u64,
}

impl Pattern {
    /// The cycle after the last.
    pub fn end(&self) -> u64 {
        self.first + (self.count - 1) * self.period + self.width
    }

    /// Whether cycle `t` is one of them.
    pub fn takes(&self, t: u64) -> bool {
        t >= self.first && t < self.end() && (t - self.first) % self.period < self.width
    }

    /// The first free cycle from `t` on, which is before the end, and the next taken one after it.
    fn window(&self, t: u64) -> Window {
        if t < self.first {
            return Window {
                from: t,
                until: self.first,
            };
        }
        if self.width == self.period {
            return Window {
                from: self.end(),
                until: u64::MAX,
            };
        }
        let burst = (t - self.first) / self.period;
        let begin = self.first + burst * self.period;
        let next = begin + self.period;
        Window {
            from: t.max(begin + self.width),
            until: if next < self.end() { next } else { u64::MAX },
        }
    }
}

/// Free cycles: `from` is one, and `until` the first later one that is not (or the greatest
/// number).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First free cycle.
    pub from: u64,
    /// First cycle after it that is taken.
    pub until: u64,
}

/// The cycles in which one engine takes one port, in order of time. The newest may be tentative:
/// they may yet move.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    patterns: VecDeque<Pattern>,
    settled: usize,
}

impl Calendar {
    /// Adds cycles after all others; nothing if there are none.
    pub(super) fn push(&mut self, first: u64, width: u64, period: u64, count: u64) {
        if width > 0 && count > 0 {
            self.patterns.push_back(Pattern {
                first,
                width,
                period: if count == 1 { width } else { period },
                count,
            });
        }
    }

    /// Adds cycle `t` after all others.
    pub fn push_cycle(&mut self, t: u64) {
        if self.patterns.len() > self.settled
            && let Some(last) = self.patterns.back_mut()
            && last.width == 1
        {
            if last.count == 1 {
                last.period = t - last.first;
            }
            if t == last.first + last.count * last.period {
                last.count += 1;
                return;
            }
        }
        self.push(t, 1, 1, 1);
    }

    /// Everything pushed so far stays as it is.
    pub fn settle(&mut self) {
        self.settled = self.patterns.len();
    }

    /// Drops what is not settled.
    pub(super) fn roll_back(&mut self) {
        self.patterns.truncate(self.settled);
    }

    /// Drops what is over before cycle `t`, which nobody asks for any more.
    pub(super) fn forget(&mut self, t: u64) {
        while self.settled > 0 && self.patterns.front().is_some_and(|p| p.end() <= t) {
            self.patterns.pop_front();
            self.settled -= 1;
        }
    }

    /// Whether the port is taken in cycle `t`.
    pub fn takes(&self, t: u64) -> bool {
        let at = self.patterns.partition_point(|p| p.end() <= t);
        self.patterns.get(at).is_some_and(|p| p.takes(t))
    }

    /// Free cycles from `t` on.
    pub(super) fn window(&self, t: u64) -> Window {
        let mut window = Window {
            from: t,
            until: u64::MAX,
        };
        let mut at = self.patterns.partition_point(|p| p.end() <= t);
        while let Some(pattern) = self.patterns.get(at) {
            if window.from < pattern.end() {
                window = pattern.window(window.from);
                if window.until != u64::MAX {
                    return window;
                }
            }
            at += 1;
            // Free from here on as far as this pattern goes; the next one may say otherwise.
            if let Some(next) = self.patterns.get(at)
                && window.from < next.first
            {
                window.until = next.first;
                return window;
            }
        }
        window
    }
}

/// The ports that more than one unit wants.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    /// MATRIX writes ACT.
    pub matrix_act_write: Calendar,
    /// MATRIX reads ACT.
    pub matrix_act_read: Calendar,
    /// VECTOR writes ACT, when MATRIX lets it.
    pub vector_act_write: Calendar,
    /// VECTOR reads RESX.
    pub vector_resx_read: Calendar,
    /// VECTOR writes RESX.
    pub vector_resx_write: Calendar,
}

impl Ports {
    /// Cycles in which LOAD may write `memory`, from `t` on.
    pub(super) fn load(&self, memory: MemoryId, t: u64) -> Window {
        match memory {
            MemoryId::Act => {
                let mut from = t;
                loop {
                    let matrix = self.matrix_act_write.window(from);
                    let vector = self.vector_act_write.window(matrix.from);
                    if vector.from < matrix.until {
                        return Window {
                            from: vector.from,
                            until: vector.until.min(matrix.until),
                        };
                    }
                    from = vector.from;
                }
            }
            MemoryId::Resx => self.vector_resx_write.window(t),
            _ => free(t),
        }
    }

    /// Cycles in which STORE may read `memory`, from `t` on.
    pub(super) fn store(&self, memory: MemoryId, t: u64) -> Window {
        match memory {
            MemoryId::Act => self.matrix_act_read.window(t),
            MemoryId::Resx => self.vector_resx_read.window(t),
            _ => free(t),
        }
    }

    fn vector(&mut self) -> [&mut Calendar; 3] {
        [
            &mut self.vector_act_write,
            &mut self.vector_resx_read,
            &mut self.vector_resx_write,
        ]
    }

    pub(super) fn roll_back_vector(&mut self) {
        self.vector().into_iter().for_each(Calendar::roll_back);
    }

    pub(super) fn settle_vector(&mut self) {
        self.vector().into_iter().for_each(Calendar::settle);
    }

    /// Drops what is over before cycle `t`, which nobody asks for any more.
    pub(super) fn forget(&mut self, t: u64) {
        for calendar in [
            &mut self.matrix_act_write,
            &mut self.matrix_act_read,
            &mut self.vector_act_write,
            &mut self.vector_resx_read,
            &mut self.vector_resx_write,
        ] {
            calendar.forget(t);
        }
    }
}

/// Whether another unit may take the port that LOAD writes `memory` through.
pub(super) fn contended(memory: MemoryId) -> bool {
    matches!(memory, MemoryId::Act | MemoryId::Resx)
}

/// A port that nobody else takes.
fn free(t: u64) -> Window {
    Window {
        from: t,
        until: u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_those_of_the_cycles_one_by_one() {
        let mut calendar = Calendar::default();
        for (first, width, period, count) in [
            (3, 1, 2, 4),
            (10, 4, 4, 3),
            (22, 2, 5, 3),
            (34, 1, 1, 1),
            (35, 3, 9, 2),
        ] {
            calendar.push(first, width, period, count);
        }
        for t in 0..60 {
            let from = (t..).find(|c| !calendar.takes(*c)).unwrap();
            let until = (from..100).find(|c| calendar.takes(*c)).unwrap_or(u64::MAX);
            assert_eq!(calendar.window(t), Window { from, until }, "{t}");
        }
    }
}
