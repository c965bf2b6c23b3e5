//! Matrix products with weights from a slot, to every destination.

use fqbert_contract::geometry::Mode;
use fqbert_contract::isa::{Matmul, MemoryId, Operation};
use fqbert_contract::layout::{pack_gelu_table, pack_weight_tile};
use fqbert_contract::program::Region;
use fqbert_numerics::packed::unpack_pair;
use fqbert_numerics::{dot, gelu};

use super::Composer;
use crate::placed::PlacedMatrix;
use crate::sequence::BuildError;

/// Where a product goes. The caller has reserved the words.
#[derive(Clone, Copy, Debug)]
pub enum Destination {
    /// ACT, from this channel of the matrix at this place on, through a GELU table or not.
    Act {
        base: usize,
        stride: usize,
        first: usize,
        gelu: bool,
    },
    /// RESB.
    Resb { base: usize, stride: usize },
    /// OPD as keys.
    Keys { base: usize, stride: usize },
    /// OPD as values.
    Values {
        base: usize,
        stride: usize,
        head_dim: usize,
    },
}

/// Shape of a product.
#[derive(Clone, Copy, Debug)]
pub struct DotProduct {
    /// 8-bit weights.
    pub mode8: bool,
    /// One record for all channels.
    pub uniform: bool,
    /// Output channels, even.
    pub channels: usize,
}

/// Some channels of a product, all in one MATMUL.
struct Piece {
    first: usize,
    count: usize,
    b_slot: u8,
    b_base: usize,
    b_stride: usize,
    col_tiles: usize,
    par_base: usize,
    table: u8,
}

impl Composer<'_> {
    /// Emits the product of `x` with random weights to `target`, in as many MATMULs as the weight
    /// slots and chance make of it, and gives its result `[tokens][channels]`: i8 but for RESB.
    pub fn product(
        &mut self,
        x: &PlacedMatrix<i8>,
        shape: DotProduct,
        target: Destination,
    ) -> Result<Vec<i16>, BuildError> {
        let k = x.channels;
        let mode = if shape.mode8 { Mode::W8 } else { Mode::W4 };
        let tile = self.g.tile_channels(mode) as usize;
        let chunks = k / self.g.lanes as usize;
        let wide = matches!(target, Destination::Resb { .. });
        let mut result = vec![0i16; x.tokens * shape.channels];
        let mut first = 0;
        while first < shape.channels {
            let fitting = (self.g.wgt_words as usize / chunks).clamp(1, 3);
            let tiles = self.rng.within(1, fitting);
            let count = (tiles * tile).min(shape.channels - first);
            let codes = if shape.mode8 {
                self.rng.codes(count * k)
            } else {
                self.rng.nibbles(count * k)
            };
            let (b_slot, b_base, b_stride) = self.load_weights(mode, &codes, count, k)?;
            let weights = if shape.mode8 {
                codes
            } else {
                as_stored(&codes, k)
            };
            let rms = (k as f64).sqrt() * 73.0 * if shape.mode8 { 73.0 } else { 4.5 };
            let records = if shape.uniform { 1 } else { count };
            let target_size = if wide { 9000.0 } else { 50.0 };
            let params = (0..records)
                .map(|_| self.record(rms, target_size))
                .collect::<Result<Vec<_>, _>>()?;
            let par_base = self.params(&params)?;
            let mut y: Vec<i16> = if wide {
                dot::linear_i16(&x.values, x.tokens, k, &weights, count, &params)
            } else {
                let y = dot::linear(&x.values, x.tokens, k, &weights, count, &params);
                y.into_iter().map(i16::from).collect()
            };
            let mut table = 0;
            if let Destination::Act { gelu: true, .. } = target {
                let codes;
                (table, codes) = self.load_gelu_table();
                for v in &mut y {
                    *v = gelu::lookup(&codes, *v as i8).into();
                }
            }
            let col_tiles = count.div_ceil(tile);
            let piece = Piece {
                first,
                count,
                b_slot,
                b_base,
                b_stride,
                col_tiles,
                par_base,
                table,
            };
            self.emit(x, shape, target, &piece);
            for (row, new) in result.chunks_mut(shape.channels).zip(y.chunks(count)) {
                row[first..first + count].copy_from_slice(new);
            }
            first += count;
        }
        Ok(result)
    }

    /// One MATMUL, or two that share the row tiles.
    fn emit(
        &mut self,
        x: &PlacedMatrix<i8>,
        shape: DotProduct,
        target: Destination,
        piece: &Piece,
    ) {
        let tiles = x.row_tiles(self.g);
        let cut = if tiles > 1 && self.rng.flip() {
            self.rng.within(1, tiles - 1)
        } else {
            tiles
        };
        for (from, to) in [(0, cut), (cut, tiles)] {
            if from == to {
                continue;
            }
            let mut m = Matmul {
                mode8: shape.mode8,
                uniform: shape.uniform,
                b_slot: piece.b_slot,
                a_base: (x.base + from * x.stride) as u16,
                a_stride: x.stride as u16,
                b_base: piece.b_base as u16,
                b_stride: piece.b_stride as u16,
                k_chunks: (x.channels / self.g.lanes as usize) as u16,
                row_tiles: (to - from) as u8,
                col_tiles: piece.col_tiles as u8,
                channels: piece.count as u16,
                par_base: piece.par_base as u16,
                ..Matmul::default()
            };
            let pairs = self.g.pairs as usize;
            let (dest, base, stride, channel) = match target {
                Destination::Act {
                    base,
                    stride,
                    first,
                    gelu,
                } => {
                    (m.gelu, m.table) = (gelu, piece.table);
                    (
                        Matmul::DEST_ACT,
                        base + from * stride,
                        stride,
                        first + piece.first,
                    )
                }
                Destination::Resb { base, stride } => {
                    (Matmul::DEST_RESB, base + from * stride, stride, piece.first)
                }
                Destination::Keys { base, stride } => {
                    m.row_tile0 = from as u8;
                    (Matmul::DEST_KEYS, base, stride, piece.first)
                }
                Destination::Values {
                    base,
                    stride,
                    head_dim,
                } => {
                    m.row_tile0 = from as u8;
                    m.head_dim = head_dim as u8;
                    let (head, d) = (piece.first / head_dim, piece.first % head_dim);
                    let tile = head * head_dim.div_ceil(pairs) + d / pairs;
                    let start = d | (d % pairs) << 8;
                    (Matmul::DEST_VALUES, base + tile * stride, stride, start)
                }
            };
            m.dest = dest;
            m.dst_base = base as u16;
            m.dst_stride = stride as u16;
            m.dst_channel = channel as u16;
            self.push(Operation::Matmul(m));
        }
    }

    /// Loads the weights to a random slot; gives slot, first word and stride.
    fn load_weights(
        &mut self,
        mode: Mode,
        weights: &[i8],
        count: usize,
        k: usize,
    ) -> Result<(u8, usize, usize), BuildError> {
        let slot = self.rng.within(0, 3);
        let memory = [
            MemoryId::Wgt0,
            MemoryId::Wgt1,
            MemoryId::Wgt2,
            MemoryId::Wgt3,
        ][slot];
        let tile = self.g.tile_channels(mode) as usize;
        let chunks = k / self.g.lanes as usize;
        let tiles = count.div_ceil(tile);
        let room = self.g.wgt_words as usize - tiles * chunks;
        let gap = if tiles > 1 {
            self.rng.within(0, (room / (tiles - 1)).min(2))
        } else {
            0
        };
        let stride = chunks + gap;
        let base = self.reserve(memory, (tiles - 1) * stride + chunks)?;
        for (i, codes) in weights.chunks(tile * k).enumerate() {
            let image = pack_weight_tile(self.g, mode, codes, codes.len() / k, k)?;
            self.load(memory, base + i * stride, Region::Constants, &image);
        }
        Ok((slot as u8, base, stride))
    }

    /// Loads a random GELU table; gives its number and entries.
    fn load_gelu_table(&mut self) -> (u8, [i8; 256]) {
        let table = self.rng.within(0, 1);
        let bytes = self.rng.bytes(256);
        let codes = std::array::from_fn(|i| bytes[i] as i8);
        let image = pack_gelu_table(&codes);
        self.load(MemoryId::Gel, table * 16, Region::Constants, &image);
        (table as u8, codes)
    }

    /// A product to part of an ACT matrix whose other channels stay; `k` terms, random shape.
    pub fn linear(
        &mut self,
        x: &PlacedMatrix<i8>,
        mode8: bool,
        gelu: bool,
    ) -> Result<PlacedMatrix<i8>, BuildError> {
        let lanes = self.g.lanes as usize;
        let tile = self
            .g
            .tile_channels(if mode8 { Mode::W8 } else { Mode::W4 }) as usize;
        let channels = self.rng.even(2, 2 * tile + 2);
        let first = self.rng.even(0, lanes);
        let width = (first + channels).next_multiple_of(lanes) + self.rng.within(0, 1) * lanes;
        let mut y = self.activations(x.row_tiles(self.g), width)?;
        let shape = DotProduct {
            mode8,
            uniform: self.rng.within(0, 3) == 0,
            channels,
        };
        let target = Destination::Act {
            base: y.base,
            stride: y.stride,
            first,
            gelu,
        };
        let block = self.product(x, shape, target)?;
        let block: Vec<i8> = block.into_iter().map(|v| v as i8).collect();
        y.replace(first, &block);
        Ok(y)
    }
}

/// What the accelerator makes of 4-bit codes `[channels][k]` once two channels share a byte.
fn as_stored(codes: &[i8], k: usize) -> Vec<i8> {
    let mut seen = codes.to_vec();
    for pair in seen.chunks_exact_mut(2 * k) {
        let (even, odd) = pair.split_at_mut(k);
        for (even, odd) in even.iter_mut().zip(odd) {
            (*even, *odd) = unpack_pair((*even as u8 & 15) | (*odd as u8) << 4);
        }
    }
    seen
}
