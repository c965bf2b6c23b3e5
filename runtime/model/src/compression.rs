//! How much smaller the encoder's weights are.

use fqbert_contract::geometry::Mode;

use crate::model::{Linear, QuantizedModel};
use crate::provenance::ScaleScheme;

/// Bytes of the encoder's parameters before and after quantization.
///
/// [`Compression::paper_ratio`] counts as the paper does (Table I, "weights", 7.94x for BERT-base):
/// every encoder parameter (weights, biases and layer-norm parameters; no embeddings, no head) at 4
/// bytes, over 4-bit or 8-bit weights, 32-bit biases, 8-bit layer-norm parameters and the scale
/// factors. For BERT-base, 85,054,464 parameters: 340,217,856 / (42,467,328 + 331,776 + 36,864 +
/// 216) = 7.94. [`Compression::stored_ratio`] counts what this model really keeps, tables and
/// 32-bit layer-norm bias included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// All encoder parameters in f32.
    pub float_bytes: u64,
    /// Weight codes.
    pub weight_bytes: u64,
    /// Biases, 32 bits each.
    pub bias_bytes: u64,
    /// Layer-norm weight and bias at 8 bits each.
    pub norm_bytes: u64,
    /// Scale factors: for the paper's scheme 3 bytes a matrix (the scales of its input, weight and
    /// output), else multiplier and shift (3 bytes) of each output channel.
    pub scale_bytes: u64,
    /// What the paper does not count: the 24 further bits of layer-norm biases, layer-norm
    /// constants, attention scales, tables.
    pub other_bytes: u64,
}

impl Compression {
    /// As the paper counts.
    pub fn paper_ratio(&self) -> f64 {
        let bytes = self.weight_bytes + self.bias_bytes + self.norm_bytes + self.scale_bytes;
        self.float_bytes as f64 / bytes as f64
    }

    /// With everything the encoder needs at run time.
    pub fn stored_ratio(&self) -> f64 {
        let bytes = self.weight_bytes + self.bias_bytes + self.norm_bytes + self.scale_bytes;
        self.float_bytes as f64 / (bytes + self.other_bytes) as f64
    }
}

impl QuantizedModel {
    /// Sizes of the encoder before and after.
    pub fn weight_compression(&self) -> Compression {
        let mut c = Compression {
            float_bytes: 0,
            weight_bytes: 0,
            bias_bytes: 0,
            norm_bytes: 0,
            scale_bytes: 0,
            other_bytes: 0,
        };
        for layer in &self.layers {
            for which in Linear::ALL {
                let linear = layer.linear(which);
                let (n, k) = (
                    linear.weights.outputs() as u64,
                    linear.weights.inputs() as u64,
                );
                c.float_bytes += 4 * (n * k + n);
                c.weight_bytes += match linear.mode() {
                    Mode::W4 => n * k / 2,
                    Mode::W8 => n * k,
                };
                c.bias_bytes += 4 * n;
                c.scale_bytes += match self.quantization.scheme {
                    ScaleScheme::Paper => 3,
                    ScaleScheme::W4a8 => 3 * n,
                };
            }
            for norm in [&layer.ln_attn, &layer.ln_out] {
                let n = norm.gamma.len() as u64;
                c.float_bytes += 4 * 2 * n;
                c.norm_bytes += 2 * n;
                c.other_bytes += 3 * n + 32;
            }
            // Exponential and GELU tables, scales of scores and context.
            c.other_bytes += 512 + 256 + 2 * 3;
        }
        c
    }
}
