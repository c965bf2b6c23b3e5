//! The confusion table of a classifier, and what is computed from it.

use std::collections::BTreeMap;

/// Counts of each pair of true and predicted class. Sparse: a model may have 65,536 classes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    pairs: BTreeMap<(usize, usize), u64>,
    expected: BTreeMap<usize, u64>,
    predicted: BTreeMap<usize, u64>,
    correct: u64,
    total: u64,
}

impl Confusion {
    /// Counts pairs of true and predicted class.
    pub fn new(pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut table = Self::default();
        for (expected, predicted) in pairs {
            *table.pairs.entry((expected, predicted)).or_default() += 1;
            *table.expected.entry(expected).or_default() += 1;
            *table.predicted.entry(predicted).or_default() += 1;
            table.correct += u64::from(expected == predicted);
            table.total += 1;
        }
        table
    }

    /// Right answers.
    pub fn correct(&self) -> u64 {
        self.correct
    }

    /// All answers.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The table for classes `0..classes`: a row for each true class, a column for each predicted
    /// one.
    pub fn rows(&self, classes: usize) -> Vec<Vec<u64>> {
        let count = |e, p| self.pairs.get(&(e, p)).copied().unwrap_or(0);
        (0..classes)
            .map(|e| (0..classes).map(|p| count(e, p)).collect())
            .collect()
    }

    /// Share of right answers; `None` for no answers.
    pub fn accuracy(&self) -> Option<f64> {
        (self.total > 0).then(|| self.correct as f64 / self.total as f64)
    }

    /// Harmonic mean of precision and recall of one class; `None` where the class neither occurs
    /// nor is predicted.
    pub fn f1(&self, class: usize) -> Option<f64> {
        let count = |of: &BTreeMap<usize, u64>| of.get(&class).copied().unwrap_or(0);
        let both = count(&self.expected) + count(&self.predicted);
        let hits = self.pairs.get(&(class, class)).copied().unwrap_or(0);
        (both > 0).then(|| 2.0 * hits as f64 / both as f64)
    }

    /// Mean of the F1 of every class that occurs or is predicted, each with the same weight.
    pub fn f1_macro(&self) -> Option<f64> {
        let mut classes: Vec<usize> = self
            .expected
            .keys()
            .chain(self.predicted.keys())
            .copied()
            .collect();
        classes.sort_unstable();
        classes.dedup();
        let all: Vec<f64> = classes.iter().filter_map(|c| self.f1(*c)).collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    }

    /// Matthews' correlation of true and predicted class, for any number of classes (Gorodkin
    /// 2004). `None` where either has only one class: there is nothing to correlate.
    pub fn matthews(&self) -> Option<f64> {
        let squares =
            |of: &BTreeMap<usize, u64>| of.values().map(|n| (*n as f64).powi(2)).sum::<f64>();
        let products: f64 = self
            .expected
            .iter()
            .filter_map(|(class, n)| Some(*n as f64 * *self.predicted.get(class)? as f64))
            .sum();
        let total = self.total as f64;
        let covariance = self.correct as f64 * total - products;
        let expected = total * total - squares(&self.expected);
        let predicted = total * total - squares(&self.predicted);
        (expected > 0.0 && predicted > 0.0)
            .then(|| (covariance / (expected.sqrt() * predicted.sqrt())).clamp(-1.0, 1.0))
    }
}

/// F1 over all labels of all rows together (micro) of a multi-label model; `None` where no label is
/// true or predicted anywhere.
pub fn f1_micro<'a>(rows: impl IntoIterator<Item = (&'a [bool], &'a [bool])>) -> Option<f64> {
    let (mut hits, mut both) = (0u64, 0u64);
    for (expected, predicted) in rows {
        for (e, p) in expected.iter().zip(predicted) {
            hits += u64::from(*e && *p);
            both += u64::from(*e) + u64::from(*p);
        }
    }
    (both > 0).then(|| 2.0 * hits as f64 / both as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(expected: &[usize], predicted: &[usize]) -> Confusion {
        Confusion::new(expected.iter().copied().zip(predicted.iter().copied()))
    }

    #[track_caller]
    fn near(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!(
            (found - expected).abs() < 1e-12,
            "{found} is not {expected}"
        );
    }

    // The numbers are scikit-learn 1.9.1's: f1_score, matthews_corrcoef.
    #[test]
    fn two_classes() {
        let t = table(&[0, 1, 1, 0, 1, 1, 0, 1], &[0, 1, 0, 0, 1, 1, 1, 1]);
        assert_eq!(t.rows(2), [[2, 1], [1, 4]]);
        near(t.accuracy(), 0.75);
        near(t.f1(1), 0.8);
        near(t.f1_macro(), 0.733_333_333_333_333_4);
        near(t.matthews(), 0.466_666_666_666_666_7);
    }

    #[test]
    fn several_classes() {
        let t = table(
            &[0, 1, 2, 2, 3, 0, 1, 2, 3, 3, 0, 1],
            &[0, 2, 2, 2, 3, 1, 1, 0, 3, 2, 0, 1],
        );
        near(t.f1_macro(), 0.676_190_476_190_476_2);
        near(t.matthews(), 0.560_772_154_092_044_3);
    }

    #[test]
    fn several_labels() {
        let rows = [
            ([true, false, true], [true, true, false]),
            ([false, true, false], [false, true, false]),
            ([true, true, true], [true, false, true]),
        ];
        near(
            f1_micro(rows.iter().map(|(e, p)| (&e[..], &p[..]))),
            0.727_272_727_272_727_3,
        );
        let none = [[false; 2]; 2];
        assert_eq!(f1_micro([(&none[0][..], &none[1][..])]), None);
    }

    #[test]
    fn one_class_leaves_matthews_undefined() {
        assert_eq!(table(&[1, 1, 1], &[1, 1, 1]).matthews(), None);
        assert_eq!(table(&[1, 1, 1], &[1, 0, 1]).matthews(), None);
        assert_eq!(table(&[1, 0, 1], &[1, 1, 1]).matthews(), None);
        let ones = table(&[0, 0], &[0, 0]);
        assert_eq!(ones.f1(1), None);
        assert_eq!(ones.f1_macro(), Some(1.0));
        let empty = table(&[], &[]);
        assert_eq!(
            (empty.accuracy(), empty.f1_macro(), empty.matthews()),
            (None, None, None)
        );
    }

    proptest! {
        #[test]
        fn bounds_and_renaming(
            pairs in prop::collection::vec((0usize..5, 0usize..5), 1..60),
            shift in 1usize..5,
        ) {
            let t = Confusion::new(pairs.iter().copied());
            let rename = |class: usize| (class + shift) % 5;
            let renamed = Confusion::new(pairs.iter().map(|(e, p)| (rename(*e), rename(*p))));
            for f in [Confusion::accuracy, Confusion::f1_macro, Confusion::matthews] {
                let (a, b) = (f(&t), f(&renamed));
                prop_assert_eq!(a.is_some(), b.is_some());
                if let (Some(a), Some(b)) = (a, b) {
                    prop_assert!((a - b).abs() < 1e-12);
                    prop_assert!((-1.0..=1.0).contains(&a));
                }
            }
            prop_assert_eq!(t.rows(5).concat().iter().sum::<u64>(), pairs.len() as u64);
            let perfect = Confusion::new(pairs.iter().map(|(e, _)| (*e, *e)));
            prop_assert!(perfect.matthews().is_none_or(|m| (m - 1.0).abs() < 1e-12));
        }
    }
}
