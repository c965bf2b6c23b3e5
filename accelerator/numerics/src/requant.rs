//! Saturation, rounding shift and requantization (`docs/numerics.md`, notation and section 3).

use thiserror::Error;

/// Smallest legal shift of a requantization.
const SHIFT_MIN: u8 = 1;
/// Largest legal shift of a requantization.
const SHIFT_MAX: u8 = 40;
/// Smallest normalised multiplier, 2^15.
pub const MULTIPLIER_MIN: u16 = 1 << 15;

/// Symmetric saturation to 8 bits: -127..=127.
pub(crate) fn sat8(v: i64) -> i8 {
    v.clamp(-127, 127) as i8
}

/// Symmetric saturation to 16 bits: -32767..=32767.
pub(crate) fn sat16(v: i64) -> i16 {
    v.clamp(-32767, 32767) as i16
}

/// Saturation to the 27-bit signed multiplier port of a DSP48E2 (Xilinx UG579): -2^26..=2^26 - 1,
/// not symmetric, since the port holds -2^26 for free.
pub fn sat27(v: i64) -> i64 {
    v.clamp(-(1 << 26), (1 << 26) - 1)
}

/// `v / 2^s` rounded half up: `(v + 2^(s-1)) >> s`, exact for every `v`; `s` of 0 returns `v`.
pub fn rshift(v: i64, s: u32) -> i64 {
    match s {
        0 => v,
        // Adding bit s-1 after the shift is adding 2^(s-1) before it, without its overflow.
        1..=63 => (v >> s) + ((v >> (s - 1)) & 1),
        // |v| <= 2^63 is at most half of 2^s, and -1/2 rounds up to 0.
        _ => 0,
    }
}

/// The shift the accelerator takes for a stored byte: its low 6 bits, 0 as 1 and 41..=63 as 40.
///
/// Legal shifts (1..=40) are themselves; readers and the verifier refuse the others.
pub fn effective_shift(shift: u8) -> u32 {
    (shift & 63).clamp(SHIFT_MIN, SHIFT_MAX).into()
}

/// Requantization of one output channel: `sat(rshift(sat27(acc + bias) * multiplier, shift))`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Requant {
    /// Added to the accumulator; scale `s_a * s_w` of the channel.
    pub bias: i32,
    /// 2^15..=2^16 - 1 when normalised; the accelerator takes every value.
    pub multiplier: u16,
    /// 1..=40; see [`effective_shift`] for what the accelerator does with other bytes.
    pub shift: u8,
}

/// A scale that no multiplier and shift can hold.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum RequantError {
    /// The factor is negative, infinite or not a number.
    #[error(
        "requantization factor {factor} is not a finite number >= 0: \
         check the scales of the input, the weights and the output"
    )]
    NotAFactor {
        /// The factor asked for.
        factor: f64,
    },
    /// The factor is above the largest multiplier at the smallest shift.
    #[error(
        "requantization factor {factor} is above the largest the accelerator holds, {max}: \
         raise the output scale or lower the input and weight scales"
    )]
    TooLarge {
        /// The factor asked for.
        factor: f64,
        /// The largest factor that fits.
        max: f64,
    },
}

impl Requant {
    /// Whether the model reader accepts the record: a shift of 1..=40.
    pub fn is_legal(&self) -> bool {
        (SHIFT_MIN..=SHIFT_MAX).contains(&self.shift)
    }

    /// The real factor the record stands for: `multiplier * 2^-shift`.
    pub fn factor(&self) -> f64 {
        f64::from(self.multiplier) * exp2i(-(effective_shift(self.shift) as i32))
    }

    /// The rounded value before the last saturation.
    fn scaled(&self, acc: i32) -> i64 {
        let v = sat27(i64::from(acc) + i64::from(self.bias));
        rshift(v * i64::from(self.multiplier), effective_shift(self.shift))
    }

    /// Requantizes an accumulator to i8, -127..=127.
    pub fn apply_i8(&self, acc: i32) -> i8 {
        sat8(self.scaled(acc))
    }

    /// Requantizes an accumulator to i16, -32767..=32767.
    pub fn apply_i16(&self, acc: i32) -> i16 {
        sat16(self.scaled(acc))
    }

    /// The record nearest to `real_factor` (`s_a * s_w / s_y`), with a 16-bit multiplier.
    ///
    /// The multiplier is normalised to 2^15..=2^16 - 1, so the factor is held within a relative
    /// 2^-16. A factor below 2^-25 keeps shift 40 and a smaller multiplier, at last 0.
    ///
    /// # Errors
    /// A factor that is negative, not finite, or rounds above 65535 / 2.
    pub fn from_scale(real_factor: f64, bias: i32) -> Result<Self, RequantError> {
        Self::with_significant_bits(real_factor, bias, 16)
    }

    /// As [`Requant::from_scale`] with 8 significant bits, `multiplier = m8 << 8`: the 8-bit scale
    /// factors of the paper's scheme (DATE 2021, section II).
    ///
    /// # Errors
    /// A factor that is negative, not finite, or rounds above 65280 / 2.
    pub fn from_scale_8bit(real_factor: f64, bias: i32) -> Result<Self, RequantError> {
        Self::with_significant_bits(real_factor, bias, 8)
    }

    fn with_significant_bits(factor: f64, bias: i32, bits: i32) -> Result<Self, RequantError> {
        if !(factor >= 0.0 && factor.is_finite()) {
            return Err(RequantError::NotAFactor { factor });
        }
        let unit = exp2i(16 - bits);
        // floor(log2 factor) lies in the exponent field; a subnormal reads as -1023, far below the
        // range where the shift stops at 40 anyway.
        let exponent = ((factor.to_bits() >> 52) & 0x7ff) as i32 - 1023;
        let mut shift = (15 - exponent).min(SHIFT_MAX.into());
        let round = |shift: i32| libm::rint(factor * exp2i(shift) / unit) * unit;
        let mut multiplier = round(shift);
        if multiplier >= 65536.0 {
            // 1.11..1 rounded up to 10.0: one binade further.
            shift -= 1;
            multiplier = round(shift);
        }
        if shift < SHIFT_MIN.into() {
            let max = (65536.0 - unit) / 2.0;
            return Err(RequantError::TooLarge { factor, max });
        }
        Ok(Self {
            bias,
            multiplier: multiplier as u16,
            shift: shift as u8,
        })
    }
}

/// 2^e, exactly, for the exponents used here.
fn exp2i(e: i32) -> f64 {
    libm::ldexp(1.0, e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rounding_is_half_up() {
        assert_eq!(
            [-3, -2, -1, 1, 2, 3].map(|v| rshift(v, 1)),
            [-1, -1, 0, 1, 1, 2]
        );
        assert_eq!(rshift(-6, 2), -1); // -1.5
        assert_eq!(rshift(6, 2), 2); // 1.5
        assert_eq!(rshift(i64::MAX, 63), 1);
        assert_eq!(rshift(i64::MIN, 63), -1);
        assert_eq!(rshift(i64::MIN, 64), 0);
        assert_eq!(rshift(i64::MIN, 1000), 0);
        assert_eq!(rshift(i64::MAX, 0), i64::MAX);
    }

    #[test]
    fn bytes_of_the_shift_field_all_mean_something() {
        for shift in 0..=255u8 {
            let want = match shift % 64 {
                0 => 1,
                s @ 1..=40 => s,
                _ => 40,
            };
            assert_eq!(
                effective_shift(shift),
                u32::from(want),
                "shift byte {shift}"
            );
        }
    }

    #[test]
    fn corners_of_the_27_bit_port() {
        let r = Requant {
            bias: i32::MAX,
            multiplier: u16::MAX,
            shift: 40,
        };
        // (2^26 - 1) * 65535 / 2^40 = 3.9999
        assert_eq!(r.apply_i16(i32::MAX), 4);
        let r = Requant {
            bias: i32::MIN,
            multiplier: u16::MAX,
            shift: 27,
        };
        // -2^26 * 65535 / 2^27 = -32767.5, rounded up to -32767
        assert_eq!(r.apply_i16(i32::MIN), -32767);
        // The product is 43 bits signed, and with the largest rounding constant still under 48.
        for v in [sat27(i64::MIN), sat27(i64::MAX)] {
            let product = v * i64::from(u16::MAX);
            assert!((-(1i64 << 42)..1 << 42).contains(&product));
            assert!((product + (1 << 39)).abs() < 1 << 47);
        }
    }

    #[test]
    fn largest_sum_of_the_quantizer_stays_inside_the_port() {
        let sum = crate::dot::dot_i8_i8(&[127; 3072], &[7; 3072]);
        assert!(sum < 1 << 22);
        assert_eq!(sat27(sum.into()), sum.into());
    }

    #[test]
    fn scales_normalise() {
        let r = Requant::from_scale(1.0, 5).unwrap();
        assert_eq!((r.multiplier, r.shift, r.bias), (32768, 15, 5));
        // Rounds up to the next binade.
        let r = Requant::from_scale(0.999_999_9, 0).unwrap();
        assert_eq!((r.multiplier, r.shift), (32768, 15));
        let r = Requant::from_scale(0.0, 0).unwrap();
        assert_eq!((r.multiplier, r.shift), (0, 40));
        let r = Requant::from_scale(f64::MIN_POSITIVE / 4.0, 0).unwrap();
        assert_eq!((r.multiplier, r.shift), (0, 40));
        let r = Requant::from_scale(exp2i(-30), 0).unwrap();
        assert_eq!((r.multiplier, r.shift), (1 << 10, 40));
        let r = Requant::from_scale(32767.5, 0).unwrap();
        assert_eq!((r.multiplier, r.shift), (65535, 1));
        let r = Requant::from_scale_8bit(1.0 / 3.0, 0).unwrap();
        assert_eq!((r.multiplier, r.shift), (171 << 8, 17));
    }

    #[test]
    fn impossible_scales_are_errors_with_the_numbers() {
        for f in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(
                Requant::from_scale(f, 0),
                Err(RequantError::NotAFactor { .. })
            ));
        }
        for f in [32767.75, 32768.0, 1e300] {
            let e = Requant::from_scale(f, 0).unwrap_err();
            assert_eq!(
                e,
                RequantError::TooLarge {
                    factor: f,
                    max: 32767.5
                }
            );
        }
        let e = Requant::from_scale_8bit(32768.0, 0).unwrap_err();
        assert!(
            e.to_string().contains("32768") && e.to_string().contains("32640"),
            "{e}"
        );
    }

    proptest! {
        #[test]
        fn rshift_is_the_written_formula(v: i64, s in 1u32..=64) {
            let want = (i128::from(v) + (1i128 << (s - 1))) >> s;
            prop_assert_eq!(i128::from(rshift(v, s)), want);
        }

        #[test]
        fn every_record_and_accumulator_is_total(acc: i32, bias: i32, multiplier: u16, shift: u8) {
            let r = Requant { bias, multiplier, shift };
            let exact = (f64::from(acc) + f64::from(bias)).clamp(-67108864.0, 67108863.0)
                * r.factor();
            let y16 = f64::from(r.apply_i16(acc));
            prop_assert!((y16 - exact.clamp(-32767.0, 32767.0)).abs() <= 0.5);
            let y16 = i64::from(r.apply_i16(acc));
            prop_assert_eq!(i64::from(r.apply_i8(acc)), y16.clamp(-127, 127));
        }

        #[test]
        fn from_scale_is_within_half_a_unit(exponent in -24i32..15, fraction in 1.0f64..2.0) {
            let f = fraction * exp2i(exponent);
            let Ok(r) = Requant::from_scale(f, 0) else {
                prop_assert!(f > 32767.5);
                return Ok(());
            };
            prop_assert!(r.is_legal() && r.multiplier >= MULTIPLIER_MIN);
            prop_assert!((r.factor() / f - 1.0).abs() <= exp2i(-16));
            if let Ok(r) = Requant::from_scale_8bit(f, 0) {
                prop_assert_eq!(r.multiplier & 0xff, 0);
                prop_assert!((r.factor() / f - 1.0).abs() <= exp2i(-8));
            }
        }
    }
}
