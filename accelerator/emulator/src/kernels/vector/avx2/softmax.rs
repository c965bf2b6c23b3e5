//! Softmax of eight rows side by side, compiled for AVX2.

use super::assert_detected;
use crate::kernels::softmax::{Tile, side_by_side};

/// [`side_by_side`] in 256-bit vectors.
pub fn softmax_tile(x: &Tile<'_>, out: &mut [u8]) {
    assert_detected();
    // SAFETY: AVX2 was detected above.
    unsafe { inner(x, out) };
}

#[target_feature(enable = "avx2,fma")]
fn inner(x: &Tile<'_>, out: &mut [u8]) {
    side_by_side(x, out);
}
