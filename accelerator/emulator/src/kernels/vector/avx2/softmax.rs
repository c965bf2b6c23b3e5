//! Softmax of eight rows side by side, compiled for AVX2.

use crate::kernels::softmax_rows::{ScoreTile, side_by_side};
use crate::kernels::vector::detect::assert_avx2;

/// [`side_by_side`] in 256-bit vectors.
pub fn softmax_tile(x: &ScoreTile<'_>, out: &mut [u8]) {
    assert_avx2();
    // SAFETY: AVX2 was detected above.
    unsafe { inner(x, out) };
}

#[target_feature(enable = "avx2,fma")]
fn inner(x: &ScoreTile<'_>, out: &mut [u8]) {
    side_by_side(x, out);
}
