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
            let (f, o) = (f64::from(*f), f64::from(*o));
            self.signal += f * f;
            self.noise += (f - o) * (f - o);
        }
    }

    /// Ratio of the energies in decibels; `None` without signal or without noise, where it is not
    /// finite.
    pub fn sqnr_db(&self) -> Option<f64> {
        let ratio = self.signal / self.noise;
        (ratio > 0.0 && ratio.is_finite()).then(|| 10.0 * ratio.log10())
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
        n.add(&[10.0], &[10.0]);
        assert!(n.sqnr_db().unwrap() > 20.0);
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
    }
}
