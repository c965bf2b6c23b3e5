//! The scale of an activation that feeds a linear layer, judged by what the layer can still make
//! of the codes.
//!
//! A few channels of a BERT's norms and feed-forward layers reach fifty times the others' size on a
//! few tokens. Kept in range they leave the other channels a handful of codes; saturated they lose
//! much in plain squared error, yet little that matters, since the compensated weights are fitted
//! to the codes: a gain and an offset on the saturated channel restore most of it. So a scale's
//! error is, for each channel, the variance of its values that no linear function of its codes
//! explains, weighted by the energy of the weights on it.

use fqbert_checkpoint::FloatLinear;
use rayon::prelude::*;

use crate::error::QuantizeError;
use crate::ranges::MAX8;

/// Tokens that are enough to judge by.
const ENOUGH: usize = 4096;
/// Scales tried, and the factor between them.
const STEPS: i32 = 22;
const STEP: f64 = 0.87;

/// Energy of all weights on each input of layers that share it, `[inputs]`.
pub(crate) fn energy(layers: &[&FloatLinear]) -> Vec<f64> {
    let k = layers.first().map_or(0, |l| l.inputs());
    let mut energy = vec![0.0; k];
    for row in layers
        .iter()
        .flat_map(|l| l.weight().chunks_exact(k.max(1)))
    {
        energy
            .iter_mut()
            .zip(row)
            .for_each(|(e, w)| *e += f64::from(*w) * f64::from(*w));
    }
    energy
}

/// Sums over tokens for one channel.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    n: f64,
    x: f64,
    xx: f64,
    q: f64,
    qq: f64,
    xq: f64,
}

impl Sums {
    fn add(&mut self, x: f64, q: f64) {
        self.n += 1.0;
        self.x += x;
        self.xx += x * x;
        self.q += q;
        self.qq += q * q;
        self.xq += x * q;
    }

    /// Variance of x that no `gain * q + offset` explains.
    fn unexplained(&self) -> f64 {
        let n = self.n.max(1.0);
        let (mx, mq) = (self.x / n, self.q / n);
        let vx = (self.xx / n - mx * mx).max(0.0);
        let vq = self.qq / n - mq * mq;
        let cov = self.xq / n - mx * mq;
        if vq > 1e-9 {
            (vx - cov * cov / vq).max(0.0)
        } else {
            vx
        }
    }
}

/// The best scale of codes for values of at most `max`: `values` gives rows of `energy.len()`
/// floats at tokens of a range, of which there are `tokens`.
pub(crate) fn scale(
    max: f32,
    tokens: usize,
    energy: &[f64],
    values: impl Fn(usize) -> Result<Vec<f32>, QuantizeError>,
) -> Result<f64, QuantizeError> {
    scale_above(max, None, tokens, energy, values)
}

/// As [`scale`], of values of which none is below `least`, zero or less: the codes start there.
pub(crate) fn scale_above(
    max: f32,
    least: Option<f64>,
    tokens: usize,
    energy: &[f64],
    values: impl Fn(usize) -> Result<Vec<f32>, QuantizeError>,
) -> Result<f64, QuantizeError> {
    if max == 0.0 || energy.is_empty() {
        return Ok(1.0 / MAX8);
    }
    let k = energy.len();
    let widest = match least {
        None => f64::from(max) / MAX8,
        Some(least) => (f64::from(max) - least) / (2.0 * MAX8),
    };
    let mut candidates: Vec<(f64, Vec<Sums>)> = (0..STEPS)
        .map(|i| (widest * STEP.powi(i), vec![Sums::default(); k]))
        .collect();
    for token in (0..tokens).step_by(CHUNK * tokens.div_ceil(ENOUGH).max(1)) {
        let rows = values(token)?;
        candidates.par_iter_mut().for_each(|(scale, sums)| {
            let inverse = (1.0 / *scale) as f32;
            let zero = least.map_or(0, |least| zero(*scale, least)) as f32;
            for row in rows.chunks_exact(k) {
                for (s, x) in sums.iter_mut().zip(row) {
                    let q = ((x * inverse).round_ties_even() - zero).clamp(-127.0, 127.0);
                    s.add(f64::from(*x), f64::from(q));
                }
            }
        });
    }
    let mut best = (f64::INFINITY, widest);
    for (scale, sums) in &candidates {
        let error: f64 = sums
            .iter()
            .zip(energy)
            .map(|(s, e)| s.unexplained() * e)
            .sum();
        if error < best.0 {
            best = (error, *scale);
        }
    }
    Ok(best.1)
}

/// What is taken off each code at a scale so that `least`, zero or less, is just held.
pub(crate) fn zero(scale: f64, least: f64) -> i32 {
    (MAX8 - (-least / scale).ceil()).clamp(0.0, MAX8) as i32
}

/// Tokens that `values` gives at a time.
pub(crate) const CHUNK: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_that_says_yes_or_no_may_saturate() {
        // Channel 0 is 30 on every eighth token and else 0, the others are small.
        let rows: Vec<f32> = (0..512)
            .flat_map(|t: usize| {
                let small = |c: usize| ((t * 7919 + c * 104_729) % 1000) as f32 / 1000.0 - 0.5;
                [
                    if t.is_multiple_of(8) { 30.0 } else { 0.0 },
                    small(1),
                    small(2),
                    small(3),
                ]
            })
            .collect();
        let of = |at: usize| Ok(rows[at * 4..(at + CHUNK).min(512) * 4].to_vec());
        let chosen = scale(30.0, 512, &[1.0; 4], of).unwrap() * MAX8;
        assert!(chosen < 3.0, "{chosen}");
        // A channel of many large values must stay in range.
        let wide: Vec<f32> = rows
            .chunks_exact(4)
            .flat_map(|r| [r[1] * 60.0, r[1], r[2], r[3]])
            .collect();
        let of = |at: usize| Ok(wide[at * 4..(at + CHUNK).min(512) * 4].to_vec());
        let chosen = scale(30.0, 512, &[1.0; 4], of).unwrap() * MAX8;
        assert!(chosen > 20.0, "{chosen}");
    }

    #[test]
    fn codes_that_start_at_the_least_value_are_half_as_coarse() {
        let rows: Vec<f32> = (0..512)
            .map(|t| (t * 7919 % 1000) as f32 / 100.0 - 0.1)
            .collect();
        let of = |at: usize| Ok(rows[at..(at + CHUNK).min(512)].to_vec());
        let plain = scale(9.9, 512, &[1.0], of).unwrap();
        let above = scale_above(9.9, Some(-0.17), 512, &[1.0], of).unwrap();
        assert!(above < 0.6 * plain, "{above} {plain}");
        let zero = f64::from(zero(above, -0.17));
        assert!(
            (-0.17 / above).round() - zero >= -127.0 && zero > 120.0,
            "{zero}"
        );
    }

    #[test]
    fn zeros_have_a_scale() {
        assert_eq!(
            scale(0.0, 4, &[1.0], |_| Ok(vec![0.0; 4])).unwrap(),
            1.0 / MAX8
        );
    }
}
