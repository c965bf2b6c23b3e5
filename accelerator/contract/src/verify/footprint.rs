//! Which words of which memories an instruction reads and writes.

use crate::geometry::Geometry;
use crate::isa::{BEAT_BYTES, Layernorm, Matmul, MemoryId, Operation, Softmax};
use crate::operands::matmul_operands;

/// `count` runs of `width` words, `stride` words apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The memory.
    pub memory: MemoryId,
    /// First word.
    pub base: u64,
    /// Words of a run.
    pub width: u64,
    /// Words from run to run.
    pub stride: u64,
    /// Number of runs.
    pub count: u64,
}

impl Area {
    /// The highest word, or `None` for an empty area.
    pub fn last(&self) -> Option<u64> {
        if self.width == 0 || self.count == 0 {
            return None;
        }
        Some(self.base + (self.count - 1) * self.stride + self.width - 1)
    }

    /// Whether two areas have a word in common.
    pub fn meets(&self, other: &Self) -> bool {
        let (Some(last), Some(other_last)) = (self.last(), other.last()) else {
            return false;
        };
        if self.memory != other.memory || last < other.base || other_last < self.base {
            return false;
        }
        let starts = |a: &Self| {
            let (base, stride) = (a.base, a.stride);
            (0..a.count).map(move |run| base + run * stride)
        };
        starts(self).any(|a| starts(other).any(|b| a < b + other.width && b < a + self.width))
    }

    /// All words, in order of run.
    pub fn words(&self) -> impl Iterator<Item = u64> + use<> {
        let Area {
            base,
            width,
            stride,
            count,
            ..
        } = *self;
        (0..count).flat_map(move |run| (0..width).map(move |w| base + run * stride + w))
    }
}

/// What an instruction touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Areas read.
    pub reads: Vec<Area>,
    /// Areas written.
    pub writes: Vec<Area>,
}

/// The footprint of an operation whose fields have been checked. Sums are of 16-bit fields in 64
/// bits, so nothing overflows even for unchecked ones.
pub fn footprint(g: &Geometry, operation: &Operation) -> Footprint {
    match operation {
        Operation::Nop(_) | Operation::End(_) => Footprint::default(),
        Operation::Load(l) => {
            let areas = transfer(g, l.memory, l.word_offset, l.beats);
            Footprint {
                reads: Vec::new(),
                writes: areas,
            }
        }
        Operation::Store(s) => {
            let areas = transfer(g, s.memory, s.word_offset, s.beats);
            Footprint {
                reads: areas,
                writes: Vec::new(),
            }
        }
        Operation::Matmul(m) => matmul(g, m),
        Operation::Softmax(s) => softmax(g, s),
        Operation::Layernorm(l) => layer_norm(g, l),
    }
}

fn transfer(g: &Geometry, memory: u8, word_offset: u16, beats: u32) -> Vec<Area> {
    let Some(memory) = MemoryId::from_code(memory) else {
        return Vec::new();
    };
    let word = u64::from(g.word_bytes(memory)).max(1);
    vec![run(
        memory,
        word_offset,
        u64::from(beats) * BEAT_BYTES as u64 / word,
    )]
}

fn run(memory: MemoryId, base: u16, width: u64) -> Area {
    Area {
        memory,
        base: u64::from(base),
        width,
        stride: 0,
        count: 1,
    }
}

fn area(memory: MemoryId, base: u64, width: u64, stride: u16, count: u8) -> Area {
    Area {
        memory,
        base,
        width,
        stride: u64::from(stride),
        count: u64::from(count),
    }
}

/// Words that `channels` consecutive channels from `first` touch in rows of `per_word` channels a
/// word, as (first word, words).
fn channel_words(first: u64, channels: u64, per_word: u64) -> (u64, u64) {
    let (start, end) = (first / per_word, (first + channels).div_ceil(per_word));
    (start, end - start)
}

fn matmul(g: &Geometry, m: &Matmul) -> Footprint {
    let lanes = u64::from(g.lanes).max(1);
    let k = u64::from(m.k_chunks);
    let channels = u64::from(m.channels);
    let (a_memory, b_memory) = matmul_operands(m);
    let records = if m.uniform { 1 } else { channels.div_ceil(2) };
    let mut reads = vec![
        area(a_memory, u64::from(m.a_base), k, m.a_stride, m.row_tiles),
        area(b_memory, u64::from(m.b_base), k, m.b_stride, m.col_tiles),
        run(MemoryId::Par, m.par_base, records),
    ];
    if m.gelu {
        reads.push(Area {
            memory: MemoryId::Gel,
            base: u64::from(m.table) * 16,
            width: 16,
            stride: 0,
            count: 1,
        });
    }
    let first = u64::from(m.dst_channel);
    let by_rows = |memory, per_word| {
        let (start, words) = channel_words(first, channels, per_word);
        vec![area(
            memory,
            u64::from(m.dst_base) + start,
            words,
            m.dst_stride,
            m.row_tiles,
        )]
    };
    let writes = match m.dest {
        0 => by_rows(MemoryId::Act, lanes),
        1 => by_rows(MemoryId::Resb, 2),
        2 => by_rows(MemoryId::Scr, 2),
        3 => keys(g, m, first, channels),
        _ => values(g, m),
    };
    Footprint { reads, writes }
}

/// Tokens of an instruction that writes keys or values: first and number.
fn tokens(g: &Geometry, m: &Matmul) -> (u64, u64) {
    let rows = u64::from(g.rows);
    (u64::from(m.row_tile0) * rows, u64::from(m.row_tiles) * rows)
}

fn keys(g: &Geometry, m: &Matmul, first: u64, channels: u64) -> Vec<Area> {
    let (token, count) = tokens(g, m);
    let (tile, tiles) = channel_words(token, count, u64::from(g.pairs).max(1));
    let (start, words) = channel_words(first, channels, u64::from(g.lanes).max(1));
    let stride = u64::from(m.dst_stride);
    vec![Area {
        memory: MemoryId::Opd,
        base: u64::from(m.dst_base) + tile * stride + start,
        width: words,
        stride,
        count: tiles,
    }]
}

/// For each channel of a MATMUL with destination values, its channel tile and its pair in it: the
/// running position as the drain walks it.
pub(super) fn value_slots(m: &Matmul, pairs: u64) -> impl Iterator<Item = (u64, u64)> + use<> {
    let head = u64::from(m.head_dim).max(1);
    let mut d = u64::from(m.dst_channel & 0xff);
    let (mut tile, mut slot) = (0, u64::from(m.dst_channel >> 8));
    (0..m.channels).map(move |_| {
        let here = (tile, slot);
        d += 1;
        slot += 1;
        if d >= head || slot >= pairs {
            slot = 0;
            tile += 1;
        }
        if d >= head {
            d = 0;
        }
        here
    })
}

fn values(g: &Geometry, m: &Matmul) -> Vec<Area> {
    let (token, count) = tokens(g, m);
    let (start, words) = channel_words(token, count, u64::from(g.lanes).max(1));
    let last = value_slots(m, u64::from(g.pairs).max(1)).last();
    vec![Area {
        memory: MemoryId::Opd,
        base: u64::from(m.dst_base) + start,
        width: words,
        stride: u64::from(m.dst_stride),
        count: last.map_or(1, |(tile, _)| tile + 1),
    }]
}

fn softmax(g: &Geometry, s: &Softmax) -> Footprint {
    let columns = u64::from(s.columns);
    let rows = u64::from(s.row_tiles) * u64::from(g.rows);
    let (range, ranges) = channel_words(u64::from(s.row0), rows, 4);
    Footprint {
        reads: vec![
            area(
                MemoryId::Scr,
                u64::from(s.src_base),
                columns / 2,
                s.src_stride,
                s.row_tiles,
            ),
            Area {
                memory: MemoryId::Rng,
                base: range,
                width: ranges,
                stride: 0,
                count: 1,
            },
            Area {
                memory: MemoryId::Exp,
                base: u64::from(s.table) * 32,
                width: 32,
                stride: 0,
                count: 1,
            },
        ],
        writes: vec![area(
            MemoryId::Prb,
            u64::from(s.dst_base),
            columns / u64::from(g.lanes).max(1),
            s.dst_stride,
            s.row_tiles,
        )],
    }
}

fn layer_norm(g: &Geometry, l: &Layernorm) -> Footprint {
    let n = u64::from(l.channels);
    let residual = |memory, base: u16| area(memory, u64::from(base), n / 2, l.stride, l.row_tiles);
    Footprint {
        reads: vec![
            residual(MemoryId::Resx, l.x_base),
            residual(MemoryId::Resb, l.b_base),
            run(MemoryId::Lnp, l.par_base, 2 + n / 2),
        ],
        writes: vec![
            residual(MemoryId::Resx, l.y16_base),
            area(
                MemoryId::Act,
                u64::from(l.y8_base),
                n / u64::from(g.lanes).max(1),
                l.y8_stride,
                l.row_tiles,
            ),
        ],
    }
}

/// Whether the result of an instruction depends on how the accelerator goes about it.
///
/// A MATMUL reads its activations and operands again for each column tile while the results of
/// those before are written. A LAYERNORM reads x of the next row tile while it writes y16 of this;
/// y16 over x of its own row tile or an earlier one is right. The others read and write different
/// memories. And what one row tile, key tile or channel tile writes, no other may write too.
pub(super) fn overlaps_itself(g: &Geometry, operation: &Operation) -> bool {
    let Footprint { reads, writes } = footprint(g, operation);
    let twice = writes.iter().any(|w| w.count > 1 && w.stride < w.width);
    let late = match operation {
        Operation::Layernorm(l) => {
            let words = u64::from(l.channels / 2);
            (1..u64::from(l.row_tiles)).any(|tile| {
                let x = u64::from(l.x_base) + tile * u64::from(l.stride);
                x.abs_diff(u64::from(l.y16_base)) < words
            })
        }
        Operation::Matmul(_) => {
            let mut pairs = reads
                .iter()
                .flat_map(|r| writes.iter().map(move |w| (r, w)));
            pairs.any(|(r, w)| r.meets(w))
        }
        _ => false,
    };
    twice || late
}
