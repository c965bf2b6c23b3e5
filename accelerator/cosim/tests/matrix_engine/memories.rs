//! On-chip memories as plain bytes, and their read ports with two cycles of latency.

use fqbert_contract::Geometry;
use fqbert_contract::isa::MemoryId;

use fqbert_random::Random;

/// Every memory that the matrix engine touches.
#[derive(Clone, PartialEq, Eq)]
pub struct Memories {
    bytes: Vec<(MemoryId, usize, Vec<u8>)>,
}

impl Memories {
    /// Filled at random.
    pub fn random(g: &Geometry, random: &mut Random) -> Self {
        let bytes = MemoryId::ALL
            .iter()
            .map(|&memory| {
                let word = g.word_bytes(memory) as usize;
                let size = g.depth(memory) as usize * word;
                (memory, word, random.bytes(size))
            })
            .collect();
        Self { bytes }
    }

    fn at(&self, memory: MemoryId) -> &(MemoryId, usize, Vec<u8>) {
        self.bytes.iter().find(|m| m.0 == memory).unwrap()
    }

    /// All bytes of a memory.
    pub fn all_mut(&mut self, memory: MemoryId) -> &mut [u8] {
        &mut self.bytes.iter_mut().find(|m| m.0 == memory).unwrap().2
    }

    /// A word.
    pub fn word(&self, memory: MemoryId, address: usize) -> &[u8] {
        let (_, word, bytes) = self.at(memory);
        &bytes[address * word..][..*word]
    }

    /// A word, to write.
    pub fn word_mut(&mut self, memory: MemoryId, address: usize) -> &mut [u8] {
        let word = self.at(memory).1;
        &mut self.all_mut(memory)[address * word..][..word]
    }

    /// The first differing byte, for messages.
    pub fn difference(&self, other: &Self) -> Option<String> {
        for ((memory, word, a), (_, _, b)) in self.bytes.iter().zip(&other.bytes) {
            if let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) {
                let (address, byte) = (at / word, at % word);
                return Some(format!(
                    "{} word {address} byte {byte}: RTL {}, reference {}",
                    memory.name(),
                    a[at] as i8,
                    b[at] as i8
                ));
            }
        }
        None
    }
}

/// What a read port will deliver in this cycle and the next.
#[derive(Default)]
pub struct ReadPipe {
    stages: [Option<Vec<u8>>; 2],
}

impl ReadPipe {
    /// The data of this cycle, if a read two cycles ago asked for any.
    pub fn data(&self) -> Option<&[u8]> {
        self.stages[0].as_deref()
    }

    /// The edge at the end of a cycle in which `read` was asked for.
    pub fn clock(&mut self, read: Option<Vec<u8>>) {
        self.stages = [self.stages[1].take(), read];
    }
}
