//! `fqbert tag`.

use std::fmt::Write;

use anyhow::ensure;
use fqbert_names::shown;
use fqbert_runtime::{
    Encoder, Encoding, Provenance, TaggedWord, Tagger, TaskError, Tokens, Unknown,
};
use serde::Serialize;
use serde_json::Map;

use crate::answers::{self, Answerer, Sequence, Shape};
use crate::args::{Cli, Tag};
use crate::data::{Inputs, Second};

#[derive(Serialize)]
struct Word<'a> {
    word: &'a str,
    start: usize,
    end: usize,
    label: &'a str,
    score: f32,
}

#[derive(Serialize)]
struct Words<'a> {
    /// Where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    words: Vec<Word<'a>>,
    /// Words were left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

pub fn run(cli: &Cli, args: &Tag) -> anyhow::Result<()> {
    ensure!(
        args.texts.ids.is_empty(),
        "--ids: token ids have no words to tag; give texts"
    );
    let inputs = Inputs::read(&args.texts, Second::None)?;
    let path = super::model_path(args.model.model.as_ref())?;
    let options = super::session_options(&args.model.run);
    let fallback = args.model.fallback.as_deref();
    let mut tagger = Tagger::open_with_fallback(path, &cli.device, fallback, &options)?;
    let shape = Shape {
        before: Map::new(),
        list: "results",
        alone: true,
        between: "\n",
    };
    let read_ahead = options.overlap;
    answers::run(&mut tagger, inputs, shape, cli.json, read_ahead)
}

impl Answerer for Tagger {
    type Answer = Vec<TaggedWord>;

    fn encoder(&self) -> Encoder {
        Tagger::encoder(self)
    }

    fn unknown(&self, encoding: &Encoding) -> Unknown {
        Tagger::unknown(self, encoding)
    }

    fn check(&self, tokens: &Tokens) -> Result<(), TaskError> {
        Tagger::check(self, tokens)
    }

    fn provenance(&self) -> Result<Provenance, TaskError> {
        Tagger::provenance(self)
    }

    fn answer(
        &mut self,
        sequences: &[Sequence],
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Result<Vec<TaggedWord>, TaskError>>, TaskError> {
        let texts: Vec<_> = sequences.iter().filter_map(|s| s.text.clone()).collect();
        self.tag_each(&texts, done)
    }

    fn text(&self, _: &Sequence, words: &Vec<TaggedWord>) -> String {
        let mut out = String::new();
        for w in words {
            let label = shown(&w.label).to_string();
            // A string takes every text.
            let _ = writeln!(out, "{:<20} {label:<12} {:.4}", w.word, w.score);
        }
        out
    }

    fn json(
        &self,
        sequence: &Sequence,
        words: &Vec<TaggedWord>,
        only: bool,
    ) -> serde_json::Result<String> {
        let words = words.iter().map(|w| Word {
            word: &w.word,
            start: w.bytes.start,
            end: w.bytes.end,
            label: &w.label,
            score: w.score,
        });
        serde_json::to_string_pretty(&Words {
            text: sequence.text().filter(|_| !only),
            words: words.collect(),
            cut: sequence.cut(),
        })
    }
}
