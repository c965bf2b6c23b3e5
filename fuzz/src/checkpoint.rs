use fqbert_checkpoint::testing::Spec;
use fqbert_checkpoint::{Checkpoint, LoadOptions, load_tokenizer};
use fqbert_host::Tokens;

use crate::files::{self, join, split};

/// The files of a folder, in the order of the input.
const NAMES: [&str; 4] = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
];

pub(crate) fn run(input: &[u8]) {
    let folder = files::folder();
    let parts: [&[u8]; NAMES.len()] = split(input);
    for (name, part) in NAMES.iter().zip(parts).filter(|(_, part)| !part.is_empty()) {
        files::write(&folder.path().join(name), part);
    }
    let _ = load_tokenizer(folder.path());
    if let Ok(checkpoint) = Checkpoint::load(folder.path(), &LoadOptions::default()) {
        // What was accepted computes, or says why not.
        let tokens = Tokens::from_ids(vec![0, 1]);
        let _ = checkpoint.forward(&tokens.ids, &tokens.type_ids);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let spec = Spec {
        layers: 1,
        hidden: 8,
        heads: 2,
        intermediate: 8,
        ..Spec::default()
    };
    let folder = files::folder();
    spec.write(folder.path())
        .expect("a random checkpoint is written");
    let read = |name| std::fs::read(folder.path().join(name)).unwrap_or_default();
    let parts = NAMES.map(read);
    vec![join(parts.iter().map(Vec::as_slice))]
}
