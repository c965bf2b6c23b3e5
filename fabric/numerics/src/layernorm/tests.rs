use super::*;

fn plain_params(n: usize) -> LayerNormParams {
    // gamma 1, beta 0; z = 1 becomes 127 * 2^11 * 2^-18 * 2^12 = 4064 at y16, 127 / 4 at y8.
    quantize(
        &vec![1.0; n],
        &vec![0.0; n],
        1e-12,
        n,
        1.0,
        1.0 / 4096.0,
        1.0 / 32.0,
    )
    .unwrap()
}

fn run(x: &[i16], p: &LayerNormParams) -> (Vec<i16>, Vec<i8>) {
    let (mut y16, mut y8) = (vec![0; x.len()], vec![0; x.len()]);
    layernorm_row(x, p, &mut y16, &mut y8);
    (y16, y8)
}

#[test]
fn tables_are_the_formula_of_the_document() {
    let f = |i: usize| (8388608.0 / (256.0 * i as f64).sqrt()).round_ties_even();
    for i in 64..256 {
        let base = f(i).min(65535.0);
        assert_eq!(f64::from(RSQRT_BASE[i - 64]), base, "B[{i}]");
        assert_eq!(f64::from(RSQRT_SLOPE[i - 64]), base - f(i + 1), "D[{i}]");
    }
    assert_eq!((RSQRT_BASE[0], RSQRT_SLOPE[0]), (65535, 505));
}

#[test]
fn constant_rows_give_beta() {
    for n in [8, 24, 128, 384, 768, 1000, 1024, 4088, 4096] {
        let beta: Vec<f32> = (0..n)
            .map(|c| (c as f32 - n as f32 / 2.0) / n as f32)
            .collect();
        let mut p = quantize(&vec![1.0; n], &beta, 1e-12, n, 1e-3, 1e-3, 1e-2).unwrap();
        p.eps = 1;
        for value in [0, 1, -1, 1234, 32767, -32767, 21845] {
            let (y16, _) = run(&vec![value; n], &p);
            for (y, b) in y16.iter().zip(&beta) {
                assert!(
                    (f64::from(*y) * 1e-3 - f64::from(*b)).abs() < 6e-4,
                    "n {n} value {value}"
                );
            }
        }
    }
}

#[test]
fn two_values_normalise_to_plus_and_minus_one() {
    let x: Vec<i16> = (0..16)
        .map(|c| if c % 2 == 0 { 900 } else { -900 })
        .collect();
    let (y16, y8) = run(&x, &plain_params(16));
    for c in 0..16 {
        let sign = if c % 2 == 0 { 1 } else { -1 };
        assert!((y16[c] * sign - 4096).abs() <= 1, "{}", y16[c]);
        assert_eq!(i16::from(y8[c]), 32 * sign);
    }
}
