//! The arithmetic with AVX2.
#![allow(
    unsafe_code,
    reason = "SIMD intrinsics: loads, stores and calls of functions with target features"
)]

mod matmul;
mod norm;

pub use matmul::{Buffers, matmul};
pub use norm::{NormScales, layer_norm_row};

/// Checked wherever safe code enters functions with target features: the kernel is chosen once, but nothing but this makes it sound.
fn assert_detected() {
    assert!(
        is_x86_feature_detected!("avx2"),
        "the AVX2 kernel was chosen on a CPU without it"
    );
}
