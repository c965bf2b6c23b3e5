use super::*;
use proptest::prelude::*;

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

#[test]
fn what_cannot_be_quantized_says_so() {
    let ones = vec![1.0f32; 16];
    let run = |gamma: &[f32], beta: &[f32], eps, n, s_in, s_res, s_y8| {
        quantize(gamma, beta, eps, n, s_in, s_res, s_y8).unwrap_err()
    };
    for n in [0, 4, 7, 12, 4104, usize::MAX] {
        assert_eq!(
            run(&ones, &ones, 0.0, n, 1.0, 1.0, 1.0),
            LayerNormError::Size { n }
        );
    }
    let e = run(&ones, &ones[..9], 0.0, 16, 1.0, 1.0, 1.0);
    assert_eq!(
        e,
        LayerNormError::Length {
            name: "beta",
            len: 9,
            n: 16
        }
    );
    let mut broken = ones.clone();
    broken[11] = f32::NEG_INFINITY;
    let e = run(&broken, &ones, 0.0, 16, 1.0, 1.0, 1.0);
    assert!(e.to_string().contains("gamma[11] is -inf"), "{e}");
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for (s_in, s_res, s_y8, name) in [
            (bad, 1.0, 1.0, "s_in"),
            (1.0, bad, 1.0, "s_res"),
            (1.0, 1.0, bad, "s_y8"),
        ] {
            let e = run(&ones, &ones, 0.0, 16, s_in, s_res, s_y8);
            assert!(
                matches!(e, LayerNormError::Scale { name: n, .. } if n == name),
                "{e}"
            );
        }
    }
    let e = run(&ones, &ones, -1e-5, 16, 1.0, 1.0, 1.0);
    assert!(matches!(e, LayerNormError::Scale { name: "eps", .. }));
    let e = run(&ones, &ones, 0.0, 16, 1.0, 1e-30, 1.0);
    assert!(
        matches!(e, LayerNormError::Output { name: "y16", .. }),
        "{e}"
    );
    let e = run(&ones, &ones, 0.0, 16, 1.0, 1.0, 1e-9);
    assert!(
        matches!(e, LayerNormError::Output { name: "y8", .. }),
        "{e}"
    );
}

fn any_params(n: usize) -> impl Strategy<Value = LayerNormParams> {
    let channels = (
        proptest::collection::vec(any::<i8>(), n),
        proptest::collection::vec(any::<i32>(), n),
    );
    let mean = (any::<u32>(), any::<u8>(), any::<u32>());
    let outputs = (any::<u16>(), any::<u8>(), any::<u16>(), any::<u8>());
    (channels, mean, outputs).prop_map(|((gamma, beta), (inv, q, eps), (m16, s16, m8, s8))| {
        LayerNormParams {
            gamma,
            beta,
            inv,
            q,
            eps,
            m16,
            s16,
            m8,
            s8,
        }
    })
}

proptest! {
    /// No row and no parameters overflow (tests are built with overflow checks) or leave the
    /// widths that the document gives.
    #[test]
    fn every_row_and_parameter_is_total(
        (x, p) in (1usize..300).prop_flat_map(|n| {
            let x = prop_oneof![
                proptest::collection::vec(any::<i16>(), n),
                any::<i16>().prop_map(move |v| vec![v; n]),
                proptest::collection::vec(-1i16..=1, n),
            ];
            (x, any_params(n))
        })
    ) {
        let row = RowStatistics::of(&x, p.inv, p.q, p.eps);
        prop_assert!(row.mu.abs() < 1 << 19);
        prop_assert!((1 << 14..1 << 16).contains(&row.rho));
        prop_assert!((1..=23).contains(&row.shift));
        for &x in &x {
            prop_assert!(row.normalise(x).abs() < 1 << 17);
        }
        let (y16, y8) = run(&x, &p);
        prop_assert!(!y16.contains(&i16::MIN) && !y8.contains(&i8::MIN));
    }

    /// Adding a constant to a row moves its mean and nothing else, up to the rounding of the mean.
    #[test]
    fn shifting_a_row_changes_nothing(
        x in proptest::collection::vec(-2000i16..2000, 64), shift in -30000i16..30000
    ) {
        let p = plain_params(64);
        let moved: Vec<i16> = x.iter().map(|x| x + shift).collect();
        let (a, b) = (run(&x, &p), run(&moved, &p));
        // 64 is a power of two: its reciprocal is exact, and 16 * shift is whole.
        prop_assert_eq!(a, b);
    }
}
