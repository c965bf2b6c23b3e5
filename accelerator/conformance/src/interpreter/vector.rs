//! SOFTMAX and LAYERNORM.

use fqbert_contract::isa::{Layernorm, MemoryId, Softmax};
use fqbert_contract::layout::unpack_layer_norm;
use fqbert_numerics::layernorm::{LayerNormParams, layernorm_row};
use fqbert_numerics::residual_add;
use fqbert_numerics::softmax::softmax_row;

use super::Memories;

impl Memories {
    pub(super) fn softmax(&mut self, s: &Softmax) {
        let (rows, lanes) = (self.g.rows as usize, self.g.lanes as usize);
        let columns = usize::from(s.columns);
        let entries = &self.all(MemoryId::Exp)[usize::from(s.table) * 512..][..512];
        let table: [u16; 256] =
            std::array::from_fn(|i| u16::from_le_bytes([entries[2 * i], entries[2 * i + 1]]));
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

    pub(super) fn layer_norm(&mut self, l: &Layernorm) {
        let (rows, lanes) = (self.g.rows as usize, self.g.lanes as usize);
        let n = usize::from(l.channels);
        let params = self.layer_norm_params(l);
        let (mut y16, mut y8) = (vec![0; n], vec![0; n]);
        for tile in 0..usize::from(l.row_tiles) {
            let along = |base: u16, stride: u16| usize::from(base) + tile * usize::from(stride);
            for row in 0..rows {
                let byte = |c: usize| 4 * row + 2 * (c % 2);
                let value = |memory, base: u16, c: usize| {
                    let word = self.word(memory, along(base, l.stride) + c / 2);
                    i16::from_le_bytes([word[byte(c)], word[byte(c) + 1]])
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
                    word[byte(c)..][..2].copy_from_slice(&y16[c].to_le_bytes());
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
