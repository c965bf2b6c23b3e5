//! Rounding to nearest, at the scale of least error.

use rayon::prelude::*;

use super::coded::{Coded, clips, largest, round, rounding_error};

/// One scale for each of the output channels of `w` `[outputs][inputs]`. `importance` has one
/// weight for the error of each input, its second moment; `floor` is the smallest scale that each
/// channel may have.
pub(crate) fn per_channel(w: &[f32], importance: &[f32], floor: &[f32], limit: f32) -> Coded {
    let k = importance.len().max(1);
    let channels: Vec<(Vec<i8>, f32, f32)> = w
        .par_chunks(k)
        .zip(floor)
        .map(|(w, &floor)| {
            let max = largest(w);
            let (scale, clip) = best_scale(clips(limit), max, floor, limit, |s| {
                rounding_error(w, importance, s, limit)
            });
            (round(w, scale, limit).collect(), scale, clip)
        })
        .collect();
    let scales = channels.iter().map(|c| c.1).collect();
    let clips = channels.iter().map(|c| c.2).collect();
    Coded {
        codes: channels.into_iter().flat_map(|c| c.0).collect(),
        scales,
        clips,
    }
}

/// One scale for the whole of `w` `[outputs][inputs]`, every input as important as any other.
pub(crate) fn per_tensor(w: &[f32], outputs: usize, floor: f32, limit: f32) -> Coded {
    let ones = vec![1.0; w.len()];
    let (scale, clip) = best_scale(tensor_clips(), largest(w), floor, limit, |s| {
        rounding_error(w, &ones, s, limit)
    });
    Coded {
        codes: round(w, scale, limit).collect(),
        scales: vec![scale; outputs],
        clips: vec![clip; outputs],
    }
}

/// Clips tried for a whole tensor, whose largest weight may be far from all others: 1 down to 0.03.
fn tensor_clips() -> impl Iterator<Item = f32> {
    (0..70).map(|i| 0.95f32.powi(i))
}

/// The scale of least error and its clip. `floor` is above 0; it is the scale of a channel of
/// zeros.
fn best_scale(
    clips: impl Iterator<Item = f32>,
    max: f32,
    floor: f32,
    limit: f32,
    error: impl Fn(f32) -> f64,
) -> (f32, f32) {
    let mut best = (f64::INFINITY, floor, 1.0);
    for clip in clips {
        let scale = (max * clip / limit).max(floor);
        let e = error(scale);
        if e < best.0 {
            best = (e, scale, clip);
        }
    }
    (best.1, best.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_channel_of_zeros_takes_the_floor() {
        let c = per_channel(&[0.0; 8], &[1.0; 4], &[0.25, 0.5], 7.0);
        assert_eq!((c.codes, c.scales), (vec![0; 8], vec![0.25, 0.5]));
    }

    #[test]
    fn an_outlier_is_clipped_for_the_sake_of_the_others() {
        let mut w = vec![0.11f32; 400];
        w.iter_mut().step_by(3).for_each(|w| *w = -0.05);
        w[0] = 1.0;
        let c = per_channel(&w, &vec![1.0; 400], &[1e-9], 7.0);
        assert!(c.clips[0] < 1.0);
        let clipped = rounding_error(&w, &vec![1.0; 400], c.scales[0], 7.0);
        assert!(clipped < rounding_error(&w, &vec![1.0; 400], 1.0 / 7.0, 7.0));
    }

    proptest! {
        #[test]
        fn codes_are_legal_and_no_weight_within_range_is_off_by_more_than_half_a_step(
            w in proptest::collection::vec(-1f32..1.0, 16),
            limit in prop_oneof![Just(7f32), Just(127f32)],
        ) {
            let by_channel = per_channel(&w, &[1.0; 8], &[1e-9; 2], limit);
            for c in [by_channel, per_tensor(&w, 2, 1e-9, limit)] {
                for (i, (w, code)) in w.iter().zip(&c.codes).enumerate() {
                    let scale = c.scales[i / 8];
                    prop_assert!(f32::from(code.abs()) <= limit);
                    let e = (w - f32::from(*code) * scale).abs();
                    prop_assert!(e <= scale * 0.5001 || f32::from(code.abs()) == limit);
                }
            }
        }
    }
}
