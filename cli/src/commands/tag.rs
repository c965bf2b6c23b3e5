//! `fqbert tag`.

use std::fmt::Write;

use fqbert_runtime::Tagger;
use serde::Serialize;

use super::provenance;
use crate::args::{Cli, Tag};
use crate::output;

#[derive(Serialize)]
struct Word {
    word: String,
    start: usize,
    end: usize,
    label: String,
    score: f32,
}

#[derive(Serialize)]
struct Words {
    words: Vec<Word>,
}

pub fn run(cli: &Cli, args: &Tag) -> anyhow::Result<()> {
    let path = super::model_path(args.model.model.as_ref())?;
    let options = super::session_options(&args.model.run);
    let fallback = args.model.fallback.as_deref();
    let mut tagger = Tagger::open_with_fallback(path, &cli.device, fallback, &options)?;
    let words: Vec<Word> = tagger
        .tag(&args.text)?
        .into_iter()
        .map(|w| Word {
            word: w.word,
            start: w.bytes.start,
            end: w.bytes.end,
            label: w.label,
            score: w.score,
        })
        .collect();
    if cli.json {
        return provenance::json(&Words { words }, &tagger.provenance()?);
    }
    let mut out = String::new();
    for w in &words {
        writeln!(out, "{:<20} {:<12} {:.4}", w.word, w.label, w.score)?;
    }
    output::text(&out)
}
