//! Correlation of numbers. `statrs` has neither Pearson's nor Spearman's, only ranks, and those of
//! values in `f64` alone behind its whole standard part; eight lines of our own are less.

/// Pearson's correlation; `None` where one side is constant or there are fewer than two pairs.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    if n < 2 || constant(a) || constant(b) {
        return None;
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - ma) * (y - mb);
        aa += (x - ma) * (x - ma);
        bb += (y - mb) * (y - mb);
    }
    let r = ab / (aa.sqrt() * bb.sqrt());
    r.is_finite().then(|| r.clamp(-1.0, 1.0))
}

/// Spearman's rank correlation, ties sharing their mean rank; `None` as for [`pearson`].
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

/// Rounding makes the sum of squares of a constant's deviations other than zero, so it is looked
/// for itself.
fn constant(values: &[f64]) -> bool {
    values.windows(2).all(|w| w[0] == w[1])
}

/// Ranks from 1, ties sharing their mean rank.
pub(super) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|i, j| values[*i].total_cmp(&values[*j]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for ties in order.chunk_by(|i, j| values[*i] == values[*j]) {
        let rank = before as f64 + (ties.len() as f64 + 1.0) / 2.0;
        ties.iter().for_each(|i| ranks[*i] = rank);
        before += ties.len();
    }
    ranks
}

/// Cosine of the angle between two vectors; 0 where one has no length.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| {
        x.iter()
            .zip(y)
            .map(|(p, q)| f64::from(*p) * f64::from(*q))
            .sum::<f64>()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 {
        dot(a, b) / lengths
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spearman_of_known_ranks() {
        // d = (0, 1, -1, 0): 1 - 6 * 2 / (4 * 15).
        let rho = spearman(&[1.0, 2.0, 3.0, 4.0], &[10.0, 30.0, 20.0, 40.0]);
        assert!((rho.unwrap() - 0.8).abs() < 1e-12);
        // With a tie the ranks are 1, 2.5, 2.5, 4.
        let tied = spearman(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]);
        assert!((tied.unwrap() - 0.948_683_298_050_513_8).abs() < 1e-12);
    }

    // The numbers are SciPy 1.17.1's: pearsonr, spearmanr.
    #[test]
    fn known_correlations() {
        let a = [2.5, 0.5, 1.0, 3.5, 4.0, 1.0, 5.0, 3.0, 2.0];
        let b = [0.71, 0.2, 0.33, 0.8, 0.77, 0.4, 0.95, 0.5, 0.5];
        assert!((pearson(&a, &b).unwrap() - 0.941_605_873_824_936_1).abs() < 1e-12);
        assert!((spearman(&a, &b).unwrap() - 0.949_579_831_932_773_3).abs() < 1e-12);
    }

    #[test]
    fn constants_have_no_correlation() {
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(pearson(&[1.0, 2.0, 3.0], &[0.1, 0.1, 0.1]), None);
        assert_eq!(pearson(&[1.0], &[2.0]), None);
        assert_eq!(pearson(&[], &[]), None);
    }

    #[test]
    fn cosines() {
        assert!((cosine(&[1.0, 0.0], &[1.0, 1.0]) - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
    }

    proptest! {
        #[test]
        fn ranks_do_not_see_monotone_maps(
            a in prop::collection::vec(-5i32..5, 2..40),
            seed in 0u64..1000,
        ) {
            let a: Vec<f64> = a.into_iter().map(f64::from).collect();
            let b: Vec<f64> = (0..a.len() as u64)
                .map(|i| ((i * 7919 + seed * 31) % 11) as f64)
                .collect();
            let cubed: Vec<f64> = a.iter().map(|v| v.powi(3) + 2.0).collect();
            let (plain, mapped) = (spearman(&a, &b), spearman(&cubed, &b));
            prop_assert_eq!(plain, mapped);
            prop_assert_eq!(plain, spearman(&b, &a));
            prop_assert!(plain.is_none_or(|r| (-1.0..=1.0).contains(&r)));
            prop_assert!(spearman(&a, &a).is_none_or(|r| (r - 1.0).abs() < 1e-12));
        }
    }
}
