//! What the embeddings take.

/// The token ids of one sequence, special tokens included, without padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Token types, one for each id.
    pub type_ids: Vec<u32>,
}

impl Tokens {
    /// A sequence whose token types are all 0.
    pub fn from_ids(ids: Vec<u32>) -> Self {
        let type_ids = vec![0; ids.len()];
        Self { ids, type_ids }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}
