//! `fqbert classify`.

use fqbert_names::shown;
use fqbert_runtime::{
    Classification, Classifier, Encoder, Encoding, Provenance, TaskError, Tokens, Unknown,
};
use serde::Serialize;

use crate::answers::{self, Answerer, Sequence, Shape};
use crate::args::{Classify, Cli};
use crate::data::{Inputs, Second};

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// The second text of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<&'a str>,
    label: &'a str,
    /// One for each of the labels.
    scores: &'a [f32],
    logits: &'a [f32],
    /// The text was cut to the longest sequence.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

pub fn run(cli: &Cli, args: &Classify) -> anyhow::Result<()> {
    let second = match &args.second_column {
        Some(column) => Second::Column(column),
        None if args.pair => Second::Next,
        None => Second::None,
    };
    let inputs = Inputs::read(&args.texts, second)?;
    let path = super::model_path(args.model.model.as_ref())?;
    let options = super::session_options(&args.model.run);
    let fallback = args.model.fallback.as_deref();
    let mut classifier = Classifier::open_with_fallback(path, &cli.device, fallback, &options)?;
    let labels = classifier.session().model().config.labels.clone();
    let shape = Shape {
        before: [("labels".to_owned(), labels.into())].into_iter().collect(),
        list: "results",
        alone: true,
        between: "",
    };
    let read_ahead = options.overlap;
    answers::run(&mut classifier, inputs, shape, cli.json, read_ahead)
}

impl Answerer for Classifier {
    type Answer = Classification;

    fn encoder(&self) -> Encoder {
        Classifier::encoder(self)
    }

    fn unknown(&self, encoding: &Encoding) -> Unknown {
        Classifier::unknown(self, encoding)
    }

    fn check(&self, tokens: &Tokens) -> Result<(), TaskError> {
        Classifier::check(self, tokens)
    }

    fn provenance(&self) -> Result<Provenance, TaskError> {
        Classifier::provenance(self)
    }

    fn answer(
        &mut self,
        sequences: &[Sequence],
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Result<Classification, TaskError>>, TaskError> {
        self.classify_each(&tokens(sequences), done)
    }

    fn text(&self, sequence: &Sequence, c: &Classification) -> String {
        let labels = self.session().model().config.labels.iter();
        let scores: Vec<String> = labels
            .zip(&c.scores)
            .map(|(l, s)| format!("{} {s:.4}", shown(l)))
            .collect();
        format!(
            "{:<12} {}  {}\n",
            shown(&c.label).to_string(),
            scores.join("  "),
            sequence.text().unwrap_or_default()
        )
    }

    fn json(&self, sequence: &Sequence, c: &Classification, _: bool) -> serde_json::Result<String> {
        let (text, second) = sequence.texts();
        serde_json::to_string_pretty(&Answer {
            text,
            second,
            label: &c.label,
            scores: &c.scores,
            logits: &c.logits,
            cut: sequence.cut(),
        })
    }
}

/// The tokens of some sequences.
pub fn tokens(sequences: &[Sequence]) -> Vec<Tokens> {
    sequences.iter().map(|s| s.tokens.clone()).collect()
}
