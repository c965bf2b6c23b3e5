//! Layer norm in integers (`docs/numerics.md`, section 7).

mod quantize;
mod row;
mod rsqrt;

pub use quantize::{LayerNormError, mean_reciprocal, quantize};
pub use row::{
    LayerNormParams, N_MAX, N_MIN, N_STEP, RowStatistics, Z_FRACTION_BITS, layernorm_row,
};
pub use rsqrt::{RSQRT_BASE, RSQRT_FIRST, RSQRT_SLOPE, rsqrt};

#[cfg(test)]
mod tests;
