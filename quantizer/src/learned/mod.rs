//! Scales that came with the checkpoint, from quantization-aware training, and the model that they
//! make of it.

mod build;
mod scales;

pub use build::quantize_learned;
pub use scales::LearnedScales;
