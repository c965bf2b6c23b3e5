//! On-chip memories as plain bytes, and what the instructions of the vector engine do to them by
//! the scalar reference.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{Layernorm, MemoryId, Operation, Softmax};
use fqbert_contract::layout::unpack_layer_norm;
use fqbert_numerics::layernorm::{LayerNormParams, layernorm_row};
use fqbert_numerics::residual_add;
use fqbert_numerics::softmax::softmax_row;

use fqbert_random::Random;

/// Every memory, by its id.
#[derive(Clone, PartialEq, Eq)]
pub struct Memories {
    g: Geometry,
    bytes: Vec<(MemoryId, usize, Vec<u8>)>,
}

impl Memories {
    /// Filled at random.
    pub fn random(g: &Geometry, random: &mut Random) -> Self {
        let bytes = MemoryId::ALL
            .iter()
            .map(|&memory| {
                let word = g.word_bytes(memory) as usize;
                (memory, word, random.bytes(g.depth(memory) as usize * word))
            })
            .collect();
        Self {
            g: g.clone(),
            bytes,
        }
    }

    /// All bytes of a memory.
    pub fn all(&self, memory: MemoryId) -> &[u8] {
        &self.bytes.iter().find(|m| m.0 == memory).unwrap().2
    }

    /// All bytes of a memory.
    pub fn all_mut(&mut self, memory: MemoryId) -> &mut [u8] {
        &mut self.bytes.iter_mut().find(|m| m.0 == memory).unwrap().2
    }

    /// A word.
    pub fn word(&self, memory: MemoryId, address: usize) -> &[u8] {
        let word = self.g.word_bytes(memory) as usize;
        &self.all(memory)[address * word..][..word]
    }

    /// A word, to write.
    pub fn word_mut(&mut self, memory: MemoryId, address: usize) -> &mut [u8] {
        let word = self.g.word_bytes(memory) as usize;
        &mut self.all_mut(memory)[address * word..][..word]
    }

    /// The first differing byte, for messages.
    pub fn difference(&self, other: &Self) -> Option<String> {
        for ((memory, word, a), (_, _, b)) in self.bytes.iter().zip(&other.bytes) {
            if let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) {
                let (address, byte) = (at / word, at % word);
                return Some(format!(
                    "{} word {address} byte {byte}: RTL {}, reference {}",
                    memory.name(),
                    a[at] as i8,
                    b[at] as i8
                ));
            }
        }
        None
    }

    /// Executes an instruction of the vector engine.
    pub fn execute(&mut self, operation: &Operation) {
        match operation {
            Operation::Softmax(s) => self.softmax(s),
            Operation::Layernorm(l) => self.layer_norm(l),
            other => panic!("not of the vector engine: {other:?}"),
        }
    }

    fn softmax(&mut self, s: &Softmax) {
        let (rows, lanes) = (self.g.rows as usize, self.g.lanes as usize);
        let columns = usize::from(s.columns);
        let entries = &self.all(MemoryId::Exp)[usize::from(s.table) * 512..][..512];
        let table: [u16; 256] =
            core::array::from_fn(|i| u16::from_le_bytes([entries[2 * i], entries[2 * i + 1]]));
        for tile in 0..usize::from(s.row_tiles) {
            let source = usize::from(s.src_base) + tile * usize::from(s.src_stride);
            let target = usize::from(s.dst_base) + tile * usize::from(s.dst_stride);
            for row in 0..rows {
                let x: Vec<i8> = (0..columns)
                    .map(|c| self.word(MemoryId::Scr, source + c / 2)[row * 2 + c % 2] as i8)
                    .collect();
                let at = 4 * (usize::from(s.row0) + tile * rows + row);
                let range = &self.all(MemoryId::Rng)[at..at + 4];
                let bound = |i| usize::from(u16::from_le_bytes([range[i], range[i + 1]]));
                let mut p = vec![0; columns];
                softmax_row(&x, bound(0)..bound(2), &table, &mut p);
                for (c, p) in p.into_iter().enumerate() {
                    self.word_mut(MemoryId::Prb, target + c / lanes)[row * lanes + c % lanes] = p;
                }
            }
        }
    }

    fn layer_norm(&mut self, l: &Layernorm) {
        let (rows, lanes) = (self.g.rows as usize, self.g.lanes as usize);
        let n = usize::from(l.channels);
        let params = self.layer_norm_params(l);
        let (mut y16, mut y8) = (vec![0; n], vec![0; n]);
        for tile in 0..usize::from(l.row_tiles) {
            let along = |base: u16, stride: u16| usize::from(base) + tile * usize::from(stride);
            for row in 0..rows {
                let value = |memory, base: u16, c: usize| {
                    let word = self.word(memory, along(base, l.stride) + c / 2);
                    let at = 4 * row + 2 * (c % 2);
                    i16::from_le_bytes([word[at], word[at + 1]])
                };
                let x: Vec<i16> = (0..n)
                    .map(|c| {
                        residual_add(
                            value(MemoryId::Resx, l.x_base, c),
                            value(MemoryId::Resb, l.b_base, c),
                        )
                    })
                    .collect();
                layernorm_row(&x, &params, &mut y16, &mut y8);
                for c in 0..n {
                    let word = self.word_mut(MemoryId::Resx, along(l.y16_base, l.stride) + c / 2);
                    word[4 * row + 2 * (c % 2)..][..2].copy_from_slice(&y16[c].to_le_bytes());
                    let word =
                        self.word_mut(MemoryId::Act, along(l.y8_base, l.y8_stride) + c / lanes);
                    word[row * lanes + c % lanes] = y8[c] as u8;
                }
            }
        }
    }

    fn layer_norm_params(&self, l: &Layernorm) -> LayerNormParams {
        let bytes = &self.all(MemoryId::Lnp)[16 * usize::from(l.par_base)..];
        unpack_layer_norm(bytes, usize::from(l.channels))
    }
}
