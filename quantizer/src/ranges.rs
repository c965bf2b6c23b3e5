//! From what was seen at a place to the scale of its codes.

use crate::histogram::Histogram;
use crate::options::RangeMethod;

/// Largest 8-bit code.
pub(crate) const MAX8: f64 = 127.0;
/// Largest 16-bit code.
const MAX16: f64 = 32767.0;
/// Room that 16-bit values have above the largest seen in calibration: one of 16 bits, which are
/// plenty, against saturation of a sum that layer norm would spread over the whole token.
const HEADROOM: f64 = 2.0;
/// Scales tried below the one that holds the largest value, and the factor between them.
const STEPS: i32 = 96;
const STEP: f64 = 0.98;

/// What was seen at one place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// All values.
    pub(crate) histogram: Histogram,
    /// Largest magnitude of each sequence, in order.
    pub(crate) maxima: Vec<f32>,
}

impl Seen {
    /// Adds the values of one sequence; false if one is not finite.
    pub(crate) fn add(&mut self, values: &[f32]) -> bool {
        let max = self.histogram.add(values);
        self.maxima.extend(max);
        max.is_some()
    }

    /// Adds what was seen in later sequences.
    pub(crate) fn merge(&mut self, other: Seen) {
        self.histogram.merge(other.histogram);
        self.maxima.extend(other.maxima);
    }

    /// Scale of 8-bit codes; `value` is what becomes of a code's value before errors count.
    ///
    /// A place where only zeros were seen takes 1/127.
    pub(crate) fn scale8(&self, method: RangeMethod, value: impl Fn(f64) -> f64) -> f64 {
        let max = f64::from(self.histogram.max_abs());
        if max == 0.0 {
            return 1.0 / MAX8;
        }
        match method {
            RangeMethod::EmaMax { decay } => {
                let ema = self.maxima.iter().map(|m| f64::from(*m));
                let ema = ema
                    .reduce(|e, m| decay * e + (1.0 - decay) * m)
                    .unwrap_or(max);
                (if ema > 0.0 { ema } else { max }) / MAX8
            }
            RangeMethod::Percentile(share) => self.histogram.percentile(share) / MAX8,
            RangeMethod::Mse => self.least_error(max, value),
        }
    }

    fn least_error(&self, max: f64, value: impl Fn(f64) -> f64) -> f64 {
        let bins: Vec<(f64, f64, f64)> = self
            .histogram
            .bins()
            .map(|(v, c)| (v, value(v), c as f64))
            .collect();
        let error = |scale: f64| -> f64 {
            // The 255 values that the codes become, once for each scale.
            let codes: Vec<f64> = (-127..=127).map(|c| value(f64::from(c) * scale)).collect();
            bins.iter()
                .map(|&(v, wanted, count)| {
                    let code = (v / scale).round_ties_even().clamp(-MAX8, MAX8);
                    let e = wanted - codes[(code + MAX8) as usize];
                    count * e * e
                })
                .sum()
        };
        let scales = (0..STEPS).map(|i| max / MAX8 * STEP.powi(i));
        let mut best = (f64::INFINITY, max / MAX8);
        for scale in scales {
            let e = error(scale);
            if e < best.0 {
                best = (e, scale);
            }
        }
        best.1
    }
}

/// Scale of 16-bit codes that hold `max` with room to spare, and whose layer norm over `channels`
/// values can hold `eps`.
pub(crate) fn scale16(max: f32, channels: usize, eps: f32) -> f64 {
    let max = if max > 0.0 { f64::from(max) } else { 1.0 };
    // eps * N^2 / s^2 is a 32-bit parameter (docs/numerics.md, section 7).
    let floor = (f64::from(eps).max(0.0) / 2f64.powi(31)).sqrt() * channels as f64;
    (max * HEADROOM / MAX16).max(floor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(values: &[f32]) -> Seen {
        let mut s = Seen::default();
        assert!(s.add(values));
        s
    }

    #[test]
    fn nothing_but_zeros_has_a_scale() {
        for method in [
            RangeMethod::Mse,
            RangeMethod::Percentile(0.99),
            RangeMethod::EmaMax { decay: 0.9 },
        ] {
            assert_eq!(seen(&[0.0; 4]).scale8(method, |v| v), 1.0 / 127.0);
        }
    }

    #[test]
    fn a_rare_outlier_is_clipped_by_error_and_percentile_but_not_by_the_maximum() {
        let mut values: Vec<f32> = (0..200_000)
            .map(|i| ((i % 2001) as f32 - 1000.0) / 1000.0)
            .collect();
        values.push(3.0);
        let s = seen(&values);
        let range = |m| s.scale8(m, |v| v) * 127.0;
        assert!(range(RangeMethod::Mse) < 1.6);
        assert!(range(RangeMethod::Percentile(0.9999)) < 1.01);
        assert!((range(RangeMethod::EmaMax { decay: 0.9 }) - 3.0).abs() < 1e-6);
    }

    #[test]
    fn moving_average_is_in_order() {
        let mut s = seen(&[1.0]);
        s.merge(seen(&[-3.0]));
        let scale = s.scale8(RangeMethod::EmaMax { decay: 0.75 }, |v| v);
        assert!((scale * 127.0 - 1.5).abs() < 1e-12);
    }

    #[test]
    fn values_that_vanish_do_not_widen_the_range() {
        // ReLU: large negative inputs cost nothing when they saturate.
        let s = seen(&[-100.0, 0.5, 1.0, 0.25, 0.1]);
        let relu = s.scale8(RangeMethod::Mse, |v: f64| v.max(0.0));
        assert!(relu * 127.0 < 30.0, "{relu}");
    }

    proptest! {
        #[test]
        fn least_error_is_no_worse_than_the_maximum(
            values in proptest::collection::vec(-10f32..10.0, 1..200)
        ) {
            let s = seen(&values);
            let error = |scale: f64| -> f64 {
                s.histogram.bins().map(|(v, c)| {
                    let e = v - (v / scale).round_ties_even().clamp(-MAX8, MAX8) * scale;
                    c as f64 * e * e
                }).sum()
            };
            let widest = f64::from(s.histogram.max_abs()) / MAX8;
            prop_assume!(widest > 0.0);
            let chosen = s.scale8(RangeMethod::Mse, |v| v);
            prop_assert!(error(chosen) <= error(widest));
        }
    }
}
