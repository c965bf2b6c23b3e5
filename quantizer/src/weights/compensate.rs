//! Rounding with error compensation.
//!
//! A channel's output error on the calibration data is `e^T * C * e` with `e` the difference of
//! float and coded weights and `C` the covariance of the inputs. With `C = G^T * G`, `G` lower
//! triangular, it is the sum over inputs j of `(G[j][j] * e[j] + sum over i < j of G[j][i] *
//! e[i])^2`: going through the inputs in order, each code is chosen to make its own square
//! smallest given the codes before it. That is GPTQ (arXiv 2210.17323) without the inverse of the
//! covariance. Inputs of largest variance go first, when the most inputs are left to make up for
//! them. All clips are tried side by side, and the one of least error is taken.
//!
//! The weights that are aimed at are not those of the checkpoint, but those that come nearest to
//! the float model's output from the inputs that the quantized layers before give: `W + R * C^-1`,
//! `R` the covariance of the residual with the inputs.

use rayon::prelude::*;

use super::cholesky::factor;
use super::coded::{CLIPS, Coded, clips, largest};
use super::moments::{Moments, Residual};
use super::rtn::per_channel;

/// Added to the covariance's diagonal, as a share of its mean: GPTQ's, against directions that the
/// calibration data hardly has.
const DAMPING: f64 = 0.01;

/// Codes of `w` `[n][k]` with compensation and the biases' correction `[n]`; see [`per_channel`]
/// for `floor` and `limit`.
pub(crate) fn compensate(
    w: &[f32],
    moments: &Moments,
    residual: &Residual,
    floor: &[f32],
    limit: f32,
) -> (Coded, Vec<f64>) {
    let k = moments.inputs();
    let mut coded = None;
    let covariance = moments.covariance();
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&a, &b| {
        covariance[b * k + b]
            .total_cmp(&covariance[a * k + a])
            .then(a.cmp(&b))
    });
    if let Some(g) = damped_factor(&covariance, &order, k) {
        let pull = moments.residual_covariance(residual);
        let narrow: Vec<f32> = g.iter().map(|v| *v as f32).collect();
        let channels: Vec<(Vec<i8>, f32, f32)> = w
            .par_chunks(k)
            .zip(pull.par_chunks(k))
            .zip(floor)
            .map(|((w, pull), &floor)| {
                let aim = aim(w, pull, &g, &order);
                let (codes, scale, clip) = channel(&aim, &narrow, floor, limit);
                let mut unordered = vec![0; k];
                order
                    .iter()
                    .zip(codes)
                    .for_each(|(&at, code)| unordered[at] = code);
                (unordered, scale, clip)
            })
            .collect();
        coded = Some(Coded {
            scales: channels.iter().map(|c| c.1).collect(),
            clips: channels.iter().map(|c| c.2).collect(),
            codes: channels.into_iter().flat_map(|c| c.0).collect(),
        });
    }
    // Inputs that never vary teach nothing.
    let coded = coded.unwrap_or_else(|| per_channel(w, &moments.second(), floor, limit));
    let bias = bias_correction(w, &coded, moments, residual);
    (coded, bias)
}

/// What to add to each bias so that the mean output is the float model's.
fn bias_correction(w: &[f32], coded: &Coded, moments: &Moments, residual: &Residual) -> Vec<f64> {
    let (k, mean) = (moments.inputs().max(1), moments.mean());
    let rows = w
        .chunks_exact(k)
        .zip(coded.codes.chunks_exact(k))
        .zip(&coded.scales);
    moments
        .residual_mean(residual)
        .into_iter()
        .zip(rows)
        .map(|(r, ((w, codes), scale))| {
            let lost = w.iter().zip(codes).zip(&mean);
            let lost: f64 = lost
                .map(|((w, c), m)| (f64::from(*w) - f64::from(*c) * f64::from(*scale)) * m)
                .sum();
            r + lost
        })
        .collect()
}

/// The factor of the covariance in the order of rounding, or `None` if nothing varies.
fn damped_factor(covariance: &[f64], order: &[usize], k: usize) -> Option<Vec<f64>> {
    let mean = covariance.iter().step_by(k + 1).sum::<f64>() / k.max(1) as f64;
    let mut damping = DAMPING * mean;
    if !(damping > 0.0 && damping.is_finite()) {
        return None;
    }
    // Sums in f32 may leave tiny negative eigenvalues beyond the damping; ever more of it ends
    // that.
    for _ in 0..8 {
        let mut a = Vec::with_capacity(k * k);
        for &i in order {
            a.extend(
                order
                    .iter()
                    .map(|&j| covariance[i * k + j] + if i == j { damping } else { 0.0 }),
            );
        }
        if let Some(g) = factor(&a, k) {
            return Some(g);
        }
        damping *= 10.0;
    }
    None
}

/// `w + C^-1 * pull`, in the order of rounding.
fn aim(w: &[f32], pull: &[f64], g: &[f64], order: &[usize]) -> Vec<f32> {
    let k = order.len();
    let mut z: Vec<f64> = order.iter().map(|&i| pull[i]).collect();
    // G^T y = pull from the last input back, then G z = y.
    for j in (0..k).rev() {
        let row = &g[j * k..j * k + j + 1];
        let y = z[j] / row[j];
        z[..j].iter_mut().zip(row).for_each(|(z, g)| *z -= g * y);
        z[j] = y;
    }
    for j in 0..k {
        let row = &g[j * k..j * k + j + 1];
        let sum: f64 = row[..j].iter().zip(&z).map(|(g, z)| g * z).sum();
        z[j] = (z[j] - sum) / row[j];
    }
    order
        .iter()
        .zip(z)
        .map(|(&i, z)| (f64::from(w[i]) + z) as f32)
        .collect()
}

/// Codes of one channel at the clip of least error, with their scale and the clip.
fn channel(w: &[f32], g: &[f32], floor: f32, limit: f32) -> (Vec<i8>, f32, f32) {
    let k = w.len();
    let max = largest(w);
    let mut scales = [floor; CLIPS];
    let mut shares = [1.0; CLIPS];
    for ((s, share), clip) in scales.iter_mut().zip(&mut shares).zip(clips(limit)) {
        *s = (max * clip / limit).max(floor);
        *share = clip;
    }
    let inverse = scales.map(|s| 1.0 / s);
    let mut errors: Vec<[f32; CLIPS]> = Vec::with_capacity(k);
    let mut codes: Vec<[i8; CLIPS]> = Vec::with_capacity(k);
    let mut cost = [0.0f64; CLIPS];
    for (j, &w) in w.iter().enumerate() {
        let row = &g[j * k..j * k + j + 1];
        let mut carried = [0.0f32; CLIPS];
        for (g, e) in row.iter().zip(&errors) {
            for (c, e) in carried.iter_mut().zip(e) {
                *c += g * e;
            }
        }
        let own = row[j];
        let (mut error, mut code) = ([0.0; CLIPS], [0; CLIPS]);
        for l in 0..CLIPS {
            let wanted = w + carried[l] / own;
            let c = (wanted * inverse[l]).round_ties_even().clamp(-limit, limit);
            code[l] = c as i8;
            error[l] = w - c * scales[l];
            let left = f64::from(own * error[l] + carried[l]);
            cost[l] += left * left;
        }
        errors.push(error);
        codes.push(code);
    }
    let mut best = 0;
    for l in 1..CLIPS {
        if cost[l] < cost[best] {
            best = l;
        }
    }
    (
        codes.iter().map(|c| c[best]).collect(),
        scales[best],
        shares[best],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const K: usize = 24;
    const N: usize = 3;
    const TOKENS: usize = 400;

    /// Uniform values in -0.5..0.5.
    fn noise(seed: u64) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u32 << 24) as f32 - 0.5
        }
    }

    /// Correlated inputs with a mean, `[TOKENS][K]`, and weights `[N][K]`.
    fn data(seed: u64) -> (Vec<f32>, Vec<f32>) {
        let mut next = noise(seed);
        let x = (0..TOKENS).flat_map(|_| {
            let shared = next();
            let own: Vec<f32> = (0..K).map(|_| 2.0 * shared + next() + 0.3).collect();
            own
        });
        let x = x.collect();
        (x, (0..N * K).map(|_| next()).collect())
    }

    fn apply(w: &[f32], x: &[f32]) -> Vec<f64> {
        let dot = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| f64::from(x * w)).sum();
        x.chunks_exact(K)
            .flat_map(|x| w.chunks_exact(K).map(move |w| dot(x, w)))
            .collect()
    }

    fn values(c: &Coded) -> Vec<f32> {
        let rows = c.codes.chunks_exact(K).zip(&c.scales);
        rows.flat_map(|(codes, s)| codes.iter().map(move |c| f32::from(*c) * s))
            .collect()
    }

    /// Squared error of the outputs once each output's mean error is taken off.
    fn error(w: &[f32], coded: &Coded, x: &[f32]) -> f64 {
        let (a, b) = (apply(w, x), apply(&values(coded), x));
        let d: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        (0..N)
            .map(|n| {
                let of = || d.iter().skip(n).step_by(N);
                let mean = of().sum::<f64>() / TOKENS as f64;
                of().map(|d| (d - mean) * (d - mean)).sum::<f64>()
            })
            .sum()
    }

    fn moments(x: &[f32]) -> Moments {
        let mut m = Moments::new(K, true);
        m.add(x);
        m
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn codes_are_legal_and_no_mean_error_is_left(seed: u64) {
            let (x, w) = data(seed);
            let m = moments(&x);
            let floor = [1e-9; N];
            let (coded, bias) = compensate(&w, &m, &Residual::new(N, K), &floor, 7.0);
            prop_assert!(coded.codes.iter().all(|c| (-7..=7).contains(c)));
            let (a, b) = (apply(&w, &x), apply(&values(&coded), &x));
            for (n, bias) in bias.iter().enumerate() {
                let of = |v: &[f64]| v.iter().skip(n).step_by(N).sum::<f64>() / TOKENS as f64;
                prop_assert!((of(&a) - of(&b) - bias).abs() < 1e-3);
            }
        }

        #[test]
        fn codes_are_fitted_to_what_the_inputs_became(seed: u64) {
            // The quantized stages before give half of each input: weights of eight bits double.
            let (x, w) = data(seed);
            let half: Vec<f32> = x.iter().map(|x| x * 0.5).collect();
            let m = moments(&half);
            let mut residual = Residual::new(N, K);
            let r: Vec<f32> = apply(&w, &half).iter().map(|v| *v as f32).collect();
            residual.add(&r, &half, K);
            let (coded, _) = compensate(&w, &m, &residual, &[1e-9; N], 127.0);
            let double: Vec<f32> = w.iter().map(|w| 2.0 * w).collect();
            let signal = error(&double, &Coded { codes: vec![0; N * K], ..coded.clone() }, &half);
            prop_assert!(error(&double, &coded, &half) < 0.01 * signal);
        }
    }

    #[test]
    fn compensation_beats_rounding_to_nearest() {
        // One choice after another has no guarantee for a single channel, where nearest may be
        // lucky: over 96 channels it must be far better.
        let (mut compensated, mut rounded) = (0.0, 0.0);
        for seed in 0..32 {
            let (x, w) = data(seed);
            let m = moments(&x);
            let (coded, _) = compensate(&w, &m, &Residual::new(N, K), &[1e-9; N], 7.0);
            compensated += error(&w, &coded, &x);
            rounded += error(&w, &per_channel(&w, &m.second(), &[1e-9; N], 7.0), &x);
        }
        assert!(compensated < 0.5 * rounded, "{compensated} {rounded}");
    }

    #[test]
    fn inputs_that_never_vary_are_rounded_to_nearest() {
        let w = vec![0.3; N * K];
        let m = moments(&[0.0; K * 4]);
        let (coded, bias) = compensate(&w, &m, &Residual::new(N, K), &[1e-9; N], 7.0);
        assert_eq!(bias, [0.0; N]);
        assert_eq!(coded, per_channel(&w, &m.second(), &[1e-9; N], 7.0));
    }
}
