//! Both ends of the model around the integers that the accelerator takes and gives.

use crate::embeddings::Embeddings;
use crate::error::{HostError, InputError, Stage};
use crate::head::{Head, HeadOutput};
use crate::tokens::Tokens;

/// Embeddings and head of a model.
pub struct Host {
    embeddings: Embeddings,
    head: Head,
    scales_in: (f32, f32),
    scale_out: f32,
}

/// The accelerator's input for some tokens, `[tokens][hidden]`.
pub struct QuantizedInput {
    /// At the scale of the first layer's matrices.
    pub x8: Vec<i8>,
    /// At the scale of the residual stream.
    pub x16: Vec<i16>,
}

impl QuantizedInput {
    /// Quantizes values to 8 and 16 bits at the two scales.
    pub fn new(values: &[f32], (scale8, scale16): (f32, f32)) -> Self {
        let x8 = values.iter().map(|v| quantize(*v, scale8, 127.0) as i8);
        let x16 = values.iter().map(|v| quantize(*v, scale16, 32767.0) as i16);
        Self {
            x8: x8.collect(),
            x16: x16.collect(),
        }
    }
}

/// `fqbert_numerics::host`'s quantization to -`limit`..=`limit`, a whole number of at most 22 bits,
/// without a call per value: adding 1.5 * 2^23 leaves no place for fractions, so the addition
/// itself rounds half to even.
fn quantize(v: f32, scale: f32, limit: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    (v / scale).clamp(-limit, limit) + SHIFT - SHIFT
}

impl Host {
    /// `scales_in` are those of the encoder's 8-bit and 16-bit input, `scale_out` that of its
    /// 16-bit output.
    pub fn new(embeddings: Embeddings, head: Head, scales_in: (f32, f32), scale_out: f32) -> Self {
        Self {
            embeddings,
            head,
            scales_in,
            scale_out,
        }
    }

    /// Checks that a sequence is one of the model's: as long as its positions allow, and of ids in
    /// its tables.
    ///
    /// # Errors
    /// As [`Embeddings::embed`].
    pub fn check(&self, tokens: &Tokens) -> Result<(), InputError> {
        self.embeddings.check(&tokens.ids, &tokens.type_ids)
    }

    /// Channels of the residual stream.
    pub fn hidden(&self) -> usize {
        self.embeddings.hidden()
    }

    /// Token ids to the accelerator's input.
    ///
    /// # Errors
    /// As [`Embeddings::embed`], and values that are no numbers, which quantization would make
    /// zeros of.
    pub fn embed(&self, tokens: &Tokens) -> Result<QuantizedInput, HostError> {
        let values = self.embeddings.embed(&tokens.ids, &tokens.type_ids)?;
        Stage::Embeddings.check(&values)?;
        Ok(QuantizedInput::new(&values, self.scales_in))
    }

    /// Hidden states of one sequence, `[tokens][hidden]`, from the accelerator's 16-bit output.
    pub fn hidden_states(&self, y16: &[i16]) -> Vec<f32> {
        y16.iter().map(|v| f32::from(*v) * self.scale_out).collect()
    }

    /// Applies the head to the hidden states of one sequence, at least one token.
    ///
    /// # Errors
    /// As [`Head::apply`].
    pub fn head(&self, states: &[f32]) -> Result<HeadOutput, HostError> {
        self.head.apply(states, self.hidden())
    }
}

#[cfg(test)]
mod tests {
    use fqbert_numerics::host::{quantize_i8, quantize_i16};
    use proptest::prelude::*;

    use super::quantize;

    fn same(v: f32, scale: f32) {
        assert_eq!(
            quantize(v, scale, 127.0) as i8,
            quantize_i8(v, scale),
            "{v} / {scale}"
        );
        assert_eq!(
            quantize(v, scale, 32767.0) as i16,
            quantize_i16(v, scale),
            "{v} / {scale}"
        );
    }

    #[test]
    fn halves_and_ends_are_the_references() {
        for half in -70_000..70_000 {
            same(half as f32 / 2.0, 1.0);
        }
        for v in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-45] {
            for scale in [1.0, 0.0, f32::NAN, f32::MIN_POSITIVE, 1e30] {
                same(v, scale);
            }
        }
    }

    proptest! {
        #[test]
        fn any_value_is_the_references(
            v in any::<f32>(),
            w in -200.0f32..200.0,
            scale in 1e-6f32..4.0,
        ) {
            same(v, scale);
            same(w, scale);
        }
    }
}
