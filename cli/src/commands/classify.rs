//! `fqbert classify`.

use std::fmt::Write;

use fqbert_runtime::{Classification, Classifier, Tokens};
use serde::Serialize;

use super::provenance;
use crate::args::{Classify, Cli};
use crate::data::Inputs;
use crate::{output, progress};

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    label: &'a str,
    /// One for each of `labels`.
    scores: &'a [f32],
    logits: &'a [f32],
}

#[derive(Serialize)]
struct Answers<'a> {
    labels: &'a [String],
    results: Vec<Answer<'a>>,
}

pub fn run(cli: &Cli, args: &Classify) -> anyhow::Result<()> {
    let inputs = Inputs::read(&args.texts)?;
    let path = super::model_path(args.model.model.as_ref())?;
    let options = super::session_options(&args.model.run);
    let fallback = args.model.fallback.as_deref();
    let mut classifier = Classifier::open_with_fallback(path, &cli.device, fallback, &options)?;
    let (texts, tokens) = match inputs {
        Inputs::Texts(texts) => {
            let encode = |t: &String| classifier.encode(t).map(Tokens::from);
            let tokens = texts.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
            (texts, tokens)
        }
        Inputs::Ids(tokens) => (Vec::new(), tokens),
    };
    let bar = progress::bar(tokens.len(), "classifying");
    let results = classifier.classify_tokens_batch(&tokens, |n| bar.set_position(n as u64))?;
    bar.finish_and_clear();
    let labels = &classifier.session().model().config.labels;
    let answer = |(i, c)| answer(texts.get(i).map(String::as_str), c);
    let answers: Vec<Answer> = results.iter().enumerate().map(answer).collect();
    if cli.json {
        // One text gives its answer itself: the object that scripts want.
        let provenance = classifier.provenance()?;
        return match answers.as_slice() {
            [one] => provenance::json(one, &provenance),
            _ => {
                let results = answers;
                provenance::json(&Answers { labels, results }, &provenance)
            }
        };
    }
    let mut out = String::new();
    for a in &answers {
        let scores: Vec<String> = labels
            .iter()
            .zip(a.scores)
            .map(|(l, s)| format!("{l} {s:.4}"))
            .collect();
        writeln!(
            out,
            "{:<12} {}  {}",
            a.label,
            scores.join("  "),
            a.text.unwrap_or_default()
        )?;
    }
    output::text(&out)
}

fn answer<'a>(text: Option<&'a str>, c: &'a Classification) -> Answer<'a> {
    Answer {
        text,
        label: &c.label,
        scores: &c.scores,
        logits: &c.logits,
    }
}
