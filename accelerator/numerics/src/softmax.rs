//! Softmax of one row over a column range (`docs/numerics.md`, section 5).

use core::ops::Range;

/// The exponential table of one layer: entry `i` is `65535 * exp(-i * s)`, half to even, `s` the
/// scale of the scores.
///
/// Scales are finite and at least zero; others give saturated or zero entries. `exp` is that of
/// the `libm` crate, so that a table does not depend on the platform that made it.
pub fn exp_table(s: f64) -> [u16; 256] {
    core::array::from_fn(|i| libm::rint(65535.0 * libm::exp(-(i as f64) * s)) as u16)
}

/// Reciprocal of a row's sum in units of `2^-24 / 255`: `min(2^17 - 1, floor(255 * 2^24 / sum))`,
/// 0 for a sum of 0.
pub fn reciprocal(sum: u64) -> u32 {
    match (255u64 << 24).checked_div(sum) {
        Some(r) => r.min((1 << 17) - 1) as u32,
        None => 0,
    }
}

/// Probabilities (scale 1/255) of the scores `x[range]`; 0 in the columns outside the range.
///
/// `range.end` is cut to the row's length and an empty or reversed range gives zeros. Works for
/// every table, not only those of [`exp_table`].
///
/// # Panics
/// If `x` and `out` differ in length.
pub fn softmax_row(x: &[i8], range: Range<usize>, table: &[u16; 256], out: &mut [u8]) {
    assert_eq!(x.len(), out.len(), "scores and probabilities of one row");
    out.fill(0);
    let range = range.start..range.end.min(x.len());
    let (Some(x), Some(out)) = (x.get(range.clone()), out.get_mut(range)) else {
        return;
    };
    let max = x.iter().copied().max().unwrap_or(0);
    let exp = |x: i8| u64::from(table[usize::from(max.abs_diff(x))]);
    let sum = x.iter().map(|&x| exp(x)).sum();
    let reciprocal = u64::from(reciprocal(sum));
    for (p, &x) in out.iter_mut().zip(x) {
        // e <= sum, so e * reciprocal <= 255 * 2^24 and the result fits.
        *p = ((exp(x) * reciprocal + (1 << 23)) >> 24) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table_falls_from_65535() {
        let t = exp_table(0.05);
        assert_eq!((t[0], t[20]), (65535, 24109)); // 65535 / e = 24108.97
        assert!(t.windows(2).all(|w| w[0] >= w[1]));
        assert_eq!(exp_table(0.0), [65535; 256]);
        for s in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e308] {
            exp_table(s); // total
        }
    }

    #[test]
    fn reciprocals() {
        assert_eq!(reciprocal(0), 0);
        assert_eq!(reciprocal(1), (1 << 17) - 1);
        assert_eq!(reciprocal(65535), 65280); // the smallest sum of a table with E[0] = 65535
        assert_eq!(reciprocal(512 * 65535), 127);
        assert_eq!(reciprocal(u64::MAX), 0);
    }

    #[test]
    fn ranges() {
        let t = exp_table(0.1);
        let x = [5i8, 1, -128, 127, 5, 0];
        let run = |r: Range<usize>| {
            let mut out = [9u8; 6];
            softmax_row(&x, r, &t, &mut out);
            out
        };
        assert_eq!(run(0..0), [0; 6]);
        assert_eq!(run(6..6), [0; 6]);
        assert_eq!(run(Range { start: 4, end: 2 }), [0; 6]);
        assert_eq!(run(7..900), [0; 6]);
        assert_eq!(run(2..3), [0, 0, 255, 0, 0, 0]);
        assert_eq!(run(0..6), run(0..usize::MAX));
        assert_eq!(run(2..5), [0, 0, 0, 255, 0, 0]);
        softmax_row(&[], 0..4, &t, &mut []);
    }

    /// The limit of 8-bit probabilities that the document states (section 9).
    #[test]
    fn many_equal_scores_vanish() {
        let p = |columns: usize| {
            let mut out = vec![0; columns];
            softmax_row(&vec![3; columns], 0..columns, &exp_table(0.1), &mut out);
            out
        };
        assert_eq!(p(128), [2; 128]);
        assert_eq!(p(506), [1; 506]);
        assert_eq!(p(507), [0; 507]);
    }

    proptest! {
        #[test]
        fn any_table_keeps_probabilities_in_a_byte(
            x in proptest::collection::vec(any::<i8>(), 1..=512),
            entries in proptest::collection::vec(any::<u16>(), 256),
            range in (0usize..520, 0usize..70000),
        ) {
            let mut table = [0u16; 256];
            table.copy_from_slice(&entries);
            let mut out = vec![0; x.len()];
            softmax_row(&x, range.0..range.1, &table, &mut out);
            // Re-evaluated wide: nothing was cut by the conversion to u8.
            let end = range.1.min(x.len());
            if range.0 < end {
                let row = &x[range.0..end];
                let max = *row.iter().max().unwrap();
                let entry = |&v: &i8| u64::from(table[(max as i32 - v as i32) as usize]);
                let e: Vec<u64> = row.iter().map(entry).collect();
                let s: u64 = e.iter().sum();
                let r = (255u64 << 24).checked_div(s).map_or(0, |r| r.min(131071));
                for (c, e) in e.iter().enumerate() {
                    let wide = (e * r + (1 << 23)) >> 24;
                    prop_assert!(wide <= 255);
                    prop_assert_eq!(u64::from(out[range.0 + c]), wide);
                }
            }
            for (c, &p) in out.iter().enumerate() {
                prop_assert!(p == 0 || (range.0..end).contains(&c));
            }
        }
    }
}
