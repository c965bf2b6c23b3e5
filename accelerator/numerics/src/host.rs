//! Quantization of the embedding's result on the host (`docs/numerics.md`, section 8).

/// `sat_8(v / scale)`, the division in f32, rounded half to even.
///
/// Total: infinities saturate and a NaN (a NaN value, 0 / 0) gives 0.
pub fn quantize_i8(v: f32, scale: f32) -> i8 {
    (v / scale).round_ties_even().clamp(-127.0, 127.0) as i8
}

/// `sat_16(v / scale)`, the division in f32, rounded half to even; total as [`quantize_i8`].
pub fn quantize_i16(v: f32, scale: f32) -> i16 {
    (v / scale).round_ties_even().clamp(-32767.0, 32767.0) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_to_even_and_saturates() {
        let y = [0.5, 1.5, 2.5, -0.5, -1.5, 126.5, 127.5, 1e9, -1e9];
        let want = [0, 2, 2, 0, -2, 126, 127, 127, -127];
        assert_eq!(y.map(|v| quantize_i8(v, 1.0)), want);
        assert_eq!(quantize_i16(-40000.0, 1.0), -32767);
        assert_eq!(quantize_i16(3.25, 0.5), 6);
    }

    #[test]
    fn not_a_number_is_zero_and_infinity_saturates() {
        assert_eq!(quantize_i8(f32::NAN, 1.0), 0);
        assert_eq!(quantize_i8(0.0, 0.0), 0);
        assert_eq!(quantize_i16(f32::NEG_INFINITY, 1.0), -32767);
        assert_eq!(quantize_i16(1.0, 0.0), 32767);
    }
}
