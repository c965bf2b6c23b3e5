//! An octet of output channels, which the vector kernels compute together: where its weights lie.
//!
//! Its weights are unpacked into a [`Line`] or two a weight word, in an order that suits the
//! instruction set's dot product.

use crate::kernels::operands::Operands;
pub use crate::kernels::outputs::OCTET;

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

    /// The sum of each channel's 8-bit codes over as many words as there are `lines`, one a word.
    pub fn code_sums(&self, lines: &[Line]) -> [i32; OCTET] {
        let mut sums = [0; OCTET];
        for chunk in 0..lines.len() {
            let codes = self.places::<{ OCTET * TERMS }>(chunk);
            for (sum, terms) in sums.iter_mut().zip(codes.as_chunks::<TERMS>().0) {
                *sum += terms.iter().map(|c| i32::from(*c as i8)).sum::<i32>();
            }
        }
        sums
    }
}
