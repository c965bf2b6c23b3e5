//! Dot products and the matrix operations made of them (`docs/numerics.md`, section 2).
//!
//! Matrices are row-major. A 4-bit weight is held as an `i8` code here, -8..=7; how codes are
//! packed in memory is the contract's business, and the products do not depend on it.

use crate::packed::K_MAX;
use crate::requant::Requant;

/// Sum of `a[i] * w[i]`, exact.
///
/// # Panics
/// If the lengths differ or exceed [`K_MAX`].
pub fn dot_i8_i8(a: &[i8], w: &[i8]) -> i32 {
    assert_operands(a.len(), w.len());
    a.iter()
        .zip(w)
        .map(|(&a, &w)| i32::from(a) * i32::from(w))
        .sum()
}

/// Sum of `a[i] * w[i]` with `a` an attention probability, exact.
///
/// # Panics
/// If the lengths differ or exceed [`K_MAX`].
pub fn dot_u8_i8(a: &[u8], w: &[i8]) -> i32 {
    assert_operands(a.len(), w.len());
    a.iter()
        .zip(w)
        .map(|(&a, &w)| i32::from(a) * i32::from(w))
        .sum()
}

fn assert_operands(a: usize, w: usize) {
    assert!(
        a == w && a <= K_MAX,
        "dot product of {a} by {w} terms, at most {K_MAX}"
    );
}

/// Linear layer to i8: `y[t][j] = requant_j(sum over i of a[t][i] * w[j][i])`.
///
/// `a` is `[rows][k]`, `w` is `[n][k]` codes of 4 or 8 bits, the result is `[rows][n]`. `params`
/// holds one record per output channel, or a single one for all.
///
/// # Panics
/// If a slice disagrees with the shape, or `k` exceeds [`K_MAX`].
pub fn linear(a: &[i8], rows: usize, k: usize, w: &[i8], n: usize, params: &[Requant]) -> Vec<i8> {
    matmul(a, rows, k, w, n, params, dot_i8_i8, Requant::apply_i8)
}

/// Linear layer to i16, the branch that meets the residual stream; otherwise as [`linear`].
///
/// # Panics
/// If a slice disagrees with the shape, or `k` exceeds [`K_MAX`].
pub fn linear_i16(
    a: &[i8],
    rows: usize,
    k: usize,
    w: &[i8],
    n: usize,
    params: &[Requant],
) -> Vec<i16> {
    matmul(a, rows, k, w, n, params, dot_i8_i8, Requant::apply_i16)
}

/// Attention scores of one head, `[rows][keys]` i8: `q` is `[rows][head_dim]`, `k` is
/// `[keys][head_dim]`. One record serves every column; `1 / sqrt(head_dim)` is in its factor.
///
/// # Panics
/// If a slice disagrees with the shape, or `head_dim` exceeds [`K_MAX`].
pub fn scores(
    q: &[i8],
    rows: usize,
    head_dim: usize,
    k: &[i8],
    keys: usize,
    param: Requant,
) -> Vec<i8> {
    linear(q, rows, head_dim, k, keys, &[param])
}

/// Context of one head, `[rows][head_dim]` i8: `p` is `[rows][keys]` probabilities, `v` is
/// `[keys][head_dim]`. `params` holds one record per channel, or a single one for all.
///
/// # Panics
/// If a slice disagrees with the shape, or `keys` exceeds [`K_MAX`].
pub fn context(
    p: &[u8],
    rows: usize,
    keys: usize,
    v: &[i8],
    head_dim: usize,
    params: &[Requant],
) -> Vec<i8> {
    assert_eq!(
        v.len(),
        keys * head_dim,
        "values are [keys {keys}][head_dim {head_dim}]"
    );
    let channels_first: Vec<i8> = (0..head_dim)
        .flat_map(|d| v.iter().skip(d).step_by(head_dim).copied())
        .collect();
    matmul(
        p,
        rows,
        keys,
        &channels_first,
        head_dim,
        params,
        dot_u8_i8,
        Requant::apply_i8,
    )
}

#[allow(
    clippy::too_many_arguments,
    reason = "a shape and two operations, private"
)]
fn matmul<A, Y>(
    a: &[A],
    rows: usize,
    k: usize,
    w: &[i8],
    n: usize,
    params: &[Requant],
    dot: impl Fn(&[A], &[i8]) -> i32,
    requant: impl Fn(&Requant, i32) -> Y,
) -> Vec<Y> {
    assert_eq!(a.len(), rows * k, "activations are [rows {rows}][k {k}]");
    assert_eq!(w.len(), n * k, "weights are [n {n}][k {k}]");
    assert!(
        params.len() == n || params.len() == 1,
        "{} requantization records for {n} channels",
        params.len()
    );
    let mut y = Vec::with_capacity(rows * n);
    for t in 0..rows {
        let row = &a[t * k..(t + 1) * k];
        for j in 0..n {
            let param = &params[if params.len() == 1 { 0 } else { j }];
            y.push(requant(param, dot(row, &w[j * k..(j + 1) * k])));
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Requant = Requant {
        bias: 0,
        multiplier: 2,
        shift: 1,
    };

    #[test]
    fn longest_sums_of_extreme_codes_fit() {
        let bound = 1i64 << 27;
        for (a, w) in [(-128i8, -128i8), (-128, 127), (127, -128), (127, 127)] {
            let sum = dot_i8_i8(&[a; K_MAX], &[w; K_MAX]);
            assert_eq!(i64::from(sum), i64::from(a) * i64::from(w) * K_MAX as i64);
            assert!(i64::from(sum).abs() < bound);
        }
        let sum = dot_u8_i8(&[255; K_MAX], &[-128; K_MAX]);
        assert_eq!(i64::from(sum), -255 * 128 * 4096);
        assert!(i64::from(sum).abs() < bound);
    }

    #[test]
    fn context_sums_over_keys() {
        // Two keys, three channels: y[d] = 10 * v[0][d] + 3 * v[1][d].
        let y = context(&[10, 3], 1, 2, &[1, 2, 3, -4, 5, -6], 3, &[UNIT]);
        assert_eq!(y, [-2, 35, 12]);
    }

    #[test]
    fn scores_are_rows_by_keys() {
        let y = scores(&[1, 2, 3, 4], 2, 2, &[1, 0, 0, 1, 1, -1], 3, UNIT);
        assert_eq!(y, [1, 2, -1, 3, 4, -1]);
    }

    #[test]
    fn empty_shapes_give_empty_results() {
        assert!(linear(&[], 0, 4, &[0; 8], 2, &[UNIT; 2]).is_empty());
        assert!(linear_i16(&[1, 2], 1, 2, &[], 0, &[]).is_empty());
        assert!(context(&[], 3, 0, &[], 0, &[]).is_empty());
    }

    #[test]
    #[should_panic(expected = "weights are")]
    fn a_short_weight_matrix_is_a_bug_of_the_caller() {
        linear(&[1, 2], 1, 2, &[1], 1, &[UNIT]);
    }
}
