//! `fqbert tag`.

use std::fmt::Write;

use fqbert_runtime::Tagger;
use serde::Serialize;

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
    let mut tagger = Tagger::open(path, &cli.device, &super::session_options(&args.model.run))?;
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
        return output::json(&Words { words });
    }
    let mut out = String::new();
    for w in &words {
        writeln!(out, "{:<20} {:<12} {:.4}", w.word, w.label, w.score)?;
    }
    output::text(&out)
}
