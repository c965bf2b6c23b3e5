//! A triangular factor of a covariance.

use rayon::prelude::*;

/// Columns factored before the rest is updated.
const BLOCK: usize = 64;

/// Lower triangular `g` `[n][n]` with `g^T * g = a`, `a` symmetric `[n][n]`; what is above the
/// diagonal is zero. `None` if `a` is not positive definite to rounding.
///
/// It is the ordinary factor of the matrix turned by 180 degrees, turned back, so that row `j` has
/// to do with inputs `0..=j` alone.
pub(crate) fn factor(a: &[f64], n: usize) -> Option<Vec<f64>> {
    let mut l: Vec<f64> = a.iter().rev().copied().collect();
    ordinary(&mut l, n)?;
    // a = J L L^T J = (J L^T J)^T (J L^T J); g[i][j] = L[n-1-j][n-1-i].
    let mut g = vec![0.0; n * n];
    for (i, row) in g.chunks_exact_mut(n.max(1)).enumerate() {
        for (j, v) in row.iter_mut().enumerate().take(i + 1) {
            *v = l[(n - 1 - j) * n + (n - 1 - i)];
        }
    }
    Some(g)
}

/// The ordinary factor in place, lower triangle; the upper is left as it is.
fn ordinary(l: &mut [f64], n: usize) -> Option<()> {
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        // The diagonal block. Columns before `start` are already taken off.
        for j in start..end {
            for i in j..end {
                let (a, b) = (&l[i * n + start..i * n + j], &l[j * n + start..j * n + j]);
                let v = l[i * n + j] - dot(a, b);
                l[i * n + j] = if i > j {
                    v / l[j * n + j]
                } else if v > 0.0 && v.is_finite() {
                    v.sqrt()
                } else {
                    return None;
                };
            }
        }
        // The rows below it, then what they take off the rest.
        let (done, rest) = l.split_at_mut(end * n);
        let done = &*done;
        rest.par_chunks_mut(n).for_each(|row| {
            for j in start..end {
                let v = row[j] - dot(&row[start..j], &done[j * n + start..j * n + j]);
                row[j] = v / done[j * n + j];
            }
        });
        let panel: Vec<f64> = rest
            .chunks_exact(n)
            .flat_map(|row| row[start..end].iter().copied())
            .collect();
        let width = end - start;
        rest.par_chunks_mut(n).enumerate().for_each(|(i, row)| {
            let own = &panel[i * width..(i + 1) * width];
            for (j, other) in panel.chunks_exact(width).enumerate().take(i + 1) {
                row[end + j] -= dot(own, other);
            }
        });
    }
    Some(())
}

/// Eight partial sums, which the compiler keeps in vector registers.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = a8
        .remainder()
        .iter()
        .zip(b8.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a8.zip(b8) {
        sums.iter_mut()
            .zip(a.iter().zip(b))
            .for_each(|(s, (a, b))| *s += a * b);
    }
    sums.iter().sum::<f64>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use fqbert_random::Random;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        assert!(factor(&[1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(factor(&[0.0], 1).is_none());
        assert!(factor(&[f64::NAN], 1).is_none());
        assert_eq!(factor(&[], 0), Some(vec![]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_factor_multiplies_back(n in 1usize..150, seed: u64) {
            let mut random = Random::new(seed);
            let b: Vec<f64> = (0..n * n).map(|_| 0.5 * f64::from(random.signed_unit())).collect();
            let mut a = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..n {
                    a[i * n + j] = dot(&b[i * n..(i + 1) * n], &b[j * n..(j + 1) * n]);
                }
                a[i * n + i] += 0.1;
            }
            let g = factor(&a, n).unwrap();
            for i in 0..n {
                for j in 0..n {
                    prop_assert!(j <= i || g[i * n + j] == 0.0);
                    let back: f64 = (0..n).map(|k| g[k * n + i] * g[k * n + j]).sum();
                    prop_assert!((back - a[i * n + j]).abs() < 1e-9 * n as f64);
                }
            }
        }
    }
}
