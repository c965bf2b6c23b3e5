//! What instructions do, one result after another, on memories that are plain bytes.
//!
//! Written from docs/contract.md over the scalar functions of `fqbert-numerics`, for tests of
//! whatever else executes or makes instructions: no code of any backend or compiler is in it.

mod matmul;
mod vector;

use fqbert_contract::Geometry;
use fqbert_contract::isa::{BEAT_BYTES, Load, MemoryId, Operation, Store};
use fqbert_random::Random;

/// Every on-chip memory of an accelerator.
#[derive(Clone, PartialEq, Eq)]
pub struct Memories {
    g: Geometry,
    /// By memory, in the order of [`MemoryId::ALL`].
    bytes: Vec<Vec<u8>>,
}

impl Memories {
    /// With that in every byte.
    pub fn filled(g: &Geometry, byte: u8) -> Self {
        Self::of(g, |size| vec![byte; size])
    }

    /// With random bytes.
    pub fn random(g: &Geometry, random: &mut Random) -> Self {
        Self::of(g, |size| random.bytes(size))
    }

    fn of(g: &Geometry, mut content: impl FnMut(usize) -> Vec<u8>) -> Self {
        let size = |memory| (g.depth(memory) * g.word_bytes(memory)) as usize;
        Self {
            g: g.clone(),
            bytes: MemoryId::ALL
                .iter()
                .map(|memory| content(size(*memory)))
                .collect(),
        }
    }

    fn word_bytes(&self, memory: MemoryId) -> usize {
        self.g.word_bytes(memory) as usize
    }

    /// All bytes of a memory.
    pub fn all(&self, memory: MemoryId) -> &[u8] {
        &self.bytes[index(memory)]
    }

    /// All bytes of a memory, to write.
    pub fn all_mut(&mut self, memory: MemoryId) -> &mut [u8] {
        &mut self.bytes[index(memory)]
    }

    /// A word.
    pub fn word(&self, memory: MemoryId, address: usize) -> &[u8] {
        let bytes = self.word_bytes(memory);
        &self.all(memory)[address * bytes..][..bytes]
    }

    /// A word, to write.
    pub fn word_mut(&mut self, memory: MemoryId, address: usize) -> &mut [u8] {
        let bytes = self.word_bytes(memory);
        &mut self.all_mut(memory)[address * bytes..][..bytes]
    }

    /// The first byte that is not that of `expected`, for messages.
    pub fn difference(&self, expected: &Self) -> Option<String> {
        for &memory in MemoryId::ALL {
            let (found, wanted) = (self.all(memory), expected.all(memory));
            if let Some(at) = found.iter().zip(wanted).position(|(f, w)| f != w) {
                let bytes = self.word_bytes(memory);
                return Some(format!(
                    "{} word {} byte {} is {}, not {}",
                    memory.name(),
                    at / bytes,
                    at % bytes,
                    found[at] as i8,
                    wanted[at] as i8
                ));
            }
        }
        None
    }

    /// Executes a LOAD of bytes that it finds at its address.
    ///
    /// # Panics
    /// If the instruction is not a legal one, or `data` is not as long as it says.
    pub fn load(&mut self, l: &Load, data: &[u8]) {
        assert_eq!(data.len(), l.beats as usize * BEAT_BYTES);
        let (memory, at) = self.place(l.memory, l.word_offset);
        self.all_mut(memory)[at..][..data.len()].copy_from_slice(data);
    }

    /// The bytes that a STORE writes to its address.
    ///
    /// # Panics
    /// If the instruction is not a legal one.
    pub fn store(&self, s: &Store) -> &[u8] {
        let (memory, at) = self.place(s.memory, s.word_offset);
        &self.all(memory)[at..][..s.beats as usize * BEAT_BYTES]
    }

    fn place(&self, code: u8, word: u16) -> (MemoryId, usize) {
        let memory = MemoryId::from_code(code).expect("a memory's code");
        (memory, usize::from(word) * self.word_bytes(memory))
    }

    /// Executes an instruction of an engine.
    ///
    /// # Panics
    /// If the instruction is a LOAD or STORE, or not a legal one.
    pub fn execute(&mut self, operation: &Operation) {
        match operation {
            Operation::Nop(_) | Operation::End(_) => {}
            Operation::Matmul(m) => self.matmul(m),
            Operation::Softmax(s) => self.softmax(s),
            Operation::Layernorm(l) => self.layer_norm(l),
            Operation::Load(_) | Operation::Store(_) => panic!("a transfer is of no engine"),
        }
    }
}

fn index(memory: MemoryId) -> usize {
    let place = MemoryId::ALL.iter().position(|m| *m == memory);
    place.expect("ALL has every memory")
}
