//! Tests of whether a difference may be chance.
//!
//! They are our own since the crates that have them lose the small probabilities that tell
//! something. `statrs` 0.19 gives 0.46 for Fisher's test of `[[300, 20000], [100, 40000]]`, where
//! 1.4e-64 is right, and is off by 2 % at 8e-12; its test of Mann and Whitney is one less a
//! cumulative distribution, 0 for all below 1e-16; its `erfc` has eleven digits where `libm`'s has
//! all. `fishers_exact` 1.0 adds counts in 32 bits. None has Holm's correction or McNemar's test.
//! Where `statrs` is exact enough, the tests below take it as a second opinion.

use super::correlation::ranks;

/// Logarithm of n choose k.
fn ln_choose(n: u64, k: u64) -> f64 {
    let ln_factorial = |n: u64| libm::lgamma(n as f64 + 1.0);
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// McNemar's exact test of matched pairs, two-sided: how likely a split at least as uneven as
/// `first` to `second` is if each pair that differs falls to either side alike. 1 for no differing
/// pairs.
pub fn mcnemar(first: u64, second: u64) -> f64 {
    let n = first + second;
    let tail: f64 = (0..=first.min(second))
        .map(|k| (ln_choose(n, k) - n as f64 * std::f64::consts::LN_2).exp())
        .sum();
    (2.0 * tail).min(1.0)
}

/// Fisher's exact test of the table `[[a, b], [c, d]]`, two-sided: how likely, with the sums of
/// rows and columns as they are, a table no more likely than this one is.
pub fn fisher_exact([[a, b], [c, d]]: [[u64; 2]; 2]) -> f64 {
    let (row, column, total) = (a + b, a + c, a + b + c + d);
    let ln_all = ln_choose(total, row);
    let probability =
        |x: u64| (ln_choose(column, x) + ln_choose(total - column, row - x) - ln_all).exp();
    // Tables as likely as this one count, whatever rounding says; the slack is SciPy's and R's.
    let limit = probability(a) * (1.0 + 1e-7);
    let least = (row + column).saturating_sub(total);
    (least..=row.min(column))
        .map(probability)
        .filter(|p| *p <= limit)
        .sum::<f64>()
        .min(1.0)
}

/// Test of Mann and Whitney, two-sided: how likely two samples at least as far apart in rank are if
/// they are of one distribution. By the normal approximation with corrections for ties and
/// continuity, good from some ten values on. `None` where a sample is empty or all values are
/// equal.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<f64> {
    let (first, second) = (a.len() as f64, b.len() as f64);
    let all: Vec<f64> = a.iter().chain(b).copied().collect();
    let ranks = ranks(&all);
    let n = first + second;
    let u = ranks.iter().take(a.len()).sum::<f64>() - first * (first + 1.0) / 2.0;
    let mut sorted = ranks;
    sorted.sort_by(f64::total_cmp);
    let ties: f64 = sorted
        .chunk_by(|a, b| a == b)
        .map(|t| (t.len() as f64).powi(3) - t.len() as f64)
        .sum();
    let variance = first * second / 12.0 * (n + 1.0 - ties / (n * (n - 1.0)));
    let distance = ((u - first * second / 2.0).abs() - 0.5).max(0.0);
    (first > 0.0 && second > 0.0 && variance > 0.0)
        .then(|| libm::erfc(distance / variance.sqrt() / std::f64::consts::SQRT_2))
}

/// Holm's correction for looking at several tests: the smallest p is multiplied by their number,
/// the next by one less, never below the one before. Tests without a p stay so and do not count.
pub fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = p
        .iter()
        .enumerate()
        .filter_map(|(i, p)| Some((i, (*p)?)))
        .collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut adjusted = vec![None; p.len()];
    let mut before = 0.0f64;
    for (done, (i, p)) in order.iter().enumerate() {
        before = before.max(p * (order.len() - done) as f64).min(1.0);
        adjusted[*i] = Some(before);
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::distribution::{Binomial, DiscreteCDF};

    use super::*;

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-9 * expected,
            "{found} is not {expected}"
        );
    }

    // SciPy 1.17.1: binomtest(b, b + c).pvalue, fisher_exact(table).pvalue, mannwhitneyu(a, b,
    // method="asymptotic").pvalue.
    #[test]
    fn known_values() {
        near(mcnemar(9, 9), 1.0);
        near(mcnemar(0, 0), 1.0);
        near(mcnemar(2, 11), 0.022_460_937_5);
        near(mcnemar(40, 80), 0.000_330_400_018_391_318_15);
        near(
            fisher_exact([[12, 279], [6, 575]]),
            0.004_240_767_140_230_773,
        );
        near(fisher_exact([[3, 1], [1, 3]]), 0.485_714_285_714_285_65);
        near(fisher_exact([[0, 10], [5, 3]]), 0.006_535_947_712_418_301);
        near(fisher_exact([[0, 0], [5, 3]]), 1.0);
        let a = [0.1, 0.5, 0.3, 0.9, 0.3, 1.2];
        let b = [0.2, 0.3, 0.05, 0.1, 0.4, 0.3, 0.15];
        near(mann_whitney(&a, &b).unwrap(), 0.110_550_257_697_995_74);
        let (low, high) = ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
        near(mann_whitney(&low, &high).unwrap(), 0.008_113_117_265_565_78);
        assert_eq!(mann_whitney(&[], &a), None);
        assert_eq!(mann_whitney(&[1.0, 1.0], &[1.0]), None);
    }

    #[test]
    fn small_probabilities_keep_their_digits() {
        // By whole numbers: the sum of products of binomials over the binomial of all.
        near(
            fisher_exact([[300, 20_000], [100, 40_000]]),
            1.415_256_420_938_704_8e-64,
        );
        near(
            fisher_exact([[18, 200], [0, 654]]),
            8.439_817_497_767_818e-12,
        );
        near(mcnemar(400, 700), 1.173_588_805_560_581_4e-19);
    }

    #[test]
    fn holms_steps() {
        let adjusted = holm(&[Some(0.01), None, Some(0.04), Some(0.03), Some(0.005)]);
        // Holm 1979's own example: 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 no less than that.
        let expected = [Some(0.03), None, Some(0.06), Some(0.06), Some(0.02)];
        for (a, e) in adjusted.iter().zip(expected) {
            assert_eq!(a.is_some(), e.is_some());
            assert!((a.unwrap_or(0.0) - e.unwrap_or(0.0)).abs() < 1e-12);
        }
        assert!(holm(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn symmetry_and_bounds(a in 0u64..40, b in 0u64..40, c in 0u64..40, d in 0u64..40) {
            let p = fisher_exact([[a, b], [c, d]]);
            prop_assert!(p > 0.0 && p <= 1.0);
            for other in [[[b, a], [d, c]], [[c, d], [a, b]], [[a, c], [b, d]]] {
                prop_assert!((p - fisher_exact(other)).abs() < 1e-9);
            }
            let m = mcnemar(a, b);
            prop_assert!(m > 0.0 && m <= 1.0);
            prop_assert!((m - mcnemar(b, a)).abs() < 1e-12);
        }

        #[test]
        fn statrs_has_the_same_binomial(a in 0u64..400, b in 1u64..400) {
            let split = Binomial::new(0.5, a + b).unwrap();
            let p = (2.0 * split.cdf(a.min(b))).min(1.0);
            prop_assert!((mcnemar(a, b) - p).abs() <= 1e-9 * p, "{} is not {p}", mcnemar(a, b));
        }

        #[test]
        fn holm_keeps_order(p in prop::collection::vec(0.0f64..=1.0, 0..20)) {
            let adjusted = holm(&p.iter().copied().map(Some).collect::<Vec<_>>());
            for (i, p_i) in p.iter().enumerate() {
                prop_assert!(adjusted[i].unwrap() >= *p_i && adjusted[i].unwrap() <= 1.0);
                for (j, p_j) in p.iter().enumerate() {
                    prop_assert!(p_i > p_j || adjusted[i] <= adjusted[j]);
                }
            }
        }
    }
}
