//! The arithmetic of the accelerator, to the bit, as plain scalar functions.
//!
//! The specification is `docs/numerics.md`; each module is one section of it. This crate is the
//! readable reference: the emulator's SIMD kernels and the RTL are compared with it, and it is
//! compared with an independent NumPy model written from the document alone (`numpy_model/`,
//! `golden/`).
//!
//! Two promises hold throughout. Values never panic or overflow: every function is total over
//! codes, accumulators, tables and parameters, illegal parameters included, because a device has
//! to do *something* with them and the implementations must agree on what. Shapes are the
//! caller's duty: a slice that is too short for the shape given with it is a bug of the caller and
//! panics, as each function says.
//!
//! ```
//! use fqbert_numerics::{dot, requant::Requant};
//!
//! // Two channels of K = 3, requantized by 1/4 with half rounded up.
//! let params = [Requant::from_scale(0.25, 0)?, Requant::from_scale(0.25, 2)?];
//! let y = dot::linear(&[10, -20, 30], 1, 3, &[1, 2, 3, -7, 0, 7], 2, &params);
//! assert_eq!(y, [15, 36]); // (60 + 0) / 4, (140 + 2) / 4 = 35.5
//! # Ok::<(), fqbert_numerics::requant::RequantError>(())
//! ```

pub mod dot;
pub mod gelu;
pub mod host;
pub mod layernorm;
pub mod packed;
pub mod requant;
pub mod residual;
pub mod softmax;

pub use residual::residual_add;
