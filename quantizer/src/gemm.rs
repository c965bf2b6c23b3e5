//! Matrix products, split into fixed parts so that results do not depend on threads.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

/// Rows that one task computes.
const ROWS: usize = 64;
/// Terms whose sum of 8-bit by 8-bit products is exact in f32: 127 * 127 * 1024 < 2^24.
const EXACT_TERMS: usize = 1024;

/// A view of `rows * cols` values with `stride` values from row to row; `None` if `values` is too
/// short.
fn view(values: &[f32], rows: usize, cols: usize, stride: usize) -> Option<ArrayView2<'_, f32>> {
    use ndarray::ShapeBuilder;
    ArrayView2::from_shape((rows, cols).strides((stride, 1)), values).ok()
}

fn view_mut(values: &mut [f32], rows: usize, cols: usize) -> Option<ArrayViewMut2<'_, f32>> {
    ArrayViewMut2::from_shape((rows, cols), values).ok()
}

/// `x * w^T` of codes, exact: `x` `[rows][k]`, `w` `[n][k]` to `[rows][n]`.
///
/// Codes are held as f32, whose products and sums are exact below 2^24; longer sums are taken in
/// parts. That makes it a floating point matrix product at full speed, with integer results.
pub(crate) fn codes_nt(x: &[f32], w: &[f32], k: usize, n: usize) -> Vec<i32> {
    let rows = x.len().checked_div(k).unwrap_or(0);
    let mut y = vec![0i32; rows * n];
    if n == 0 {
        return y;
    }
    y.par_chunks_mut(ROWS * n)
        .zip(x.par_chunks(ROWS * k))
        .for_each(|(y, x)| {
            let rows = y.len() / n;
            let mut part = vec![0.0f32; y.len()];
            for start in (0..k).step_by(EXACT_TERMS) {
                let terms = EXACT_TERMS.min(k - start);
                let (Some(x), Some(w), Some(mut out)) = (
                    view(&x[start..], rows, terms, k),
                    view(&w[start..], n, terms, k),
                    view_mut(&mut part, rows, n),
                ) else {
                    return;
                };
                general_mat_mul(1.0, &x, &w.t(), 0.0, &mut out);
                y.iter_mut().zip(&part).for_each(|(y, p)| *y += *p as i32);
            }
        });
    y
}

/// Adds `a^T * b` to `out`: `a` `[rows][m]`, `b` `[rows][n]`, `out` `[m][n]`. The product of these
/// rows is taken in f32, the sum over calls in f64.
pub(crate) fn add_tn(out: &mut [f64], a: &[f32], b: &[f32], m: usize, n: usize) {
    let rows = a.len().checked_div(m).unwrap_or(0);
    if rows == 0 || n == 0 {
        return;
    }
    out.par_chunks_mut(ROWS * n)
        .enumerate()
        .for_each(|(task, out)| {
            let (first, count) = (task * ROWS, out.len() / n);
            let mut part = vec![0.0f32; out.len()];
            let (Some(a), Some(b), Some(mut product)) = (
                view(&a[first..], rows, count, m),
                view(b, rows, n, n),
                view_mut(&mut part, count, n),
            ) else {
                return;
            };
            general_mat_mul(1.0, &a.t(), &b, 0.0, &mut product);
            out.iter_mut()
                .zip(&part)
                .for_each(|(o, p)| *o += f64::from(*p));
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn longest_sums_of_extreme_codes_are_exact() {
        let k = 4096;
        let y = codes_nt(&vec![127.0; k], &vec![-127.0; k], k, 1);
        assert_eq!(y, [-127 * 127 * 4096]);
        let odd: Vec<f32> = (0..k)
            .map(|i| if i % 2 == 0 { 127.0 } else { 126.0 })
            .collect();
        assert_eq!(codes_nt(&odd, &odd, k, 1), [2048 * (127 * 127 + 126 * 126)]);
    }

    proptest! {
        #[test]
        fn products_are_the_plain_sums(
            rows in 1usize..70,
            k in 1usize..9,
            n in 1usize..5,
            seed: u32,
        ) {
            let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
            let code = |i: usize| (hash(i) >> 24) as i32 - 128;
            let x: Vec<f32> = (0..rows * k).map(|i| code(i) as f32).collect();
            let w: Vec<f32> = (0..n * k).map(|i| code(i + 7919) as f32).collect();
            let y = codes_nt(&x, &w, k, n);
            let mut sum = vec![0.0; k * n];
            for t in 0..rows {
                for j in 0..n {
                    let plain: f32 = (0..k).map(|i| x[t * k + i] * w[j * k + i]).sum();
                    prop_assert_eq!(y[t * n + j] as f32, plain);
                }
            }
            let y: Vec<f32> = y.iter().map(|v| *v as f32).collect();
            add_tn(&mut sum, &x, &y, k, n);
            let plain: f64 = (0..rows).map(|t| f64::from(x[t * k]) * f64::from(y[t * n])).sum();
            prop_assert!((sum[0] - plain).abs() <= 1e-3 * plain.abs() + 64.0);
        }
    }
}
