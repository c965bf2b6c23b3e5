//! Which files of a folder are a checkpoint's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::layout::Layout;
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
    "added_tokens.json",
    "special_tokens_map.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// What is read of a checkpoint's folder, and would be if it were there: nobody who writes while a
/// checkpoint is in use writes there.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let layout = Layout::of(folder).ok();
    let transformer = layout.as_ref().map_or(folder, Layout::transformer);
    let modules = layout.iter().filter_map(Layout::modules).flatten();
    let modules = modules.map(|module| folder.join(&module.path).join("config.json"));
    let shards = shard_names(transformer).unwrap_or_default();
    let shards: BTreeSet<String> = shards.into_values().collect();
    let shards = shards.into_iter().map(|name| transformer.join(name));
    let folders: BTreeSet<&Path> = [folder, transformer].into_iter().collect();
    let fixed = folders
        .into_iter()
        .flat_map(|f| NAMES.iter().map(move |name| f.join(name)));
    fixed.chain(shards).chain(modules).collect()
}
