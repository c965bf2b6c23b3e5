//! What an instruction set brings to a MATMUL: the few functions that differ between the vector
//! kernels.
//!
//! All of them work on an octet of output channels. Its weights are unpacked into a [`Line`] or two
//! a weight word, in an order that suits the path's dot product.

use super::fused::OCTET;
use super::slab::Slab;
use crate::kernels::matmul::Operands;

#[cfg(target_arch = "x86_64")]
pub use super::avx2::Scale;
#[cfg(target_arch = "aarch64")]
pub use super::neon::Scale;

/// Rows of a tile that a dot product takes together, side by side in an activation word.
pub const QUAD: usize = 4;
/// Most rows a tile may have.
pub const MOST_ROWS: usize = 32;
/// Terms of a word.
pub const TERMS: usize = 8;

/// A cache line of weights.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line(pub [u8; 64]);

/// The sums of a row with the channels of an octet, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct RowSums(pub [i32; OCTET]);

/// The functions of an instruction set. Each checks its arguments, and that the CPU has the
/// instructions.
pub struct Path {
    /// Lines that a word of 8-bit codes takes; a word of 4-bit ones takes one.
    pub code_lines: usize,
    /// What [`Path::dot4`] must take off: this many times the sum of the row.
    pub row_factor: i32,
    /// What [`Path::dot8`] must take off with signed activations, then with unsigned ones: this
    /// many times the sum of the channel's codes.
    pub channel_factors: [i32; 2],
    /// Sums of the rows of a row tile, times `row_factor`.
    pub sum_rows: fn(&Operands<'_>, tile: usize, sums: &mut [i32]),
    /// Unpacks 4-bit weights, a line a word.
    pub unpack4: fn(&Octet<'_>, &mut [Line]),
    /// Unpacks 8-bit codes, `code_lines` lines a word.
    pub unpack8: fn(&Octet<'_>, &mut [Line]),
    /// Dot products of all rows of a tile with 4-bit weights.
    pub dot4: fn(&Dot<'_>, &mut [RowSums]),
    /// Dot products of all rows of a tile with 8-bit codes.
    pub dot8: fn(&Dot<'_>, &mut [RowSums]),
    /// Requantizes and writes the sums of a row tile with an octet to its words.
    pub drain: fn(&Slab<'_>, &Scale, sums: &[RowSums], target: &mut [u8]),
}

/// The weights of an octet where they lie in their memory.
pub struct Octet<'a> {
    bytes: &'a [u8],
    word: usize,
    /// Byte of the first term: of each of 4 pairs of nibbles, or of each of 8 codes; none for
    /// channels that the instruction does not have.
    first: [Option<usize>; OCTET],
    /// Of that many contiguous terms' bytes in a word the first, where it is so.
    whole: Option<usize>,
}

impl<'a> Octet<'a> {
    /// Octet `octet` of a MATMUL whose first channel is place `skew` of the first one.
    pub fn new(x: &Operands<'a>, skew: usize, octet: usize) -> Self {
        let total = x.channels.div_ceil(x.channels_per_pair());
        let place = |pair| (pair < total).then(|| x.pair_offset(pair));
        Octet::of(x, skew, octet, place).over(x.b)
    }

    /// Octet `octet` of channels whose pairs' first terms are the bytes that `place` says, of which
    /// there are none yet.
    pub fn of(
        x: &Operands<'_>,
        skew: usize,
        octet: usize,
        place: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        let per_octet = OCTET / x.channels_per_pair();
        let skew = skew / x.channels_per_pair();
        let first: [Option<usize>; OCTET] = std::array::from_fn(|at| {
            let pair = (octet * per_octet + at).checked_sub(skew)?;
            if at < per_octet { place(pair) } else { None }
        });
        let together = |start: usize| {
            let mut places = first.iter().take(per_octet).enumerate();
            places.all(|(place, at)| *at == Some(start + place * TERMS))
        };
        Self {
            bytes: &[],
            word: x.b_word(),
            first,
            whole: first[0].filter(|start| together(*start)),
        }
    }

    /// The same places in other bytes.
    pub fn over<'b>(&self, bytes: &'b [u8]) -> Octet<'b> {
        Octet { bytes, ..*self }
    }

    /// The bytes of the first `N / 8` places of word `chunk`, 8 terms each, where they lie side by
    /// side.
    #[inline]
    pub fn whole<const N: usize>(&self, chunk: usize) -> Option<&'a [u8; N]> {
        let start = self.whole?;
        self.bytes.get(start + chunk * self.word..)?.first_chunk()
    }

    /// [`Octet::whole`] of one word after the other.
    #[cfg(target_arch = "x86_64")]
    pub fn whole_words<const N: usize>(&self) -> Option<impl Iterator<Item = &'a [u8; N]>> {
        let words = self.bytes.get(self.whole?..)?.chunks(self.word);
        Some(words.map_while(|word| word.first_chunk()))
    }

    /// The 8 terms of a place of word `chunk`, the first one lowest; 0 where there is no channel.
    #[inline]
    pub fn terms(&self, place: usize, chunk: usize) -> u64 {
        let terms = self.first[place].and_then(|first| {
            let bytes = self.bytes.get(first + chunk * self.word..)?;
            bytes.first_chunk()
        });
        u64::from_le_bytes(terms.copied().unwrap_or_default())
    }

    /// The bytes of the first `N / 8` places of word `chunk`.
    #[inline]
    pub fn places<const N: usize>(&self, chunk: usize) -> [u8; N] {
        match self.whole(chunk) {
            Some(whole) => *whole,
            None => {
                let mut places = [0; N];
                for (place, terms) in places.as_chunks_mut().0.iter_mut().enumerate() {
                    *terms = self.terms(place, chunk).to_le_bytes();
                }
                places
            }
        }
    }

    /// The sum of each channel's 8-bit codes over `chunks` words.
    pub fn sum_codes(&self, chunks: usize) -> [i32; OCTET] {
        let mut sums = [0; OCTET];
        for chunk in 0..chunks {
            let codes = self.places::<{ OCTET * TERMS }>(chunk);
            for (sum, terms) in sums.iter_mut().zip(codes.as_chunks::<TERMS>().0) {
                *sum += terms.iter().map(|c| i32::from(*c as i8)).sum::<i32>();
            }
        }
        sums
    }
}

/// What a dot product computes from.
pub struct Dot<'a> {
    /// The activations of a row tile: 8 terms of row `r` at `chunk * stride + 8 * r`.
    pub a: &'a [u8],
    pub stride: usize,
    /// Rows, a multiple of [`QUAD`].
    pub rows: usize,
    pub chunks: usize,
    /// Activations are u8, not i8; 8-bit codes only.
    pub a_unsigned: bool,
    /// Weights as the path has unpacked them.
    pub b: &'a [Line],
    /// To be taken off the sums of each row.
    pub by_row: &'a [i32],
    /// To be taken off the sums of each channel.
    pub by_channel: &'a RowSums,
}

impl Dot<'_> {
    /// Panics unless all that a dot product with `lines` lines of weights a word touches lies
    /// inside its buffers.
    pub fn check(&self, lines: usize, sums: &[RowSums]) {
        let rows = self.rows;
        let last = (self.chunks.max(1) - 1) * self.stride + rows * TERMS;
        assert!(
            rows.is_multiple_of(QUAD)
                && rows <= MOST_ROWS
                && self.chunks >= 1
                && last <= self.a.len()
                && self.b.len() == self.chunks * lines
                && self.by_row.len() == rows
                && sums.len() == rows,
            "operands of {rows} rows and {} words",
            self.chunks
        );
    }
}
