//! Random numbers that are the same on every machine.

use fqbert_random::Random;

/// Random operands and positions.
#[derive(Clone, Debug)]
pub struct Rng(Random);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    pub fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `low..=high` but for a bias of 2^-32; `low` where the range is empty.
    pub fn within(&mut self, low: usize, high: usize) -> usize {
        self.0.within(low as u64, high as u64) as usize
    }

    /// An even number in `low..=high`, `low` being even.
    pub fn even(&mut self, low: usize, high: usize) -> usize {
        low + 2 * self.within(0, high.saturating_sub(low) / 2)
    }

    pub fn flip(&mut self) -> bool {
        self.next() >> 63 == 1
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        self.0.bytes(count)
    }

    /// Activations and 8-bit codes: any byte, the ends of the range more often than by chance.
    pub fn codes(&mut self, count: usize) -> Vec<i8> {
        let code = |r: u64| match r & 31 {
            0 => i8::MIN,
            1 => i8::MAX,
            _ => (r >> 56) as i8,
        };
        (0..count).map(|_| code(self.next())).collect()
    }

    /// 4-bit codes, -8 included.
    pub fn nibbles(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| (self.next() >> 60) as i8 - 8).collect()
    }
}
