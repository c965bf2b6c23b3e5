//! `fqbert embed`.

use fqbert_runtime::{Embedder, Encoder, Encoding, Provenance, TaskError, Tokens, Unknown};

use super::classify::tokens;
use crate::answers::{self, Answerer, Sequence, Shape};
use crate::args::{Cli, Embed};
use crate::data::{Inputs, Second};

pub fn run(cli: &Cli, args: &Embed) -> anyhow::Result<()> {
    let inputs = Inputs::read(&args.texts, Second::None)?;
    let path = super::model_path(args.model.model.as_ref())?;
    let options = super::session_options(&args.model.run);
    let fallback = args.model.fallback.as_deref();
    let mut embedder = Embedder::open_with_fallback(path, &cli.device, fallback, &options)?;
    let dimensions = embedder.session().model().config.hidden;
    let shape = Shape {
        before: [("dimensions".to_owned(), dimensions.into())]
            .into_iter()
            .collect(),
        list: "vectors",
        alone: false,
        between: "",
    };
    let read_ahead = options.overlap;
    answers::run(&mut embedder, inputs, shape, cli.json, read_ahead)
}

impl Answerer for Embedder {
    type Answer = Vec<f32>;

    fn encoder(&self) -> Encoder {
        Embedder::encoder(self)
    }

    fn unknown(&self, encoding: &Encoding) -> Unknown {
        Embedder::unknown(self, encoding)
    }

    fn check(&self, tokens: &Tokens) -> Result<(), TaskError> {
        Embedder::check(self, tokens)
    }

    fn provenance(&self) -> Result<Provenance, TaskError> {
        Embedder::provenance(self)
    }

    fn answer(
        &mut self,
        sequences: &[Sequence],
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Result<Vec<f32>, TaskError>>, TaskError> {
        self.embed_each(&tokens(sequences), done)
    }

    fn text(&self, _: &Sequence, vector: &Vec<f32>) -> String {
        let values: Vec<String> = vector.iter().map(|v| format!("{v:.6}")).collect();
        values.join(" ") + "\n"
    }

    fn json(&self, _: &Sequence, vector: &Vec<f32>, _: bool) -> serde_json::Result<String> {
        serde_json::to_string_pretty(vector)
    }
}
