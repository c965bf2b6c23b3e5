//! Confidence intervals of 95 %.

/// Two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's score interval of a share of `successes` in `n`; `None` for `n` of 0. Unlike the
/// textbook's interval it holds near 0 and 1 and for few examples.
pub fn wilson(successes: u64, n: u64) -> Option<[f64; 2]> {
    if n == 0 {
        return None;
    }
    let n = n as f64;
    let p = successes as f64 / n;
    let z2 = Z * Z;
    let centre = p + z2 / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    Some([
        ((centre - half) / scale).clamp(0.0, 1.0),
        ((centre + half) / scale).clamp(0.0, 1.0),
    ])
}

/// Interval of Pearson's correlation `r` of `n` pairs by Fisher's transformation; `None` for fewer
/// than 4 pairs.
pub fn pearson(r: f64, n: usize) -> Option<[f64; 2]> {
    fisher_z(r, n, 1.0)
}

/// Interval of Spearman's correlation by Fisher's transformation, with the variance that ranks have
/// (Bonett and Wright 2000).
pub fn spearman(r: f64, n: usize) -> Option<[f64; 2]> {
    fisher_z(r, n, 1.0 + r * r / 2.0)
}

fn fisher_z(r: f64, n: usize, variance: f64) -> Option<[f64; 2]> {
    if n < 4 {
        return None;
    }
    let half = Z * (variance / (n as f64 - 3.0)).sqrt();
    let z = r.atanh();
    Some([(z - half).tanh(), (z + half).tanh()])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn near(found: Option<[f64; 2]>, expected: [f64; 2]) {
        let found = found.unwrap();
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 1e-9, "{found:?} is not {expected:?}");
        }
    }

    // SciPy 1.17.1: binomtest(k, n).proportion_ci(method="wilson"), pearsonr(a,
    // b).confidence_interval().
    #[test]
    fn known_intervals() {
        near(wilson(785, 872), [0.878_548_624_395, 0.918_399_262_657]);
        near(wilson(0, 10), [0.0, 0.277_532_799_863]);
        near(wilson(3, 3), [0.438_502_968_245, 1.0]);
        near(
            pearson(0.941_605_873_824_936_1, 9),
            [0.740_631_060_947, 0.987_932_796_527],
        );
        // By hand: atanh(0.8672) -+ 1.96 * sqrt((1 + 0.8672^2 / 2) / 1497).
        near(
            spearman(0.8672, 1500),
            [0.851_684_115_846, 0.881_196_851_106],
        );
    }

    #[test]
    fn the_quantile_is_statrss() {
        use statrs::distribution::{ContinuousCDF, Normal};
        let quantile = Normal::standard().inverse_cdf(0.975);
        assert!((Z - quantile).abs() < 1e-14, "{quantile}");
    }

    #[test]
    fn too_little_data() {
        assert_eq!(wilson(0, 0), None);
        assert_eq!(pearson(0.5, 3), None);
        assert_eq!(spearman(0.5, 0), None);
        // A perfect correlation has no spread to be seen.
        assert_eq!(pearson(1.0, 10), Some([1.0, 1.0]));
    }

    proptest! {
        #[test]
        fn the_estimate_is_inside(
            n in 1u64..2000,
            share in 0.0f64..=1.0,
            r in -0.999f64..0.999,
            pairs in 4usize..3000,
        ) {
            let k = ((n as f64 * share) as u64).min(n);
            let [low, high] = wilson(k, n).unwrap();
            let p = k as f64 / n as f64;
            prop_assert!(low <= p + 1e-12 && p <= high + 1e-12);
            for of in [pearson, spearman] {
                let [low, high] = of(r, pairs).unwrap();
                prop_assert!(low < r && r < high);
                let [wider_low, wider_high] = of(r, 4).unwrap();
                prop_assert!(wider_low <= low && high <= wider_high);
            }
        }
    }
}
