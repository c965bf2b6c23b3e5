//! The activation function as a table of 256 codes (`docs/numerics.md`, section 4).

use crate::requant::sat8;
use core::f64::consts::{FRAC_1_SQRT_2, PI};

/// Activation functions the accelerator's table is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `v * 0.5 * (1 + erf(v / sqrt 2))`: Hugging Face `gelu`.
    GeluErf,
    /// `v * 0.5 * (1 + tanh(sqrt(2 / pi) * (v + 0.044715 v^3)))`: `gelu_new`, `gelu_pytorch_tanh`.
    GeluTanh,
    /// `max(v, 0)`.
    Relu,
}

impl Activation {
    /// The function in f64. `erf` and `tanh` are those of the `libm` crate, so that a table does
    /// not depend on the platform that made it.
    pub fn eval(self, v: f64) -> f64 {
        match self {
            Self::GeluErf => v * 0.5 * (1.0 + libm::erf(v * FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                let u = libm::sqrt(2.0 / PI) * (v + 0.044715 * (v * v * v));
                v * 0.5 * (1.0 + libm::tanh(u))
            }
            Self::Relu => v.max(0.0),
        }
    }
}

/// The table of one layer: entry `i` is the code of `activation((i - 128) * s_in)` at scale
/// `s_out`, rounded half to even.
///
/// Scales are finite and above zero; for others the table is made of saturated or zero codes.
pub fn gelu_table(activation: Activation, s_in: f64, s_out: f64) -> [i8; 256] {
    core::array::from_fn(|i| {
        let y = activation.eval((i as f64 - 128.0) * s_in) / s_out;
        // The conversion saturates, and a NaN becomes 0.
        sat8(libm::rint(y) as i64)
    })
}

/// `table[x + 128]`.
pub fn lookup(table: &[i8; 256], x: i8) -> i8 {
    table[(i16::from(x) + 128) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relu_is_the_identity_above_zero() {
        let table = gelu_table(Activation::Relu, 0.1, 0.1);
        for x in i8::MIN..=i8::MAX {
            assert_eq!(lookup(&table, x), x.max(0));
        }
    }

    #[test]
    fn known_values() {
        // gelu(1) = 0.8413447, gelu(-1) = -0.1586553; tanh form 0.8411920.
        assert!((Activation::GeluErf.eval(1.0) - 0.841_344_746).abs() < 1e-9);
        assert!((Activation::GeluErf.eval(-1.0) + 0.158_655_254).abs() < 1e-9);
        assert!((Activation::GeluTanh.eval(1.0) - 0.841_191_990_6).abs() < 1e-9);
        let table = gelu_table(Activation::GeluErf, 1.0 / 16.0, 1.0 / 32.0);
        assert_eq!(lookup(&table, 0), 0);
        assert_eq!(lookup(&table, 16), 27); // 0.8413 * 32 = 26.9
        assert_eq!(lookup(&table, -16), -5); // -0.1587 * 32 = -5.08
        assert_eq!(lookup(&table, 127), 127); // 7.9 saturates
    }

    #[test]
    fn no_scale_panics_and_codes_stay_in_range() {
        let odd = [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, 1e308, 5e-324];
        for activation in [Activation::GeluErf, Activation::GeluTanh, Activation::Relu] {
            for s_in in odd {
                for s_out in odd {
                    assert!(!gelu_table(activation, s_in, s_out).contains(&-128));
                }
            }
        }
    }

    /// Worst error of the table against f64, in output steps: half a step where not saturated.
    #[test]
    fn error_is_half_a_step() {
        for (s_in, s_out) in [(0.05, 0.05), (0.03, 0.02), (0.11, 0.1)] {
            for activation in [Activation::GeluErf, Activation::GeluTanh] {
                let table = gelu_table(activation, s_in, s_out);
                for x in -127i8..=127 {
                    let want = (activation.eval(f64::from(x) * s_in) / s_out).clamp(-127.0, 127.0);
                    assert!((f64::from(lookup(&table, x)) - want).abs() <= 0.5 + 1e-9);
                }
            }
        }
    }
}
