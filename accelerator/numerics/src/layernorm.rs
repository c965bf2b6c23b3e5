//! Layer norm in integers (`docs/numerics.md`, section 7).

mod quantize;
mod row;
mod rsqrt;

pub use quantize::{LayerNormError, mean_reciprocal, quantize};
pub use row::{LayerNormParams, N_MAX, RowStatistics, layernorm_row};
pub use rsqrt::{RSQRT_BASE, RSQRT_SLOPE, rsqrt};

#[cfg(test)]
mod tests;
