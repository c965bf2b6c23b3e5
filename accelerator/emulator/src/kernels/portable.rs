//! Dot products in plain Rust: operands widened to i16 in order of term, so that the inner loop is
//! a multiply-add of two contiguous rows, which compilers turn into `pmaddwd`, `smlal` and the
//! like.

use fqbert_numerics::packed::unpack_pair;
use rayon::prelude::*;

use super::operands::Operands;
use super::outputs::Outputs;

/// Phase one of a MATMUL.
pub fn matmul(x: &Operands<'_>, outputs: &mut Outputs) {
    outputs.shape(x, x.channels_per_pair());
    let k = x.chunks * x.lanes;
    // All channels of the pairs that are written to, the last one's second perhaps in vain.
    let per_pair = x.channels_per_pair();
    let mut b = vec![0i16; x.channels.next_multiple_of(per_pair) * k];
    b.par_chunks_mut(k * per_pair)
        .enumerate()
        .for_each(|(pair, rows)| widen_pair(x, pair, rows));
    let mut a = vec![0i16; x.row_tiles * x.rows * k];
    a.par_chunks_mut(x.rows * k)
        .enumerate()
        .for_each(|(tile, rows)| widen_tile(x, tile, rows));

    let (chunk, width) = (outputs.chunk(), outputs.width);
    outputs
        .values
        .par_chunks_mut(chunk)
        .enumerate()
        .for_each(|(at, results)| {
            let (group, tile) = (at / x.row_tiles, at % x.row_tiles);
            let a = &a[tile * x.rows * k..][..x.rows * k];
            let first = group * width;
            let channels = first..(first + width).min(x.channels);
            for channel in channels.clone() {
                let w = &b[channel * k..][..k];
                let p = &x.params[channel];
                let column = results[channel - first..].iter_mut().step_by(width);
                for (a, y) in a.chunks_exact(k).zip(column) {
                    let sum = dot(a, w);
                    *y = if x.wide {
                        p.apply_i16(sum)
                    } else {
                        p.apply_i8(sum).into()
                    };
                }
            }
        });
}

/// Exact: the contract bounds K so that no sum leaves i32 (`docs/numerics.md`, section 2). Wrapping
/// only so that checked builds vectorise too.
fn dot(a: &[i16], w: &[i16]) -> i32 {
    a.iter().zip(w).fold(0i32, |sum, (&a, &w)| {
        sum.wrapping_add(i32::from(a).wrapping_mul(i32::from(w)))
    })
}

/// The one or two channels of a pair as rows of i16.
fn widen_pair(x: &Operands<'_>, pair: usize, rows: &mut [i16]) {
    let (word, first, k) = (x.b_word(), x.pair_offset(pair), x.chunks * x.lanes);
    let (even, odd) = rows.split_at_mut(k);
    for chunk in 0..x.chunks {
        let bytes = &x.b[first + chunk * word..][..x.lanes];
        let even = &mut even[chunk * x.lanes..][..x.lanes];
        if x.mode8 {
            for (y, &b) in even.iter_mut().zip(bytes) {
                *y = i16::from(b as i8);
            }
            continue;
        }
        let odd = &mut odd[chunk * x.lanes..][..x.lanes];
        for ((even, odd), &b) in even.iter_mut().zip(odd).zip(bytes) {
            let (low, high) = unpack_pair(b);
            (*even, *odd) = (low.into(), high.into());
        }
    }
}

/// The rows of a row tile as rows of i16.
fn widen_tile(x: &Operands<'_>, tile: usize, rows: &mut [i16]) {
    let k = x.chunks * x.lanes;
    for (chunk, word) in x.a_tile(tile).chunks_exact(x.a_word()).enumerate() {
        for (row, lanes) in word.chunks_exact(x.lanes).enumerate() {
            let target = &mut rows[row * k + chunk * x.lanes..][..x.lanes];
            for (y, &v) in target.iter_mut().zip(lanes) {
                *y = if x.a_unsigned {
                    i16::from(v)
                } else {
                    i16::from(v as i8)
                };
            }
        }
    }
}
