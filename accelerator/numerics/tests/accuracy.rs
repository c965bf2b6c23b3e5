//! What the integer operations lose against f64, and the bounds that `docs/numerics.md` states.
//!
//! The figures of the document are printed by
//! `cargo test -p fqbert-numerics --test accuracy -- --nocapture`.

use fqbert_numerics::gelu::{Activation, gelu_table, lookup};
use fqbert_numerics::layernorm::{
    LayerNormParams, N_MAX, RowStatistics, layernorm_row, mean_reciprocal, quantize, rsqrt,
};
use fqbert_numerics::softmax::{exp_table, softmax_row};
use fqbert_random::Random;

/// Standard normal, as a sum of twelve uniforms.
fn normal(random: &mut Random) -> f64 {
    (0..12).map(|_| random.unit_f64()).sum::<f64>() - 6.0
}

fn multiples_of_8() -> impl Iterator<Item = usize> {
    (8..=N_MAX).step_by(8)
}

#[test]
fn reciprocal_square_root() {
    let error = |v: u64, at: f64| {
        let (r, k) = rsqrt(v);
        (f64::from(r) * 2f64.powi(-23 - k) * at.sqrt() - 1.0).abs()
    };
    // Every mantissa, exactly and with the bits that the shift drops as large as they can be.
    let (mut table, mut whole) = (0f64, 0f64);
    for f in 1u64 << 14..1 << 16 {
        assert!((1 << 15..1 << 16).contains(&rsqrt(f).0));
        table = table.max(error(f, f as f64));
        let v = (f << 38) + (1 << 38) - 1;
        whole = whole
            .max(error(v, v as f64))
            .max(error(f << 38, (f << 38) as f64));
    }
    println!("rsqrt: relative error of tables {table:.2e}, with dropped bits {whole:.2e}");
    assert!(table < 3.1e-5 && whole < 6e-5);
    for bits in 0..64 {
        for v in [1u64 << bits, (1 << bits) + ((1 << bits) - 1)] {
            assert!(error(v, v as f64) < 6e-5, "{v}");
        }
    }
}

#[test]
fn row_statistics_stay_in_their_widths() {
    let (mut shifts, mut rhos) = ((u32::MAX, 0), (i64::MAX, 0));
    for n in multiples_of_8() {
        let (inv, q) = mean_reciprocal(n);
        assert!(
            (1 << 20..1 << 21).contains(&inv) && (19..=28).contains(&q),
            "N {n}"
        );
        let half: Vec<i16> = (0..n)
            .map(|c| if c % 2 == 0 { 32767 } else { -32767 })
            .collect();
        let mut step = vec![-32767i16; n];
        step[n - 1] += 1;
        let rows = [
            vec![32767; n],
            vec![-32767; n],
            vec![21845; n],
            vec![0; n],
            half,
            step,
        ];
        for (kind, x) in rows.iter().enumerate() {
            for eps in [1, 40, u32::MAX] {
                let row = RowStatistics::of(x, inv, q, eps);
                assert!((1..1 << 54).contains(&row.variance));
                let c = x.iter().map(|&x| 16 * i64::from(x) - row.mu);
                assert!(c.clone().all(|c| c.abs() < 1 << 20), "21 bits signed");
                if kind < 4 {
                    assert!(
                        c.clone().all(|c| c == 0),
                        "N {n}: a constant row is its mean"
                    );
                } else {
                    let k = rsqrt(row.variance as u64).1;
                    let bits = n.ilog2() as i32 + 1;
                    assert_eq!(
                        row.shift as i32,
                        16 + k - bits,
                        "N {n}: the shift is not raised"
                    );
                }
                shifts = (shifts.0.min(row.shift), shifts.1.max(row.shift));
                rhos = (rhos.0.min(row.rho), rhos.1.max(row.rho));
            }
        }
    }
    println!("layer norm: shift {shifts:?}, rho {rhos:?}");
    assert!(shifts.0 >= 1 && shifts.1 <= 23);
    assert!(rhos.0 >= 1 << 14 && rhos.1 < 1 << 16);
}

/// The mean's reciprocal must not cost more than the half unit that rounding costs.
#[test]
fn mean_is_within_three_quarters_of_a_sixteenth() {
    let mut random = Random::new(1);
    for n in multiples_of_8() {
        let (inv, q) = mean_reciprocal(n);
        let offset = (random.unit_f64() - 0.5) * 60000.0;
        let x: Vec<i16> = (0..n)
            .map(|_| (offset + normal(&mut random) * 900.0) as i16)
            .collect();
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
        let mu = RowStatistics::of(&x, inv, q, 1).mu as f64;
        assert!(
            (mu - 16.0 * mean).abs() <= 0.75,
            "N {n}: {mu} for {}",
            16.0 * mean
        );
    }
}

fn layer_norm_f64(x: &[f64], gamma: &[f32], beta: &[f32], eps: f64) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    let r = 1.0 / (variance + eps).sqrt();
    let parts = x.iter().zip(gamma).zip(beta);
    parts
        .map(|((x, &g), &b)| (x - mean) * r * f64::from(g) + f64::from(b))
        .collect()
}

/// Error of y16 in units of the normalised row's deviation, and of y8 in steps, over rows with a
/// deviation of `deviation` input steps and one outlier of 20 deviations.
#[test]
fn layer_norm_against_f64() {
    const S_IN: f64 = 1.0 / 1024.0;
    const S_Y8: f64 = 1.0 / 16.0;
    const EPS: f64 = 1e-12;
    let mut random = Random::new(2);
    println!(
        "layer norm: N, deviation in steps: worst and rms of (y16 - f64), \
         with codes of gamma and beta; with their floats; y8 in steps"
    );
    for n in [128usize, 384, 768, 1024, 4096] {
        for deviation in [30.0, 300.0, 1500.0] {
            let gamma: Vec<f32> = (0..n)
                .map(|_| (1.0 + 0.2 * normal(&mut random)) as f32)
                .collect();
            let beta: Vec<f32> = (0..n).map(|_| (0.2 * normal(&mut random)) as f32).collect();
            let s_res = 24.0 / 32767.0;
            let p = quantize(&gamma, &beta, EPS, n, S_IN, s_res, S_Y8).unwrap();
            // The codes as floats: what is left is the arithmetic alone.
            let s_gamma = gamma.iter().fold(0f32, |m, g| m.max(g.abs())) as f64 / 127.0;
            let code_gamma: Vec<f32> = p
                .gamma
                .iter()
                .map(|&g| (f64::from(g) * s_gamma) as f32)
                .collect();
            let code_beta: Vec<f32> = p
                .beta
                .iter()
                .map(|&b| (f64::from(b) * s_gamma / 2048.0) as f32)
                .collect();

            let (mut worst, mut square, mut float_square, mut worst8, mut count) =
                (0f64, 0f64, 0f64, 0f64, 0f64);
            for _ in 0..40 {
                let mut x: Vec<i16> = (0..n)
                    .map(|_| (normal(&mut random) * deviation + 200.0) as i16)
                    .collect();
                x[n / 2] = (20.0 * deviation) as i16;
                let real: Vec<f64> = x.iter().map(|&x| f64::from(x) * S_IN).collect();
                let want = layer_norm_f64(&real, &code_gamma, &code_beta, EPS);
                let float = layer_norm_f64(&real, &gamma, &beta, EPS);
                let (mut y16, mut y8) = (vec![0; n], vec![0; n]);
                layernorm_row(&x, &p, &mut y16, &mut y8);
                for c in 0..n {
                    // 24 deviations is where y16 saturates, by the choice of s_res.
                    let error = f64::from(y16[c]) * s_res - want[c].clamp(-24.0, 24.0);
                    worst = worst.max(error.abs());
                    square += error * error;
                    float_square +=
                        (f64::from(y16[c]) * s_res - float[c].clamp(-24.0, 24.0)).powi(2);
                    let y8_want = (want[c] / S_Y8).clamp(-127.0, 127.0);
                    worst8 = worst8.max((f64::from(y8[c]) - y8_want).abs());
                    count += 1.0;
                }
            }
            let (rms, float_rms) = ((square / count).sqrt(), (float_square / count).sqrt());
            println!("  {n:5} {deviation:6}  {worst:.1e} {rms:.1e}  {float_rms:.1e}  {worst8:.3}");
            assert!(rms < 1e-3 && worst < 4e-3 && worst8 < 0.56 && float_rms < 6e-3);
        }
    }
}

/// A stuck or swapped parameter must show: the comparison above is not blind.
#[test]
fn layer_norm_comparison_notices_a_wrong_reciprocal() {
    let n = 384;
    let p = quantize(&vec![1.0; n], &vec![0.0; n], 1e-12, n, 1e-3, 1e-3, 1e-2).unwrap();
    let wrong = LayerNormParams {
        inv: p.inv + p.inv / 100,
        ..p.clone()
    };
    let x: Vec<i16> = (0..n as i16).map(|c| 5000 + 7 * (c % 100)).collect();
    let run = |p: &LayerNormParams| {
        let (mut y16, mut y8) = (vec![0; n], vec![0; n]);
        layernorm_row(&x, p, &mut y16, &mut y8);
        y16
    };
    let off = run(&p)
        .iter()
        .zip(run(&wrong))
        .map(|(a, b)| (a - b).abs())
        .max();
    assert!(off > Some(100));
}

#[test]
fn softmax_against_f64() {
    let mut random = Random::new(3);
    println!(
        "softmax: columns: worst error in steps of 1/255; worst and rms of (sum of a row - 1)"
    );
    for columns in [1usize, 2, 8, 32, 64, 128, 256, 512] {
        let (mut worst, mut worst_sum, mut square_sum, mut rows) = (0f64, 0f64, 0f64, 0f64);
        for scale in [0.01, 0.05, 0.1, 0.3] {
            let table = exp_table(scale);
            for _ in 0..200 {
                let spread = 10.0 + 40.0 * random.unit_f64();
                let x: Vec<i8> = (0..columns)
                    .map(|_| (normal(&mut random) * spread) as i8)
                    .collect();
                let mut p = vec![0; columns];
                softmax_row(&x, 0..columns, &table, &mut p);
                let e: Vec<f64> = x.iter().map(|&x| (f64::from(x) * scale).exp()).collect();
                let total: f64 = e.iter().sum();
                for (e, &p) in e.iter().zip(&p) {
                    worst = worst.max((f64::from(p) - 255.0 * e / total).abs());
                }
                let sum = p.iter().map(|&p| f64::from(p)).sum::<f64>() / 255.0 - 1.0;
                worst_sum = worst_sum.max(sum.abs());
                square_sum += sum * sum;
                rows += 1.0;
            }
        }
        println!(
            "  {columns:4} {worst:.3}  {worst_sum:.3} {:.3}",
            (square_sum / rows).sqrt()
        );
        assert!(worst < 0.55);
        assert!(columns > 128 || worst_sum < 0.16);
    }
}

#[test]
fn gelu_against_f64() {
    let mut worst = 0f64;
    for activation in [Activation::GeluErf, Activation::GeluTanh] {
        for s_in in [0.01, 0.03, 0.05, 0.1] {
            let s_out = 127.0 * s_in / 127.0;
            let table = gelu_table(activation, s_in, s_out);
            for x in -127i8..=127 {
                let want = activation.eval(f64::from(x) * s_in) / s_out;
                worst = worst.max((f64::from(lookup(&table, x)) - want).abs());
            }
        }
    }
    println!("gelu: worst error {worst:.3} output steps");
    assert!(worst <= 0.5);
}
