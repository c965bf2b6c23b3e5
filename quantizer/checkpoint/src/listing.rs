//! Which files of a folder are a checkpoint's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::store::shard_names;

/// Files of fixed names that a folder can have.
const NAMES: &[&str] = &[
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "modules.json",
    "1_Pooling/config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
];

/// What is read of a checkpoint's folder, and would be if it were there: nobody who writes while a
/// checkpoint is in use writes there.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let shards = shard_names(folder).unwrap_or_default();
    let shards: BTreeSet<String> = shards.into_values().collect();
    let fixed = NAMES.iter().map(|name| (*name).to_owned());
    fixed.chain(shards).map(|name| folder.join(name)).collect()
}
