//! Dot products of a row tile with an octet of channels, over any [`Lanes`].

use std::arch::x86_64::*;

use super::registers::Lanes;
use crate::kernels::vector::avx2::registers::{join, load, store};
use crate::kernels::vector::dot::Dot;
use crate::kernels::vector::octet::{QUAD, RowSums};

/// Row tile by 4-bit weights, each weight plus 8.
///
/// # Safety
/// The CPU has AVX2 and what `L` needs; `d` has passed its check with one line a word.
#[inline(always)]
pub unsafe fn dot4<L: Lanes>(d: &Dot<'_>, sums: &mut [RowSums]) {
    // SAFETY: as the caller guarantees.
    unsafe {
        each_group::<L>(d, sums, |sums, weights, terms| {
            L::multiply(sums, weights, terms)
        });
    }
}

/// Row tile by 8-bit codes.
///
/// # Safety
/// As for [`dot4`].
#[inline(always)]
pub unsafe fn dot8<L: Lanes>(d: &Dot<'_>, sums: &mut [RowSums]) {
    // SAFETY: as the caller guarantees.
    unsafe {
        if d.a_unsigned {
            each_group::<L>(d, sums, |sums, codes, terms| {
                L::multiply(sums, terms, codes)
            });
        } else {
            each_group::<L>(d, sums, |sums, codes, terms| {
                L::multiply(sums, L::flip(terms), codes)
            });
        }
    }
}

/// As many quads of rows at once as registers hold, then one at a time.
///
/// # Safety
/// As for [`dot4`].
#[inline(always)]
unsafe fn each_group<L: Lanes>(
    d: &Dot<'_>,
    sums: &mut [RowSums],
    step: impl Fn(L::Register, L::Register, L::Register) -> L::Register + Copy,
) {
    let mut first = 0;
    // SAFETY: as the caller guarantees; the rows from `first` on are below `d.rows`.
    unsafe {
        if L::QUADS == 4 {
            while first + 16 <= d.rows {
                rows::<L, 16>(d, first, sums, step);
                first += 16;
            }
        }
        while first < d.rows {
            rows::<L, QUAD>(d, first, sums, step);
            first += QUAD;
        }
    }
}

/// Sums of `N` rows from row `first` on. Indices of constant range, not iterators: all of it must
/// unroll for the sums to be registers.
///
/// # Safety
/// As for [`dot4`]; `first + N <= d.rows`.
#[allow(clippy::needless_range_loop, reason = "see above")]
#[inline(always)]
unsafe fn rows<L: Lanes, const N: usize>(
    d: &Dot<'_>,
    first: usize,
    out: &mut [RowSums],
    step: impl Fn(L::Register, L::Register, L::Register) -> L::Register,
) {
    // SAFETY: as the caller guarantees: the check has found all words of all rows inside `a`, and a
    // line for each in `b`.
    unsafe {
        let mut sums = [L::zero(); N];
        let mut a = d.a.as_ptr().add(first * 8);
        for chunk in 0..d.chunks {
            let weights = L::line(d.b.as_ptr().add(chunk));
            for row in 0..N {
                sums[row] = step(sums[row], weights, L::terms(a.add(row * 8)));
            }
            // Wrapping: behind the last word there may be nothing.
            a = a.wrapping_add(d.stride);
        }
        let by_channel = load(&d.channel_corrections.0);
        for row in 0..N {
            let [low, high] = L::halves(sums[row]);
            let by_row = _mm256_set1_epi32(d.row_corrections[first + row]);
            let correction = _mm256_add_epi32(by_channel, by_row);
            let sum = _mm256_sub_epi32(join(low, high), correction);
            store(&mut out[first + row].0, sum);
        }
    }
}
