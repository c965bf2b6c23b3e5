//! The model file: one safetensors file.
//!
//! | Tensor | Type and shape |
//! |---|---|
//! | `embeddings.word`, `.position`, `.token_type` | F16 or F32 `[rows][hidden]` |
//! | `embeddings.norm.gamma`, `.beta` | F32 `[hidden]` |
//! | `layer.I.M.weight`, M one of `q k v o ffn_in ffn_out` | I8 `[out][in]`, or U8 `[out/2][in]` |
//! | `layer.I.M.bias`, `.multiplier`, `.shift` | I32, U16, U8 `[out]` |
//! | `layer.I.M.weight_scale` | F32 `[out]` or `[1]` |
//! | `layer.I.scores`, `layer.I.context` | U16 `[2]`: multiplier, shift |
//! | `layer.I.exp_table`, `layer.I.gelu_table` | U16 `[256]`, I8 `[256]` |
//! | `layer.I.ln_attn.header`, `layer.I.ln_out.header` | U32 `[7]`: inv, eps, m16, s16, m8, s8, q |
//! | `layer.I.ln_attn.gamma`, `.beta` and of `ln_out` | I8, I32 `[hidden]` |
//! | `layer.I.scales` | F32 `[13]`, in the order of [`crate::LayerScales::NAMES`] |
//! | `head.pre.weight`, `.bias` | F32 `[hidden][hidden]`, `[hidden]`, if the task has the layer |
//! | `head.classifier.weight`, `.bias` | F32 `[labels][hidden]`, `[labels]`, for classifiers |
//! | `tokenizer.json` | U8, the bytes of the file; absent for models that take token ids alone |
//! | `tokenizer.settings` | U8, JSON of [`fqbert_host::TextSettings`]; absent if nothing is set |
//!
//! There is no `embeddings.token_type` if `type_vocab` is 0. Weights in U8 are 4-bit codes: channel
//! 2j in the low nibble of row j, 2j+1 in the high.
//!
//! Metadata: `fqbert.format` ("1"), `fqbert.contract` ("major.minor"), `fqbert.config`,
//! `fqbert.quantization`, `fqbert.provenance` (JSON of [`crate::ModelConfig`],
//! [`crate::Quantization`], [`crate::Provenance`]), `fqbert.tokenizer_sha256` and `fqbert.sha256`.
//! The last is the digest of all that follows the header's length, itself taken for 64 zeros: a
//! file of two models' parts is found by it, whoever wrote it and when. Files of before this key
//! have none, and are taken without. The bytes are a function of the model alone. Every tensor is
//! aligned to its type.

mod container;
mod read;
mod write;

pub(crate) const FORMAT: &str = "1";
pub(crate) const KEY_FORMAT: &str = "fqbert.format";
pub(crate) const KEY_CONTRACT: &str = "fqbert.contract";
pub(crate) const KEY_CONFIG: &str = "fqbert.config";
pub(crate) const KEY_QUANTIZATION: &str = "fqbert.quantization";
pub(crate) const KEY_PROVENANCE: &str = "fqbert.provenance";
pub(crate) const KEY_TOKENIZER: &str = "fqbert.tokenizer_sha256";
pub(crate) const KEY_SHA256: &str = "fqbert.sha256";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const SETTINGS: &str = "tokenizer.settings";

/// Length of a `layer.I.ln_*.header` tensor.
pub(crate) const LN_HEADER: usize = 7;
