//! From float weights to codes and scales.
//!
//! - [`rtn`]: each weight to the nearest code, the scale being the one of least error.
//! - [`mod@compensate`]: one weight after another, each taking up the error of those before it.
//! - [`Moments`]: what both know of the layer's inputs.

mod cholesky;
mod coded;
mod compensate;
mod moments;
mod rtn;

pub(crate) use coded::Coded;
pub(crate) use compensate::compensate;
pub(crate) use moments::{Moments, Residual};
pub(crate) use rtn::{per_channel, per_tensor};
