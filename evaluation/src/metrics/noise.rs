//! Signal to quantization noise.

/// Energies of a float signal and of what another differs from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noise {
    signal: f64,
    noise: f64,
}

impl Noise {
    /// Adds values and what came instead of them.
    pub fn add(&mut self, float: &[f32], other: &[f32]) {
        for (f, o) in float.iter().zip(other) {
            self.add_value(f64::from(*f), f64::from(*o));
        }
    }

    /// Adds a value and what came instead of it.
    pub fn add_value(&mut self, float: f64, other: f64) {
        self.signal += float * float;
        self.noise += (float - other) * (float - other);
    }

    /// Adds the energies of other values.
    pub fn merge(&mut self, other: &Self) {
        self.signal += other.signal;
        self.noise += other.noise;
    }

    /// Ratio of the energies in decibels; `None` without signal or without noise, where it is not
    /// finite.
    pub fn sqnr_db(&self) -> Option<f64> {
        let ratio = self.signal / self.noise;
        (ratio > 0.0 && ratio.is_finite()).then(|| 10.0 * ratio.log10())
    }

    /// The same within -300..=300, for reports that need a number in any case: 300 without noise,
    /// -300 without signal.
    pub fn sqnr_db_bounded(&self) -> f64 {
        const BOUND: f64 = 300.0;
        match self.sqnr_db() {
            Some(db) => db.clamp(-BOUND, BOUND),
            None if self.noise == 0.0 || self.signal / self.noise > 1.0 => BOUND,
            None => -BOUND,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_twenty_decibels() {
        let mut n = Noise::default();
        n.add(&[1.0, -2.0], &[1.1, -2.2]);
        assert!((n.sqnr_db().unwrap() - 20.0).abs() < 1e-5);
        assert_eq!(n.sqnr_db(), Some(n.sqnr_db_bounded()));
        let mut more = Noise::default();
        more.add(&[10.0], &[10.0]);
        n.merge(&more);
        // 5 + 100 over 0.05.
        assert!((n.sqnr_db().unwrap() - 10.0 * 2100f64.log10()).abs() < 1e-5);
    }

    #[test]
    fn nothing_to_compare() {
        assert_eq!(Noise::default().sqnr_db(), None);
        let mut same = Noise::default();
        same.add(&[1.0], &[1.0]);
        assert_eq!(same.sqnr_db(), None);
        let mut silent = Noise::default();
        silent.add(&[0.0], &[1.0]);
        assert_eq!(silent.sqnr_db(), None);
        let bounded = [Noise::default(), same, silent].map(|n| n.sqnr_db_bounded());
        assert_eq!(bounded, [300.0, 300.0, -300.0]);
        let mut near = Noise::default();
        near.add_value(1.0, 1.0 + 1e-16);
        near.add_value(1e200, 1e200);
        near.add_value(0.0, 1e-200);
        assert_eq!(near.sqnr_db_bounded(), 300.0);
    }
}
