//! The scale of attention scores.
//!
//! What matters of a score is its distance to the largest of its row. Codes hold -127..=127, so a
//! coarse scale rounds the scores that share the probability, and a fine one cuts the largest off
//! and makes them equal; cutting off the smallest costs nothing. So each scale of a fixed grid is
//! judged by the squared error of the probabilities that come of it.

/// Scales tried: `2^-10 * 2^(i/3)`, up to `2^4`.
const GRID: usize = 43;

/// Squared error of probabilities for each scale of the grid.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScoreErrors([f64; GRID]);

impl Default for ScoreErrors {
    fn default() -> Self {
        ScoreErrors([0.0; GRID])
    }
}

impl ScoreErrors {
    /// Scores of one layer that are enough to judge by.
    pub(crate) const ENOUGH: usize = 2_000_000;

    /// Adds rows of `cols` scores and their probabilities in float.
    pub(crate) fn add(&mut self, scores: &[f32], probs: &[f32], cols: usize) {
        let mut exps = vec![0.0f32; cols];
        for (i, total) in self.0.iter_mut().enumerate() {
            let scale = scale(i);
            let inverse = (1.0 / scale) as f32;
            let table: [f32; 256] = std::array::from_fn(|i| (-(i as f64) * scale).exp() as f32);
            let code = |s: f32| (s * inverse).round_ties_even().clamp(-127.0, 127.0) as i32;
            for (scores, probs) in scores
                .chunks_exact(cols.max(1))
                .zip(probs.chunks_exact(cols.max(1)))
            {
                let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let largest = code(largest);
                let mut sum = 0.0;
                for (e, s) in exps.iter_mut().zip(scores) {
                    *e = table
                        .get((largest - code(*s)) as usize)
                        .copied()
                        .unwrap_or(0.0);
                    sum += *e;
                }
                let factor = 255.0 / sum;
                let row = exps.iter().zip(probs).map(|(e, p)| {
                    let d = (e * factor).round() / 255.0 - p;
                    d * d
                });
                *total += f64::from(row.sum::<f32>());
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &ScoreErrors) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a += b);
    }

    /// The scale of least error; of equals the coarsest, which leaves the most room.
    pub(crate) fn best(&self) -> f64 {
        let mut best = 0;
        for i in 1..GRID {
            if self.0[i] <= self.0[best] {
                best = i;
            }
        }
        scale(best)
    }
}

fn scale(i: usize) -> f64 {
    2f64.powf(i as f64 / 3.0 - 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(scores: &[f32]) -> f64 {
        let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exps: Vec<f32> = scores.iter().map(|s| (s - max).exp()).collect();
        let sum: f32 = exps.iter().sum();
        let probs: Vec<f32> = exps.iter().map(|e| e / sum).collect();
        let mut e = ScoreErrors::default();
        e.add(scores, &probs, scores.len());
        e.best()
    }

    #[test]
    fn the_largest_scores_fit_and_are_resolved() {
        let scale = best(&[10.0, 9.6, 9.3, 7.7, 0.0, -3.0]);
        assert!(scale * 127.0 >= 10.0 && scale < 0.2, "{scale}");
    }

    #[test]
    fn very_small_scores_may_saturate() {
        let scale = best(&[1.0, 0.93, 0.85, 0.52, 0.11, -900.0]);
        assert!(scale * 127.0 < 30.0, "{scale}");
    }

    #[test]
    fn one_column_is_as_good_at_any_scale() {
        assert_eq!(best(&[3.0]), 16.0);
    }
}
