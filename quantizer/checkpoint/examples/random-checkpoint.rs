//! Writes a Hugging Face folder of BERT-base's shape with seeded random weights, to measure what
//! quantizing one costs.
//!
//!     cargo run --release -p fqbert-checkpoint --features testing --example random-checkpoint \
//!         -- FOLDER TOKENIZER_FOLDER
//!
//! The tokenizer is copied from another BERT's folder, so that real sentences become as many tokens
//! as they would.

use std::io::Write;
use std::path::Path;

use fqbert_checkpoint::testing::Spec;

/// Words of BERT's uncased vocabulary.
const VOCABULARY: usize = 30_522;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, tokenizer] = arguments.as_slice() else {
        return Err("usage: random-checkpoint FOLDER TOKENIZER_FOLDER".into());
    };
    let (folder, tokenizer) = (Path::new(folder), Path::new(tokenizer));
    let spec = Spec {
        layers: 12,
        hidden: 768,
        heads: 12,
        intermediate: 3072,
        vocab: VOCABULARY,
        max_sequence: 512,
        ..Spec::default()
    };
    std::fs::create_dir_all(folder)?;
    spec.write(folder)?;
    let mut copied = 0;
    for name in ["tokenizer.json", "tokenizer_config.json", "vocab.txt"] {
        let from = tokenizer.join(name);
        if from.is_file() {
            std::fs::copy(&from, folder.join(name))
                .map_err(|e| format!("copying {}: {e}", from.display()))?;
            copied += 1;
        }
    }
    if copied == 0 {
        return Err(format!("{}: no tokenizer files", tokenizer.display()).into());
    }
    writeln!(
        std::io::stdout(),
        "{}: {} layers of {} channels, {} words, seed {}",
        folder.display(),
        spec.layers,
        spec.hidden,
        spec.vocab,
        spec.seed
    )?;
    Ok(())
}
