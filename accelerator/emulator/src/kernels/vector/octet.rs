//! An octet of output channels, which the vector kernels compute together: where its weights lie.
//!
//! Its weights are unpacked into a [`Line`] or two a weight word, in an order that suits the
//! instruction set's dot product.

use fqbert_simulated::Lent;

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

/// Where weights lie.
#[derive(Clone, Copy)]
pub enum Bytes<'a> {
    /// In a weight slot or OPD.
    Memory(&'a [u8]),
    /// In DDR.
    Lent(&'a Lent<'a>),
}

impl Bytes<'_> {
    /// `N` bytes from `at` on; zeros behind the end.
    #[inline]
    fn get<const N: usize>(self, at: usize) -> [u8; N] {
        match self {
            Self::Memory(bytes) => {
                let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
                bytes.copied().unwrap_or([0; N])
            }
            Self::Lent(lent) => lent.get(at),
        }
    }

    fn is(self, other: Self) -> bool {
        match (self, other) {
            (Self::Memory(a), Self::Memory(b)) => std::ptr::eq(a, b),
            (Self::Lent(a), Self::Lent(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }
}

/// Where the weights of a pair lie: its first term's byte, those of the next word a word further.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub bytes: Bytes<'a>,
    pub first: usize,
}

/// The weights of an octet where they lie.
pub struct Octet<'a> {
    /// Of each of 4 pairs of nibbles, or of each of 8 codes; none for channels that the instruction
    /// does not have.
    places: [Option<Place<'a>>; OCTET],
    /// Bytes from word to word.
    word: usize,
    /// Where the terms of all of a word lie side by side, the first.
    whole: Option<Place<'a>>,
}

impl<'a> Octet<'a> {
    /// Octet `octet` of a MATMUL whose first channel is place `skew` of the first one.
    pub fn new(x: &Operands<'a>, skew: usize, octet: usize) -> Self {
        let total = x.channels.div_ceil(x.channels_per_pair());
        Octet::of(x, skew, octet, |pair| {
            (pair < total).then(|| Place {
                bytes: Bytes::Memory(x.b),
                first: x.pair_offset(pair),
            })
        })
    }

    /// Octet `octet` of channels whose pairs lie where `place` says.
    pub fn of(
        x: &Operands<'_>,
        skew: usize,
        octet: usize,
        mut place: impl FnMut(usize) -> Option<Place<'a>>,
    ) -> Self {
        let per_octet = OCTET / x.channels_per_pair();
        let skew = skew / x.channels_per_pair();
        let places: [Option<Place<'a>>; OCTET] = std::array::from_fn(|at| {
            let pair = (octet * per_octet + at).checked_sub(skew)?;
            if at < per_octet { place(pair) } else { None }
        });
        let beside = |start: &Place<'_>| {
            let mut places = places.iter().take(per_octet).enumerate();
            places.all(|(at, place)| {
                place.is_some_and(|place| {
                    place.bytes.is(start.bytes) && place.first == start.first + at * TERMS
                })
            })
        };
        Self {
            places,
            word: x.b_word(),
            whole: places[0].filter(beside),
        }
    }

    /// Gives `take` the number of each of `words` words and the bytes of its first `N / 8` places;
    /// false, and nothing done, unless they lie side by side.
    ///
    /// Not through memory: a vector loaded right behind its parts' stores would wait for them.
    /// Inlined, so that `take` has its caller's instructions.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub fn each_whole<const N: usize>(
        &self,
        words: usize,
        mut take: impl FnMut(usize, &[u8; N]),
    ) -> bool {
        let Some(Place { bytes, first }) = self.whole else {
            return false;
        };
        match bytes {
            Bytes::Lent(lent) => lent.each(first, self.word, words, take),
            Bytes::Memory(bytes) => {
                for word in 0..words {
                    let here = bytes.get(first + word * self.word..);
                    match here.and_then(|bytes| bytes.first_chunk()) {
                        Some(bytes) => take(word, bytes),
                        None => take(word, &[0; N]),
                    }
                }
            }
        }
        true
    }

    /// The 8 terms of a place of word `chunk`, the first one lowest; 0 where there is no channel.
    #[inline]
    pub fn terms(&self, place: usize, chunk: usize) -> u64 {
        self.places[place].map_or(0, |Place { bytes, first }| {
            u64::from_le_bytes(bytes.get(first + chunk * self.word))
        })
    }

    /// The bytes of the first `N / 8` places of word `chunk`.
    #[inline]
    pub fn places<const N: usize>(&self, chunk: usize) -> [u8; N] {
        match self.whole {
            Some(Place { bytes, first }) => bytes.get(first + chunk * self.word),
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
