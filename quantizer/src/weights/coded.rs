//! Codes, and what choosing them takes.

/// Codes of a matrix `[outputs][inputs]` and the scale of each output channel (the same for all,
/// where there is one for the tensor).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Coded {
    pub(crate) codes: Vec<i8>,
    pub(crate) scales: Vec<f32>,
    /// Share of the channel's largest weight that the scale holds, 1 where nothing is clipped.
    pub(crate) clips: Vec<f32>,
}

/// Clips tried with codes up to `limit`: shares of the largest weight, 1 first. Eight bits gain
/// nothing from a narrow range.
pub(super) fn clips(limit: f32) -> impl Iterator<Item = f32> + Clone {
    let step = if limit > 7.0 { 0.01 } else { 0.04 };
    (0..CLIPS).map(move |i| 1.0 - step * i as f32)
}

/// Number of clips tried, the lanes of compensation.
pub(super) const CLIPS: usize = 16;

/// `sum of weight[i] * (w[i] - code[i] * scale)^2` with nearest codes.
pub(super) fn rounding_error(w: &[f32], weight: &[f32], scale: f32, limit: f32) -> f64 {
    // Partial sums of 64 in f32: vectorised, and no digits are lost.
    let inverse = 1.0 / scale;
    let part = |(w, weight): (&[f32], &[f32])| -> f64 {
        let sum: f32 = w
            .iter()
            .zip(weight)
            .map(|(w, weight)| {
                let e = w - (w * inverse).round_ties_even().clamp(-limit, limit) * scale;
                weight * e * e
            })
            .sum();
        f64::from(sum)
    };
    w.chunks(64).zip(weight.chunks(64)).map(part).sum()
}

/// Nearest codes.
pub(super) fn round(w: &[f32], scale: f32, limit: f32) -> impl Iterator<Item = i8> + '_ {
    let inverse = 1.0 / scale;
    w.iter()
        .map(move |w| (w * inverse).round_ties_even().clamp(-limit, limit) as i8)
}

pub(super) fn largest(w: &[f32]) -> f32 {
    w.iter().fold(0.0, |m, w| m.max(w.abs()))
}
