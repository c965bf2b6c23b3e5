//! The rows of a SOFTMAX: one by one as the scalar reference has them, or several side by side.

use fqbert_numerics::softmax::{reciprocal, softmax_row};

/// Rows computed side by side, each in a lane of its own: a 256-bit vector of their 32-bit numbers.
pub const LANES: usize = 8;

/// A row tile of a SOFTMAX.
pub struct ScoreTile<'a> {
    /// Rows of a tile (R), terms of a word (L).
    pub rows: usize,
    pub lanes: usize,
    pub columns: usize,
    /// Words of `[row][2 columns]`.
    pub scores: &'a [u8],
    /// First column and the one behind the last of each row, as RNG holds them.
    pub ranges: &'a [[u8; 4]],
    /// Exponentials.
    pub table: &'a [u16; 256],
}

/// A row tile, row by row by the scalar reference.
pub fn by_row(x: &ScoreTile<'_>, out: &mut [u8]) {
    let (mut scores, mut p) = (vec![0i8; x.columns], vec![0u8; x.columns]);
    for (row, range) in x.ranges.iter().enumerate() {
        for (two, word) in scores
            .as_chunks_mut::<2>()
            .0
            .iter_mut()
            .zip(x.scores.chunks_exact(2 * x.rows))
        {
            *two = [word[2 * row] as i8, word[2 * row + 1] as i8];
        }
        let (lo, hi) = bounds(range);
        softmax_row(&scores, lo..hi, x.table, &mut p);
        for (word, eight) in out
            .chunks_exact_mut(x.rows * x.lanes)
            .zip(p.chunks_exact(x.lanes))
        {
            word[row * x.lanes..][..x.lanes].copy_from_slice(eight);
        }
    }
}

/// First column of a row and the one behind the last, as RNG holds them.
pub fn bounds([a, b, c, d]: &[u8; 4]) -> (usize, usize) {
    let (lo, hi) = (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
    (lo.into(), hi.into())
}

/// A row tile, [`LANES`] rows at a time. In plain Rust whose loops over lanes a compiler makes
/// vectors of: it is inlined into functions of the instruction sets.
#[inline(always)]
pub fn side_by_side(x: &ScoreTile<'_>, out: &mut [u8]) {
    // Exponentials of two columns of each row, the even one in the low half.
    let mut exponentials = vec![[0u32; LANES]; x.columns / 2];
    for group in 0..x.rows / LANES {
        some_rows(x, group, &mut exponentials, out);
    }
}

#[inline(always)]
fn some_rows(x: &ScoreTile<'_>, group: usize, exponentials: &mut [[u32; LANES]], out: &mut [u8]) {
    let range = |row: usize| bounds(&x.ranges[group * LANES + row]);
    let lo: [usize; LANES] = std::array::from_fn(|row| range(row).0);
    let hi: [usize; LANES] = std::array::from_fn(|row| range(row).1.min(x.columns));
    // Words (two columns) outside of all ranges, and those inside of all.
    let some = lo.iter().min().map_or(0, |c| c / 2)..hi.iter().max().map_or(0, |c| c.div_ceil(2));
    let all = lo.iter().max().map_or(0, |c| c.div_ceil(2))..hi.iter().min().map_or(0, |c| c / 2);
    let inside = |row: usize, column: usize| column >= lo[row] && column < hi[row];
    let word = |at: usize| -> &[u8; 2 * LANES] {
        let start = (at * x.rows + group * LANES) * 2;
        x.scores[start..].first_chunk().unwrap_or(&[0; 2 * LANES])
    };

    let mut most = [i8::MIN; 2 * LANES];
    for at in some.clone() {
        let scores = word(at);
        if all.contains(&at) {
            for (most, score) in most.iter_mut().zip(scores) {
                *most = (*most).max(*score as i8);
            }
        } else {
            for (place, (most, score)) in most.iter_mut().zip(scores).enumerate() {
                if inside(place / 2, 2 * at + place % 2) {
                    *most = (*most).max(*score as i8);
                }
            }
        }
    }
    for two in most.as_chunks_mut::<2>().0 {
        *two = [two[0].max(two[1]); 2];
    }

    let mut sums = [0u32; LANES];
    for (at, pairs) in exponentials.iter_mut().enumerate() {
        if !some.contains(&at) {
            *pairs = [0; LANES];
            continue;
        }
        let mut index = [0u8; 2 * LANES];
        for ((index, most), score) in index.iter_mut().zip(&most).zip(word(at)) {
            *index = (*most as u8).wrapping_sub(*score);
        }
        for (pair, two) in pairs.iter_mut().zip(index.as_chunks::<2>().0) {
            let [even, odd] = two.map(|i| u32::from(x.table[usize::from(i)]));
            *pair = even | odd << 16;
        }
        if !all.contains(&at) {
            for (row, pair) in pairs.iter_mut().enumerate() {
                let even = if inside(row, 2 * at) { 0xffff } else { 0 };
                let odd = if inside(row, 2 * at + 1) {
                    0xffff_0000
                } else {
                    0
                };
                *pair &= even | odd;
            }
        }
        for (sum, pair) in sums.iter_mut().zip(&*pairs) {
            *sum += (*pair & 0xffff) + (*pair >> 16);
        }
    }

    let factors = sums.map(|sum| reciprocal(sum.into()));
    let words = out.chunks_exact_mut(x.rows * LANES);
    for (word, eight) in words.zip(exponentials.as_chunks::<4>().0) {
        // An exponential is part of the sum, so its product is at most 255 * 2^24: all of it fits
        // 32 bits.
        let two = |pairs: &[u32; LANES]| -> [u32; LANES] {
            std::array::from_fn(|row| {
                let p = |e: u32| e.wrapping_mul(factors[row]).wrapping_add(1 << 23) >> 24;
                p(pairs[row] & 0xffff) | p(pairs[row] >> 16) << 8
            })
        };
        let [a, b, c, d] = [
            two(&eight[0]),
            two(&eight[1]),
            two(&eight[2]),
            two(&eight[3]),
        ];
        let rows = word[group * LANES * LANES..].as_chunks_mut::<LANES>().0;
        for (row, codes) in rows.iter_mut().take(LANES).enumerate() {
            let (low, high) = (a[row] | b[row] << 16, c[row] | d[row] << 16);
            *codes = (u64::from(low) | u64::from(high) << 32).to_le_bytes();
        }
    }
}
