//! What can be wrong with a checkpoint, and with what is fed to it.

use std::path::{Path, PathBuf};

use fqbert_files::InputError;
use fqbert_host::{Family, TaskKind, TokenizerError};
use fqbert_names::{self as names, said, shown};

/// A checkpoint folder that cannot be loaded: the thing, the numbers and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file cannot be read, or is none that could be a checkpoint's.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The folder has no weights that we read.
    #[error(
        "{}: no model.safetensors and no model.safetensors.index.json; {}",
        names::path(folder),
        without_weights(instead.as_deref())
    )]
    NoWeights {
        /// The folder.
        folder: PathBuf,
        /// Weights in another form that lie there instead.
        instead: Option<PathBuf>,
    },
    /// The folder holds what was trained on top of a model, without the model.
    #[error(
        "{} holds a {} adapter of {}, no model: merge it into that model (peft: \
         model.merge_and_unload()) and save the whole with save_pretrained",
        names::path(folder),
        shown(kind),
        shown(base.as_deref().unwrap_or("a model that it does not name"))
    )]
    Adapter {
        /// The folder.
        folder: PathBuf,
        /// Its type, such as LORA.
        kind: String,
        /// The model that it was trained on, if it says.
        base: Option<String>,
    },
    /// The file's place holder in a repository, not the file.
    #[error(
        "{} is a Git LFS pointer, not the file: fetch the file with `git lfs pull`",
        names::path(path)
    )]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },
    /// A JSON file does not parse.
    #[error("{} is not valid JSON of the expected form: {}", names::path(path),
        said(&source.to_string()))]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// `config.json` (or a sibling) lacks a field that has no default.
    #[error(
        "{file} lacks \"{}\": add it, with the value that the model was trained with",
        shown(field)
    )]
    MissingField {
        /// File name.
        file: &'static str,
        /// Field name.
        field: String,
    },
    /// A configuration field has a value of the wrong kind or out of range.
    #[error(
        "{file}: \"{}\" is {}, expected {expected}",
        shown(field),
        shown(found)
    )]
    BadField {
        /// File name.
        file: &'static str,
        /// Field name.
        field: String,
        /// What was found, as JSON.
        found: String,
        /// What is accepted.
        expected: String,
    },
    /// The model is of a kind that we do not run.
    #[error("{what} \"{}\" is not supported; {remedy}", shown(name))]
    Unsupported {
        /// Kind of thing, for example `architecture`.
        what: &'static str,
        /// Its name as found.
        name: String,
        /// What is supported, or what to do.
        remedy: String,
    },
    /// The folder is the Transformer of a sentence-transformers model, whose pooling is elsewhere.
    #[error(
        "the folder is no more than the Transformer of a sentence-transformers model: give {}, \
         where modules.json says how its tokens become one vector",
        names::path(model)
    )]
    PartOf {
        /// The model's folder.
        model: PathBuf,
    },
    /// Nothing says what the model is to be used for.
    #[error(
        "config.json names no architecture, so the use of the model is unknown; choose one: \
         sequence classification, token classification or embedding"
    )]
    UnknownTask,
    /// Two statements of the folder contradict each other.
    #[error(
        "{} says {}, but {} says {}; make them agree",
        shown(left),
        shown(left_value),
        shown(right),
        shown(right_value)
    )]
    Disagreement {
        /// First source.
        left: String,
        /// What it says.
        left_value: String,
        /// Second source.
        right: String,
        /// What it says.
        right_value: String,
    },
    /// A safetensors header is not one.
    #[error(
        "{}: {}; the file is truncated or damaged, fetch it again",
        names::path(path),
        said(reason)
    )]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A shard index names a file outside its folder or of another kind.
    #[error(
        "{}: shard name \"{}\" is not a plain .safetensors file name",
        names::path(path),
        shown(name)
    )]
    ShardName {
        /// The index file.
        path: PathBuf,
        /// The name as found.
        name: String,
    },
    /// A tensor that the configuration calls for is absent.
    #[error("tensor {} ({shape:?}) is missing; {context}", shown(name))]
    MissingTensor {
        /// Tensor name.
        name: String,
        /// Shape expected.
        shape: Vec<usize>,
        /// Why it is needed, or what to do.
        context: String,
    },
    /// Tensors that no part of the model reads. Ignoring them could change what it computes.
    #[error(
        "{count} tensors are not part of a {family} model for {task}, the first is {}; \
         merge adapters into the weights, or remove the tensors",
        shown(first)
    )]
    UnexpectedTensors {
        /// The first of them by name.
        first: String,
        /// How many.
        count: usize,
        /// The family that was expected.
        family: Family,
        /// The use that was expected.
        task: TaskKind,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor {}: expected shape {expected:?} from config.json, found {}", shown(name),
        said(&format!("{found:?}")))]
    Shape {
        /// Tensor name.
        name: String,
        /// Expected.
        expected: Vec<usize>,
        /// Found.
        found: Vec<usize>,
    },
    /// A tensor is stored in a type that is not a float we read.
    #[error(
        "tensor {}: type {} is not read; store it as F32, F16 or BF16",
        shown(name),
        shown(found)
    )]
    Dtype {
        /// Tensor name.
        name: String,
        /// Type found.
        found: String,
    },
    /// A weight is NaN or infinite.
    #[error(
        "tensor {}: element {index} is {value}; the checkpoint is damaged, or overflowed when \
         it was saved in half precision",
        shown(name)
    )]
    NotFinite {
        /// Tensor name.
        name: String,
        /// Row-major index of the first such element.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The folder has no tokenizer that we read.
    #[error(
        "{0}: neither tokenizer.json nor vocab.txt; save the tokenizer with \
         AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained(...)"
    )]
    NoTokenizer(String),
    /// `vocab.txt` is not a vocabulary.
    #[error("vocab.txt line {line}: {}", said(reason))]
    Vocab {
        /// Line from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The environment asks for more threads than any pool may have.
    #[error(transparent)]
    Threads(#[from] fqbert_threads::ThreadsError),
    /// The tokenizer's file is there, but no tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// What to do where no weights are that we read.
fn without_weights(instead: Option<&Path>) -> String {
    let Some(found) = instead else {
        return "give the folder that holds config.json and the weights".to_owned();
    };
    let name = names::path(found);
    let from = |option: &str| {
        format!(
            "{name} is there, which is not read: load it with transformers{option} and save it \
             with save_pretrained(..., safe_serialization=True)"
        )
    };
    match found.file_name().and_then(|name| name.to_str()) {
        Some("tf_model.h5") => from(" (from_tf=True, version 4)"),
        Some("flax_model.msgpack") => from(" (from_flax=True, version 4)"),
        Some("model.onnx" | "openvino_model.xml") => {
            format!("{name} is there, which was made from a checkpoint: give the checkpoint")
        }
        _ => format!(
            "{name} is there, but a pickle is not read because it can run code: convert it with \
             `save_pretrained(..., safe_serialization=True)`"
        ),
    }
}
