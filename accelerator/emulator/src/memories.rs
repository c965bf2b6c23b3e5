//! The on-chip memories as bytes, in the contract's word layout.

use fqbert_contract::Geometry;
use fqbert_contract::isa::MemoryId;

/// What never-written words hold. Hardware promises nothing; a fixed pattern that is no plausible
/// result makes a program that relies on such words wrong on every run.
const POWER_ON: u8 = 0xa5;

/// All on-chip memories of one accelerator. Contents survive a soft reset, as block RAM does.
#[derive(Clone, Debug)]
pub struct Memories {
    /// By memory code; codes the contract does not use stay empty.
    banks: [Vec<u8>; 16],
    word_bytes: [usize; 16],
    /// How often each was opened for writing: what was derived from a memory's contents holds while
    /// this stands.
    generations: [u64; 16],
}

impl Memories {
    /// Memories of an accelerator of geometry `g`.
    pub fn new(g: &Geometry) -> Self {
        let mut banks: [Vec<u8>; 16] = Default::default();
        let mut word_bytes = [0; 16];
        for &memory in MemoryId::ALL {
            let code = usize::from(memory.code()) & 15;
            word_bytes[code] = g.word_bytes(memory) as usize;
            banks[code] = vec![POWER_ON; word_bytes[code] * g.depth(memory) as usize];
        }
        Self {
            banks,
            word_bytes,
            generations: [0; 16],
        }
    }

    /// Bytes of one word of a memory.
    pub fn word_bytes(&self, memory: MemoryId) -> usize {
        self.word_bytes[usize::from(memory.code()) & 15]
    }

    /// The bytes of a memory from word `base` on.
    pub fn words_from(&self, memory: MemoryId, base: u16) -> &[u8] {
        let bank = &self.banks[usize::from(memory.code()) & 15];
        bank.get(usize::from(base) * self.word_bytes(memory)..)
            .unwrap_or(&[])
    }

    /// The bytes of a memory from word `base` on, to write.
    pub fn words_from_mut(&mut self, memory: MemoryId, base: u16) -> &mut [u8] {
        let start = usize::from(base) * self.word_bytes(memory);
        self.generations[usize::from(memory.code()) & 15] += 1;
        let bank = &mut self.banks[usize::from(memory.code()) & 15];
        bank.get_mut(start..).unwrap_or(&mut [])
    }

    /// Changes with every write to the memory.
    pub fn generation(&self, memory: MemoryId) -> u64 {
        self.generations[usize::from(memory.code()) & 15]
    }

    /// Takes a memory out, to be written while others are read; [`Memories::put`] it back.
    pub fn take(&mut self, memory: MemoryId) -> Vec<u8> {
        std::mem::take(&mut self.banks[usize::from(memory.code()) & 15])
    }

    /// Puts back what [`Memories::take`] took out.
    pub fn put(&mut self, memory: MemoryId, bank: Vec<u8>) {
        self.generations[usize::from(memory.code()) & 15] += 1;
        self.banks[usize::from(memory.code()) & 15] = bank;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_memory_has_the_bytes_of_its_geometry() {
        for g in Geometry::presets() {
            let mut memories = Memories::new(g);
            for &m in MemoryId::ALL {
                let bytes = (g.word_bytes(m) * g.depth(m)) as usize;
                assert_eq!(
                    memories.words_from(m, 0).len(),
                    bytes,
                    "{} {}",
                    g.name,
                    m.name()
                );
                assert_eq!(
                    memories.words_from_mut(m, 1).len(),
                    bytes - memories.word_bytes(m)
                );
                assert!(
                    memories.words_from(m, u16::MAX).len() < bytes,
                    "past the end is empty, not a panic"
                );
            }
        }
    }
}
