//! FloatLinear layers and layer norms in f32.

use fqbert_host::{InputError, layer_norm};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

/// Output channels that one task computes. Fixed, not derived from the number of threads, and
/// every sum is taken in the same order whatever the split: results do not depend on threads.
const CHANNELS_PER_TASK: usize = 384;
/// Multiplications below which a split costs more than it gains.
const SPLIT_FROM: usize = 4 << 20;

/// `y = x * weight^T + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatLinear {
    weight: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
}

impl FloatLinear {
    /// From row-major `weight` `[outputs][inputs]` and `bias` `[outputs]`; the number of outputs is
    /// the bias's length.
    ///
    /// # Errors
    /// [`InputError::Length`] if the weight's length is not the product.
    pub fn new(weight: Vec<f32>, bias: Vec<f32>, inputs: usize) -> Result<Self, InputError> {
        InputError::check(
            "linear weight",
            bias.len().saturating_mul(inputs),
            weight.len(),
        )?;
        Ok(FloatLinear {
            weight,
            bias,
            inputs,
        })
    }

    /// Row-major `[outputs][inputs]`.
    pub fn weight(&self) -> &[f32] {
        &self.weight
    }

    /// `[outputs]`.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// Width of the input.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Width of the output.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Applies the layer to row-major `x` `[rows][inputs]`; the result is `[rows][outputs]`.
    ///
    /// # Errors
    /// [`InputError::Length`] if `x` is not whole rows.
    pub fn apply(&self, x: &[f32]) -> Result<Vec<f32>, InputError> {
        let rows = x.len().checked_div(self.inputs).unwrap_or(0);
        InputError::check("input of a linear layer", rows * self.inputs, x.len())?;
        let outputs = self.outputs();
        let mut y = Vec::with_capacity(rows * outputs);
        for _ in 0..rows {
            y.extend_from_slice(&self.bias);
        }
        let x = matrix(x, rows, self.inputs)?;
        let weight = matrix(&self.weight, outputs, self.inputs)?;
        let mut out = matrix_mut(&mut y, rows, outputs)?;
        if rows * self.weight.len() < SPLIT_FROM {
            general_mat_mul(1.0, &x, &weight.t(), 1.0, &mut out);
        } else {
            let parts: Vec<_> = out
                .axis_chunks_iter_mut(Axis(1), CHANNELS_PER_TASK)
                .zip(weight.axis_chunks_iter(Axis(0), CHANNELS_PER_TASK))
                .collect();
            parts
                .into_par_iter()
                .for_each(|(mut out, weight)| general_mat_mul(1.0, &x, &weight.t(), 1.0, &mut out));
        }
        Ok(y)
    }
}

/// A view of row-major values.
pub(crate) fn matrix(
    values: &[f32],
    rows: usize,
    cols: usize,
) -> Result<ArrayView2<'_, f32>, InputError> {
    let found = values.len();
    ArrayView2::from_shape((rows, cols), values).map_err(|_| InputError::Length {
        what: "matrix",
        expected: rows * cols,
        found,
    })
}

/// A mutable view of row-major values.
pub(crate) fn matrix_mut(
    values: &mut [f32],
    rows: usize,
    cols: usize,
) -> Result<ArrayViewMut2<'_, f32>, InputError> {
    let found = values.len();
    ArrayViewMut2::from_shape((rows, cols), values).map_err(|_| InputError::Length {
        what: "matrix",
        expected: rows * cols,
        found,
    })
}

/// `y = (x - mean) / sqrt(variance + eps) * gamma + beta`, over each row.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
    eps: f32,
}

impl LayerNorm {
    /// From the scale and offset of each channel.
    ///
    /// # Errors
    /// [`InputError::Length`] if the two differ in length.
    pub fn new(gamma: Vec<f32>, beta: Vec<f32>, eps: f32) -> Result<Self, InputError> {
        InputError::check("layer norm offset", gamma.len(), beta.len())?;
        Ok(LayerNorm { gamma, beta, eps })
    }

    /// Scale of each channel.
    pub fn gamma(&self) -> &[f32] {
        &self.gamma
    }

    /// Offset of each channel.
    pub fn beta(&self) -> &[f32] {
        &self.beta
    }

    /// Added to the variance.
    pub fn eps(&self) -> f32 {
        self.eps
    }

    /// Normalises each row of `x` `[rows][channels]` in place. A last, incomplete row is left.
    pub fn apply(&self, x: &mut [f32]) {
        layer_norm(x, &self.gamma, &self.beta, self.eps);
    }
}
