//! The quantized model: its types, its file, and what it computes.
//!
//! - [`QuantizedModel`] is everything an inference needs: configuration, embedding tables, encoder
//!   layers in integer codes, head, tokenizer, and where it came from.
//! - [`QuantizedModel::load`] and [`QuantizedModel::save`] keep it in one safetensors file that any
//!   safetensors reader opens; the tensors are listed at [`mod@file`].
//! - [`mod@reference`] interprets the encoder as plain matrices, after `docs/numerics.md`, to
//!   compare a device against.
//!
//! A model that was loaded, or that passed [`QuantizedModel::validate`], is consistent: every size
//! agrees with the configuration and every code is in its range, so that code working on it need
//! not check again.

mod check;
mod compression;
mod error;
pub mod file;
mod linear;
mod model;
mod provenance;
pub mod reference;
#[cfg(feature = "testing")]
pub mod testing;

pub use compression::Compression;
pub use error::ModelError;
pub use fqbert_host::{
    Activation, Dense, EmbeddingTables, Family, HeadActivation, ModelConfig, Pooling, ProblemType,
    Table, Task,
};
pub use linear::{QuantizedLinear, WeightCodes};
pub use model::{LayerScales, Linear, QuantizedLayer, QuantizedModel, TokenizerFile};
pub use provenance::{FloatMetric, Provenance, Quantization, ScaleScheme};
