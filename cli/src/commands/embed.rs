//! `fqbert embed`.

use std::fmt::Write;

use fqbert_runtime::{Embedder, Tokens};
use serde::Serialize;

use super::provenance;
use crate::args::{Cli, Embed};
use crate::data::Inputs;
use crate::{output, progress};

#[derive(Serialize)]
struct Vectors {
    dimensions: usize,
    vectors: Vec<Vec<f32>>,
}

pub fn run(cli: &Cli, args: &Embed) -> anyhow::Result<()> {
    let inputs = Inputs::read(&args.texts)?;
    let path = super::model_path(args.model.model.as_ref())?;
    let options = super::session_options(&args.model.run);
    let fallback = args.model.fallback.as_deref();
    let mut embedder = Embedder::open_with_fallback(path, &cli.device, fallback, &options)?;
    let tokens: Vec<Tokens> = match inputs {
        Inputs::Texts(texts) => texts
            .iter()
            .map(|t| embedder.encode(t).map(Tokens::from))
            .collect::<Result<_, _>>()?,
        Inputs::Ids(tokens) => tokens,
    };
    let bar = progress::bar(tokens.len(), "embedding");
    let vectors = embedder.embed_tokens_batch(&tokens, |n| bar.set_position(n as u64))?;
    bar.finish_and_clear();
    if cli.json {
        let dimensions = vectors.first().map_or(0, Vec::len);
        let vectors = Vectors {
            dimensions,
            vectors,
        };
        return provenance::json(&vectors, &embedder.provenance()?);
    }
    let mut out = String::new();
    for vector in &vectors {
        let values: Vec<String> = vector.iter().map(|v| format!("{v:.6}")).collect();
        writeln!(out, "{}", values.join(" "))?;
    }
    output::text(&out)
}
