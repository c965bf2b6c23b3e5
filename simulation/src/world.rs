//! What all histories share: a very small model, texts, and their right answers.

use std::sync::Arc;

use fqbert_contract::geometry::Geometry;
use fqbert_model::TokenizerFile;
use fqbert_model::testing::{Shape, random_model};
use fqbert_runtime::{Classifier, Session, SessionOptions, Tokenizer, Tokens};

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
    /// The logits' bits of a device without faults.
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
    /// Makes the model, and answers every text on a device without faults.
    ///
    /// # Errors
    /// What a session or tokenizer says.
    pub fn new() -> anyhow::Result<Self> {
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
        let device = Box::new(VirtualDevice::new(geometry(), 0));
        device.clock().calm();
        let session = Session::new(Arc::new(model), device, SessionOptions::default())?;
        let mut classifier = Classifier::new(session)?;
        let tokenizer = Tokenizer::from_bytes(json.into_bytes())?;
        let mut questions = Vec::new();
        for text in TEXTS {
            let tokens = tokenizer.encode(text, classifier.session().longest())?;
            questions.push(Question {
                text,
                tokens: tokens.into(),
                answer: bits(&classifier.classify(text)?.logits),
            });
        }
        Ok(Self {
            template: classifier.into_session(),
            questions,
        })
    }

    /// A session on a device of a history, which compiles nothing anew.
    pub fn open(
        &self,
        device: Box<dyn fqbert_contract::device::Device>,
        options: &SessionOptions,
    ) -> Result<Session, fqbert_runtime::SessionError> {
        self.template.another(device, options.clone())
    }
}

/// The geometry of all histories.
pub fn geometry() -> &'static Geometry {
    Geometry::by_name("tiny").unwrap_or_else(|| unreachable!("a preset"))
}
