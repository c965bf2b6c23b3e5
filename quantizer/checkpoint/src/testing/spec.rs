//! What a made-up checkpoint is like.

use fqbert_host::{Activation, Family, TaskKind};

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// Brain float.
    Bf16,
}

/// Which tokenizer files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenizerFiles {
    /// `tokenizer.json`.
    Json,
    /// `vocab.txt` and `tokenizer_config.json`; with BERT's special tokens and types only.
    Vocab,
}

/// A checkpoint to be made up.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Naming scheme.
    pub family: Family,
    /// Which head is written, and named in `config.json`.
    pub task: TaskKind,
    /// Encoder layers.
    pub layers: usize,
    /// Hidden width, a multiple of `heads`.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Feed-forward width.
    pub intermediate: usize,
    /// Rows of the word embeddings; at least [`Spec::LEAST_VOCAB`].
    pub vocab: usize,
    /// Longest sequence. RoBERTa's position table has two rows more.
    pub max_sequence: usize,
    /// Classes of the head.
    pub labels: usize,
    /// Feed-forward activation.
    pub activation: Activation,
    /// Type of the weights.
    pub storage: Storage,
    /// Number of files that the weights are spread over; 1 for a plain `model.safetensors`.
    pub shards: usize,
    /// Whether encoder tensors carry the family's prefix. Heads go with a prefix in real files.
    pub prefix: bool,
    /// Tokenizer files.
    pub tokenizer: TokenizerFiles,
    /// Seed of the weights.
    pub seed: u64,
}

impl Default for Spec {
    /// A BERT classifier of two labels in the shape of BERT-tiny: 2 layers, 128 wide, 2 heads,
    /// with 512 words.
    fn default() -> Self {
        Spec {
            family: Family::Bert,
            task: TaskKind::SequenceClassification,
            layers: 2,
            hidden: 128,
            heads: 2,
            intermediate: 512,
            vocab: 512,
            max_sequence: 128,
            labels: 2,
            activation: Activation::Gelu,
            storage: Storage::F32,
            shards: 1,
            prefix: true,
            tokenizer: TokenizerFiles::Json,
            seed: 1,
        }
    }
}

impl Spec {
    /// The special tokens and one-letter pieces that every vocabulary holds.
    pub const LEAST_VOCAB: usize = 96;
}
