//! Seeded random numbers that are the same on every machine and after every update: random models
//! and programs, back-pressure of a simulated memory, samples of a file.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), whose stream its definition
//! fixes. What is drawn from it is fixed here, and tested, since committed listings, logits and
//! cycle counts of random models depend on it.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A generator. Equal seeds give equal sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random(SplitMix64);

impl Random {
    /// A generator of that seed; every seed is as good as another.
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::from_seed(seed.to_le_bytes()))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..n`; 0 for `n` of 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// In `low..=high` by remainder: uniform but for a bias below 2^-32 where the range has fewer
    /// than 2^32 values. `low` where the range is empty.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        let values = high.saturating_sub(low).saturating_add(1);
        low + self.next_u64() % values
    }

    /// True once in `n`; `n` is not 0.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.next_u64().is_multiple_of(n)
    }

    /// `count` random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next_u64() >> 56) as u8).collect()
    }

    /// Uniform in `0.0..1.0`, 24 bits.
    pub fn unit(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform in `-1.0..1.0`, 24 bits.
    pub fn signed_unit(&mut self) -> f32 {
        2.0 * self.unit() - 1.0
    }

    /// Uniform in `0.0..1.0`, 53 bits.
    pub fn unit_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Bell-shaped with mean 0 and variance 1: a sum of four uniforms.
    pub fn bell(&mut self) -> f32 {
        let sum: f32 = (0..4).map(|_| self.unit()).sum();
        (sum - 2.0) * 3.0f32.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    /// The generator's definition, written out: a library that changes its stream is noticed.
    #[test]
    fn the_stream_is_the_one_that_is_published() {
        let mut state = 42u64;
        let mut random = Random::new(42);
        for _ in 0..100 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            assert_eq!(random.next_u64(), z ^ (z >> 31));
        }
    }

    #[test]
    fn what_is_drawn_lies_where_it_should_and_stays_as_it_is() {
        let mut r = Random::new(1);
        for n in 0..200u64 {
            assert!(r.below(n) < n.max(1));
            assert!((5..=5 + n).contains(&r.within(5, 5 + n)));
            assert_eq!(r.within(7, 3), 7);
            assert!((0.0..1.0).contains(&r.unit()) && (0.0..1.0).contains(&r.unit_f64()));
            assert!((-1.0..1.0).contains(&r.signed_unit()) && r.bell().abs() <= 3.5);
        }
        // Computed from the definition in another language.
        let mut r = Random::new(7);
        let drawn = (r.below(1000), r.within(10, 99), r.one_in(3), r.bytes(2));
        assert_eq!(drawn, (389, 34, true, vec![149, 115]));
        assert_eq!(
            (
                r.unit().to_bits(),
                r.signed_unit().to_bits(),
                r.bell().to_bits()
            ),
            (0x3e7f_6af8, 0xbd83_43c0, 0xbfe2_59a7)
        );
    }
}
