//! What all histories share: a very small model, texts, and their right answers.

use std::sync::Arc;

use anyhow::Result;
use fqbert_contract::device::Device;
use fqbert_contract::geometry::Geometry;
use fqbert_model::reference::EncoderInput;
use fqbert_model::testing::{Shape, random_model};
use fqbert_model::{QuantizedModel, TokenizerFile};
use fqbert_runtime::{HeadOutput, Session, SessionError, SessionOptions, Tokenizer, Tokens};

use crate::device::VirtualDevice;

/// As small as the geometry takes it: one layer of one head.
const SHAPE: Shape = Shape {
    layers: 1,
    hidden: 16,
    heads: 1,
    intermediate: 32,
    vocab: 40,
    max_positions: 32,
    wide: 0,
};

/// A word of each id; the model's vocabulary has as many.
const WORDS: &str = "unknown a an and bad board but cold dull fast film fine good great had is it \
    long movie never not of old on one out plain plot quick sad seen short slow that the then \
    this was well with";

/// Texts of several lengths in tokens, so that they take several programs.
const TEXTS: [&str; 8] = [
    "good film",
    "bad film",
    "a slow and dull plot",
    "the movie was great but long",
    "it is one of the fine old movie that had never seen a good plot",
    "not bad",
    "this board is fast and that one was slow then cold",
    "well the film was not good and not bad but it was short and quick and it had a plot that one \
     had seen",
];

/// A text with its right answer.
pub struct Question {
    /// The text.
    pub text: &'static str,
    /// Its tokens.
    pub tokens: Tokens,
    /// The logits' bits, by the model's plain interpretation: no device, no session.
    pub answer: Vec<u32>,
}

/// What all histories of a thread share.
pub struct World {
    /// What a session of each history is made from.
    template: Session,
    /// The texts.
    pub questions: Vec<Question>,
}

/// The bits of logits.
pub fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|v| v.to_bits()).collect()
}

impl World {
    /// Makes the model, and answers every text by its plain interpretation.
    ///
    /// # Errors
    /// What a session or tokenizer says.
    pub fn new() -> Result<Self> {
        let mut model = random_model(SHAPE, 11);
        let vocab: Vec<String> = WORDS
            .split_whitespace()
            .enumerate()
            .map(|(id, word)| format!("\"{word}\":{id}"))
            .collect();
        let json = format!(
            "{{\"version\":\"1.0\",\"pre_tokenizer\":{{\"type\":\"Whitespace\"}},\
             \"model\":{{\"type\":\"WordLevel\",\"unk_token\":\"unknown\",\"vocab\":{{{}}}}}}}",
            vocab.join(",")
        );
        model.tokenizer = Some(TokenizerFile::new(json.clone().into_bytes()));
        let tokenizer = Tokenizer::from_bytes(json.into_bytes())?;
        let device = Box::new(VirtualDevice::new(geometry(), 0));
        let template = Session::new(Arc::new(model), device, SessionOptions::default())?;
        let question = |text| {
            let tokens = tokenizer.encode(text, template.longest())?.into();
            let answer = interpret(template.model(), &tokens)?;
            Ok(Question {
                text,
                tokens,
                answer: bits(answer.values()),
            })
        };
        let questions = TEXTS.into_iter().map(question).collect::<Result<_>>()?;
        Ok(Self {
            template,
            questions,
        })
    }

    /// A session on a device of a history, which compiles nothing anew.
    pub fn open(
        &self,
        device: Box<dyn Device>,
        options: &SessionOptions,
    ) -> Result<Session, SessionError> {
        self.template.another(device, options.clone())
    }
}

/// The answer without an accelerator.
fn interpret(model: &QuantizedModel, tokens: &Tokens) -> Result<HeadOutput> {
    let host = model.host()?;
    let input = host.embed(tokens)?;
    let length = tokens.len();
    let input = EncoderInput {
        x8: input.x8,
        x16: input.x16,
        ranges: vec![(0, length as u16); length],
    };
    let y16 = model.reference(&input)?;
    Ok(host.head(&host.hidden_states(&y16))?)
}

/// The geometry of all histories.
pub fn geometry() -> &'static Geometry {
    Geometry::by_name("tiny").unwrap_or_else(|| unreachable!("a preset"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_can_be_told_apart() {
        let questions = World::new().expect("a world").questions;
        for (i, question) in questions.iter().enumerate() {
            let same = |q: &Question| q.answer == question.answer;
            assert_eq!(questions.iter().position(same), Some(i));
        }
        let lengths: Vec<usize> = questions.iter().map(|q| q.tokens.len()).collect();
        assert!(lengths.contains(&2) && lengths.iter().any(|l| *l > 16));
    }
}
