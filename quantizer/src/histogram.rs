//! A histogram of signed values whose range grows as needed.

/// Bins of one sign.
const HALF: usize = 4096;

/// Counts of values in `2 * 4096` equal bins over `-range..range`, `range` a power of two that
/// doubles when a larger value comes. Memory and results do not depend on how many values there
/// are, nor on the order in which histograms are merged.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    /// Exponent of the range, `None` before the first value other than zero.
    exponent: Option<i32>,
    counts: Vec<u64>,
    zeros: u64,
    max_abs: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            exponent: None,
            counts: vec![0; 2 * HALF],
            zeros: 0,
            max_abs: 0.0,
        }
    }
}

impl Histogram {
    /// Adds finite values. Returns their largest magnitude, or `None`, and nothing is added, if
    /// one is not finite.
    pub(crate) fn add(&mut self, values: &[f32]) -> Option<f32> {
        let max = max_abs(values)?;
        if max == 0.0 {
            self.zeros += values.len() as u64;
            return Some(max);
        }
        self.grow(exponent_above(max));
        self.max_abs = self.max_abs.max(max);
        let Some(exponent) = self.exponent else {
            return Some(max);
        };
        let per_unit = HALF as f64 / exp2(exponent);
        for &v in values {
            if v == 0.0 {
                self.zeros += 1;
            } else if let Some(c) = self.counts.get_mut(bin(v, per_unit)) {
                *c += 1;
            }
        }
        Some(max)
    }

    /// Adds another histogram.
    pub(crate) fn merge(&mut self, mut other: Histogram) {
        self.zeros += other.zeros;
        self.max_abs = self.max_abs.max(other.max_abs);
        let Some(exponent) = other.exponent else {
            return;
        };
        self.grow(exponent);
        if let Some(exponent) = self.exponent {
            other.grow(exponent);
        }
        self.counts
            .iter_mut()
            .zip(&other.counts)
            .for_each(|(a, b)| *a += b);
    }

    /// Largest magnitude.
    pub(crate) fn max_abs(&self) -> f32 {
        self.max_abs
    }

    /// Value at the middle and count of each bin that is not empty, zeros apart.
    pub(crate) fn bins(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let width = self.exponent.map_or(0.0, exp2) / HALF as f64;
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, c)| **c > 0)
            .map(move |(i, &c)| ((i as f64 + 0.5 - HALF as f64) * width, c))
    }

    /// The smallest magnitude, to a bin, that at least `share` of the values do not exceed.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let folded: Vec<u64> = (0..HALF)
            .map(|i| self.counts[HALF + i] + self.counts[HALF - 1 - i])
            .collect();
        let total = self.zeros + folded.iter().sum::<u64>();
        let wanted = share * total as f64;
        let width = self.exponent.map_or(0.0, exp2) / HALF as f64;
        let mut seen = self.zeros;
        for (i, &count) in folded.iter().enumerate() {
            if seen as f64 >= wanted && i > 0 {
                return (i as f64 * width).min(self.max_abs.into());
            }
            seen += count;
        }
        f64::from(self.max_abs)
    }

    /// Doubles the range until its exponent is at least `exponent`.
    fn grow(&mut self, exponent: i32) {
        let Some(old) = self.exponent else {
            self.exponent = Some(exponent);
            return;
        };
        // After log2(HALF) + 1 doublings everything is in the two bins beside zero.
        for _ in 0..(exponent - old).clamp(0, 16) {
            let mut doubled = vec![0; 2 * HALF];
            for (i, pair) in self.counts.chunks_exact(2).enumerate() {
                doubled[HALF / 2 + i] = pair[0] + pair[1];
            }
            self.counts = doubled;
        }
        self.exponent = Some(old.max(exponent));
    }
}

/// Largest magnitude of finite values, `None` if one is not finite.
pub(crate) fn max_abs(values: &[f32]) -> Option<f32> {
    // NaN is lost in max but not in the sum of magnitudes times zero.
    let (max, check) = values
        .iter()
        .fold((0.0f32, 0.0f32), |(m, s), v| (m.max(v.abs()), s + v * 0.0));
    (check == 0.0 && max.is_finite()).then_some(max)
}

/// Smallest `e` with `2^e > v`, v finite and above 0.
fn exponent_above(v: f32) -> i32 {
    let mut e = f64::from(v).log2().floor() as i32;
    while exp2(e) <= f64::from(v) {
        e += 1;
    }
    e
}

fn exp2(e: i32) -> f64 {
    2f64.powi(e)
}

fn bin(v: f32, per_unit: f64) -> usize {
    // Below 2 * HALF since |v| < range; the clamp is for rounding at the very end.
    ((f64::from(v) * per_unit).floor() + HALF as f64).clamp(0.0, (2 * HALF - 1) as f64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total(h: &Histogram) -> u64 {
        h.bins().map(|(_, c)| c).sum::<u64>() + h.zeros
    }

    #[test]
    fn zeros_alone_have_no_range() {
        let mut h = Histogram::default();
        assert_eq!(h.add(&[0.0; 7]), Some(0.0));
        assert_eq!((h.max_abs(), total(&h), h.percentile(0.99)), (0.0, 7, 0.0));
    }

    #[test]
    fn what_is_not_finite_is_refused_and_not_counted() {
        let mut h = Histogram::default();
        for v in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(h.add(&[1.0, v]), None);
        }
        assert_eq!(total(&h), 0);
    }

    #[test]
    fn extremes_of_f32_fit() {
        let mut h = Histogram::default();
        h.add(&[f32::MIN_POSITIVE / 8.0, -1e-30]);
        h.add(&[f32::MAX, -f32::MAX]);
        assert_eq!(total(&h), 4);
        assert_eq!(h.max_abs(), f32::MAX);
    }

    #[test]
    fn percentile_is_within_a_bin() {
        let values: Vec<f32> = (1..=10_000).map(|i| i as f32 / 10_000.0).collect();
        let mut h = Histogram::default();
        h.add(&values);
        assert!((h.percentile(0.9) - 0.9).abs() < 1.5 * 1.0 / 2048.0);
        assert!((h.percentile(1.0) - 1.0).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn merging_in_any_order_is_adding_all(
            a in proptest::collection::vec(-1e3f32..1e3, 0..50),
            b in proptest::collection::vec(-1e-2f32..1e-2, 0..50),
        ) {
            let of = |parts: &[&[f32]]| {
                let mut h = Histogram::default();
                parts.iter().for_each(|p| { h.add(p); });
                h
            };
            let mut ab = of(&[&a]);
            ab.merge(of(&[&b]));
            let mut ba = of(&[&b]);
            ba.merge(of(&[&a]));
            prop_assert_eq!(&ab.counts, &ba.counts);
            prop_assert_eq!(total(&ab), (a.len() + b.len()) as u64);
            let direct = of(&[&a, &b]);
            prop_assert_eq!(&ab.counts, &direct.counts);
        }

        #[test]
        fn every_value_is_near_its_bin(v in -1e6f32..1e6) {
            prop_assume!(v.abs() > 1e-20);
            let mut h = Histogram::default();
            h.add(&[v]);
            let (middle, count) = h.bins().next().unwrap();
            prop_assert_eq!(count, 1);
            prop_assert!((middle - f64::from(v)).abs() <= f64::from(v.abs()) / 4096.0 + 1e-30);
        }
    }
}
