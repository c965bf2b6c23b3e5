//! Residual add and layer norm.

use fqbert_contract::isa::{BEAT_BYTES, Layernorm, MemoryId, Operation};
use fqbert_contract::layout::pack_layer_norm;
use fqbert_contract::program::Region;
use fqbert_numerics::layernorm::{LayerNormParams, layernorm_row, quantize};
use fqbert_numerics::residual_add;

use super::{Composer, Dot, Target};
use crate::plain::Matrix;
use crate::sequence::BuildError;

impl Composer<'_> {
    /// Layer norm of a random residual stream plus a product of `x`; gives y16 and y8.
    pub fn norm(&mut self, x: &Matrix<i8>) -> Result<(Matrix<i16>, Matrix<i8>), BuildError> {
        let tiles = x.row_tiles(self.g);
        let widest = (self.g.max_hidden as usize / 8).min(8);
        let n = 8 * self.rng.within(1, widest);
        let stream = self.residuals(tiles, n)?;
        let branch_base = self.reserve(MemoryId::Resb, tiles * stream.stride)?;
        let shape = Dot {
            mode8: self.rng.flip(),
            uniform: self.rng.flip(),
            channels: n,
        };
        let target = Target::Resb {
            base: branch_base,
            stride: stream.stride,
        };
        let branch = self.product(x, shape, target)?;

        let params = self.norm_params(n)?;
        let par_base = self.load_norm_params(&params)?;
        let mut y8 = self.activations(tiles, n.next_multiple_of(self.g.lanes as usize))?;
        let in_place = self.rng.flip();
        let mut y16 = stream.clone();
        if !in_place {
            let words = (tiles - 1) * stream.stride + n / 2;
            y16.base = self.reserve(MemoryId::Resx, words)?;
        }
        self.push(Operation::Layernorm(Layernorm {
            x_base: stream.base as u16,
            b_base: branch_base as u16,
            y16_base: y16.base as u16,
            y8_base: y8.base as u16,
            stride: stream.stride as u16,
            y8_stride: y8.stride as u16,
            channels: n as u16,
            row_tiles: tiles as u8,
            par_base: par_base as u16,
        }));
        let sum: Vec<i16> = stream
            .values
            .iter()
            .zip(&branch)
            .map(|(a, b)| residual_add(*a, *b))
            .collect();
        let mut narrow = vec![0i8; sum.len()];
        for ((x, wide), narrow) in sum
            .chunks(n)
            .zip(y16.values.chunks_mut(n))
            .zip(narrow.chunks_mut(n))
        {
            layernorm_row(x, &params, wide, narrow);
        }
        y8.replace(0, &narrow);
        Ok((y16, y8))
    }

    fn norm_params(&mut self, n: usize) -> Result<LayerNormParams, BuildError> {
        let mut weights = |scale: f32, offset: f32| -> Vec<f32> {
            let code = |r: u64| (r >> 40) as f32 / (1 << 23) as f32 - 1.0;
            (0..n)
                .map(|_| offset + scale * code(self.rng.next()))
                .collect()
        };
        let (gamma, beta) = (weights(0.7, 0.8), weights(0.5, 0.0));
        let mut params = quantize(&gamma, &beta, 1e-12, n, 1e-3, 4e-4, 0.03)
            .map_err(|e| BuildError::Layout(e.to_string()))?;
        if self.rng.within(0, 3) == 0 {
            // Codes that no quantizer gives.
            params.gamma = self.rng.codes(n);
            params.beta.fill(self.rng.next() as i32);
        }
        Ok(params)
    }

    fn load_norm_params(&mut self, p: &LayerNormParams) -> Result<usize, BuildError> {
        let image = pack_layer_norm(p)?;
        let word = self.reserve(MemoryId::Lnp, image.len() / BEAT_BYTES)?;
        self.load(MemoryId::Lnp, word, Region::Constants, &image);
        Ok(word)
    }
}
