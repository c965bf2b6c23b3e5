//! Why a model is refused.

use std::path::PathBuf;

use fqbert_contract::capability::Difference;
use fqbert_files::InputError;
use fqbert_host::ConfigError;
use fqbert_names::{self as names, said, shown};

/// A model file that cannot be used, or a model that is not consistent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file cannot be read, or is no file that could be a model's.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The file cannot be written.
    #[error("cannot write {}: {source}", names::path(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Not a safetensors file, or a damaged one.
    #[error(
        "not a whole safetensors file: {}; copy or make the model again",
        said(reason)
    )]
    Container {
        /// What is wrong with it.
        reason: String,
    },
    /// A safetensors file, but not of ours or of another format version.
    #[error(
        "metadata key {key} is {}, expected {expected}; {remedy}",
        shown(found)
    )]
    Format {
        /// The key.
        key: &'static str,
        /// Its value, or "absent".
        found: String,
        /// What it must be.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Made for a contract this program does not implement.
    #[error(
        "the model was made for another contract: {}; \
         quantize the checkpoint again with this version",
        list(differences)
    )]
    Contract {
        /// Field by field.
        differences: Vec<Difference>,
    },
    /// The file's bytes are not those that its digest was made of.
    #[error(
        "the file's SHA-256 is {found}, its metadata says {expected}: it is damaged, or was \
         written over while it was read; copy or make the model again, and replace files by \
         renaming"
    )]
    Digest {
        /// Digest of the bytes.
        found: String,
        /// Digest in the metadata.
        expected: String,
    },
    /// A metadata value that is not the JSON it should be.
    #[error("metadata key {key}: {}", said(reason))]
    Metadata {
        /// The key.
        key: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// A number of the configuration outside its bounds, or two that disagree.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor that must be there is not.
    #[error("tensor {name} is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A tensor that has no part in such a model.
    #[error(
        "tensor {} has no part in this model ({count} such tensors)",
        shown(name)
    )]
    UnknownTensor {
        /// The first of them by name.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// A tensor of the wrong type or shape.
    #[error("tensor {name} is {}, expected {expected}", said(found))]
    Shape {
        /// Its name.
        name: String,
        /// Type and shape found.
        found: String,
        /// Type and shape expected.
        expected: String,
    },
    /// A value outside its range.
    #[error("{name}[{index}] is {found}, expected {expected}")]
    Value {
        /// Name of the tensor.
        name: String,
        /// Index of the first such value.
        index: usize,
        /// The value.
        found: String,
        /// Its range.
        expected: &'static str,
    },
    /// The tokenizer is not the one whose digest the metadata states.
    #[error(
        "the tokenizer's SHA-256 is {found}, the metadata says {}; the file is damaged",
        shown(expected)
    )]
    TokenizerDigest {
        /// Digest of the bytes.
        found: String,
        /// Digest in the metadata.
        expected: String,
    },
}

fn list(differences: &[Difference]) -> String {
    let fields: Vec<String> = differences
        .iter()
        .map(|d| {
            format!(
                "{}: the model needs {}, this program has {}",
                d.field, d.needed, d.found
            )
        })
        .collect();
    fields.join("; ")
}
