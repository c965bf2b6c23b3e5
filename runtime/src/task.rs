//! Text to answers: a tokenizer in front of a session, a reading of the head's output behind it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use fqbert_host::{Encoding, HeadOutput, ProblemType, Task, Tokenizer, Tokens, argmax};
use fqbert_model::QuantizedModel;
use fqbert_session::{Failover, RunStatistics, Session, SessionOptions};

use crate::error::TaskError;
use crate::open::open_session;
use crate::provenance::{Provenance, Uris, provenance};

/// The class of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// Index of the best label.
    pub index: usize,
    /// Its name.
    pub label: String,
    /// For each label its probability (softmax for one label of many, a sigmoid each for several);
    /// for a regression the values themselves.
    pub scores: Vec<f32>,
    /// The head's output.
    pub logits: Vec<f32>,
}

/// The class of a word.
#[derive(Clone, Debug, PartialEq)]
pub struct TaggedWord {
    /// The word, as in the text.
    pub word: String,
    /// Where it is in the text, in bytes.
    pub bytes: std::ops::Range<usize>,
    /// Name of its label: that of its first token, as is the custom.
    pub label: String,
    /// Probability of that label.
    pub score: f32,
}

/// A session with a tokenizer.
struct Text {
    session: Failover,
    tokenizer: Option<Tokenizer>,
    uris: Option<Uris>,
    /// Of the model, made when it is first asked for.
    sha256: OnceLock<String>,
}

impl Text {
    fn open(
        model: impl AsRef<Path>,
        uri: &str,
        fallback: Option<&str>,
        options: &SessionOptions,
    ) -> Result<Self, TaskError> {
        let path = model.as_ref();
        let model = QuantizedModel::load(path).map_err(|source| TaskError::Model {
            path: path.display().to_string(),
            source,
        })?;
        let mut text = Self::new(open_session(Arc::new(model), uri, fallback, options)?)?;
        text.uris = Some(Uris {
            first: uri.to_owned(),
            fallback: fallback.map(str::to_owned),
        });
        Ok(text)
    }

    fn new(session: Failover) -> Result<Self, TaskError> {
        let model = session.session().model();
        let tokenizer = match &model.tokenizer {
            Some(t) => Some(Tokenizer::from_bytes(t.json().to_vec())?),
            None => None,
        };
        if let Some(tokenizer) = &tokenizer {
            tokenizer.check_vocab(model.config.vocab)?;
        }
        Ok(Self {
            session,
            tokenizer,
            uris: None,
            sha256: OnceLock::new(),
        })
    }

    fn model(&self) -> &QuantizedModel {
        self.session.session().model()
    }

    fn provenance(&self) -> Result<Provenance, TaskError> {
        if self.sha256.get().is_none() {
            let digest = self.model().sha256().map_err(|source| TaskError::Model {
                path: "in memory".to_owned(),
                source,
            })?;
            // Two threads that ask at once find the same.
            let _ = self.sha256.set(digest);
        }
        let digest = self.sha256.get().map_or("", String::as_str);
        let run = self.session.last_run();
        Ok(provenance(digest, self.uris.as_ref(), run))
    }

    fn encode(&self, text: &str) -> Result<Encoding, TaskError> {
        let tokenizer = self.tokenizer.as_ref().ok_or(TaskError::NoTokenizer)?;
        Ok(tokenizer.encode(text, self.session.session().longest())?)
    }

    fn encode_all<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Tokens>, TaskError> {
        texts
            .iter()
            .map(|t| self.encode(t.as_ref()).map(Tokens::from))
            .collect()
    }

    fn labels(&self) -> &[String] {
        &self.model().config.labels
    }
}

/// Checks a model's task against the one wanted.
fn require(
    model: &QuantizedModel,
    wanted: &'static str,
    ok: fn(Task) -> bool,
    remedy: &'static str,
) -> Result<(), TaskError> {
    let task = model.config.task;
    if ok(task) {
        Ok(())
    } else {
        Err(TaskError::WrongTask {
            has: task.purpose(),
            wanted,
            remedy,
        })
    }
}

/// What all that answer texts have: made by `from_text`, with a session inside.
macro_rules! over_text {
    () => {
        /// Loads a model file and binds it to the accelerator of a URI.
        pub fn open(
            model: impl AsRef<Path>,
            uri: &str,
            options: &SessionOptions,
        ) -> Result<Self, TaskError> {
            Self::from_text(Text::open(model, uri, None, options)?)
        }

        /// As `open`, if a fallback is given with that device to answer where the first cannot be
        /// opened or fails ([`open_session`]).
        pub fn open_with_fallback(
            model: impl AsRef<Path>,
            uri: &str,
            fallback: Option<&str>,
            options: &SessionOptions,
        ) -> Result<Self, TaskError> {
            Self::from_text(Text::open(model, uri, fallback, options)?)
        }

        /// Takes a session, or one with a fallback ([`Failover`]).
        pub fn new(session: impl Into<Failover>) -> Result<Self, TaskError> {
            Self::from_text(Text::new(session.into())?)
        }

        /// The session that requests go to first, to look at.
        pub fn session(&self) -> &Session {
            self.0.session.session()
        }

        /// The session that requests go to first, without fallback and tokenizer.
        pub fn into_session(self) -> Session {
            self.0.session.into_session()
        }

        /// The session that requests go to first, to run token ids on without a fallback.
        pub fn session_mut(&mut self) -> &mut Session {
            self.0.session.session_mut()
        }

        /// What all answers were computed by, a fallback's too.
        pub fn statistics(&self) -> RunStatistics {
            self.0.session.statistics()
        }

        /// What the last call's answers were computed by. The first call takes a digest of the
        /// model.
        ///
        /// # Errors
        /// [`TaskError::Model`] for a model that cannot be written as a file.
        pub fn provenance(&self) -> Result<Provenance, TaskError> {
            self.0.provenance()
        }

        /// Tokens that a text becomes, cut to the longest sequence.
        pub fn encode(&self, text: &str) -> Result<Encoding, TaskError> {
            self.0.encode(text)
        }
    };
}

/// Text to one class of many.
pub struct Classifier(Text);

impl Classifier {
    over_text!();

    fn from_text(text: Text) -> Result<Self, TaskError> {
        let ok = |t: Task| matches!(t, Task::SequenceClassification { .. });
        let remedy = "use embed for embeddings, tag for token classification";
        require(text.model(), "sequence classification", ok, remedy)?;
        Ok(Self(text))
    }

    /// Classifies one text.
    pub fn classify(&mut self, text: &str) -> Result<Classification, TaskError> {
        let tokens = self.0.encode(text)?.into();
        self.classify_tokens(&tokens)
    }

    /// Classifies one sequence of token ids.
    pub fn classify_tokens(&mut self, tokens: &Tokens) -> Result<Classification, TaskError> {
        let output = self.0.session.run(tokens)?;
        Ok(self.read(output))
    }

    /// Classifies many texts; answers are in their order.
    pub fn classify_batch<S: AsRef<str>>(
        &mut self,
        texts: &[S],
    ) -> Result<Vec<Classification>, TaskError> {
        let tokens = self.0.encode_all(texts)?;
        self.classify_tokens_batch(&tokens, |_| ())
    }

    /// Classifies many sequences of token ids; `done` is called with the number answered after each
    /// run.
    pub fn classify_tokens_batch(
        &mut self,
        tokens: &[Tokens],
        done: impl FnMut(usize),
    ) -> Result<Vec<Classification>, TaskError> {
        let outputs = self.0.session.run_batch_with(tokens, done)?;
        Ok(outputs.into_iter().map(|o| self.read(o)).collect())
    }

    fn read(&self, output: HeadOutput) -> Classification {
        let logits = output.values().to_vec();
        let index = argmax(&logits);
        let scores = match self.0.model().config.problem_type {
            Some(ProblemType::Regression) => logits.clone(),
            Some(ProblemType::MultiLabel) => logits
                .iter()
                .map(|v| 1.0 / (1.0 + libm::expf(-v)))
                .collect(),
            _ => softmax(&logits),
        };
        let label = self.0.labels().get(index).cloned().unwrap_or_default();
        Classification {
            index,
            label,
            scores,
            logits,
        }
    }
}

/// Text to a vector.
pub struct Embedder(Text);

impl Embedder {
    over_text!();

    fn from_text(text: Text) -> Result<Self, TaskError> {
        let ok = |t: Task| matches!(t, Task::Embedding { .. });
        let remedy = "use classify or tag, or quantize the checkpoint with --task embedding";
        require(text.model(), "embeddings", ok, remedy)?;
        Ok(Self(text))
    }

    /// The vector of one text, `[hidden]`.
    pub fn embed(&mut self, text: &str) -> Result<Vec<f32>, TaskError> {
        let tokens: Tokens = self.0.encode(text)?.into();
        Ok(self.0.session.run(&tokens)?.values().to_vec())
    }

    /// The vectors of many texts, in their order.
    pub fn embed_batch<S: AsRef<str>>(&mut self, texts: &[S]) -> Result<Vec<Vec<f32>>, TaskError> {
        let tokens = self.0.encode_all(texts)?;
        self.embed_tokens_batch(&tokens, |_| ())
    }

    /// The vectors of many sequences of token ids; `done` is called with the number answered after
    /// each run.
    pub fn embed_tokens_batch(
        &mut self,
        tokens: &[Tokens],
        done: impl FnMut(usize),
    ) -> Result<Vec<Vec<f32>>, TaskError> {
        let outputs = self.0.session.run_batch_with(tokens, done)?;
        Ok(outputs.into_iter().map(|o| o.values().to_vec()).collect())
    }
}

/// Text to a class for each word.
pub struct Tagger(Text);

impl Tagger {
    over_text!();

    fn from_text(text: Text) -> Result<Self, TaskError> {
        let ok = |t: Task| matches!(t, Task::TokenClassification {});
        require(
            text.model(),
            "token classification",
            ok,
            "use classify or embed",
        )?;
        Ok(Self(text))
    }

    /// The class of each word of a text, in order. Words past the longest sequence are cut.
    pub fn tag(&mut self, text: &str) -> Result<Vec<TaggedWord>, TaskError> {
        let encoding = self.0.encode(text)?;
        let words = encoding.word_spans();
        let output = self.0.session.run(&encoding.into())?;
        let classes = self.0.labels().len().max(1);
        let logits = output.values();
        let tagged = words.into_iter().filter_map(|span| {
            let start = span.tokens.start * classes;
            let scores = softmax(logits.get(start..start + classes)?);
            let index = argmax(&scores);
            Some(TaggedWord {
                word: text.get(span.bytes.clone())?.to_owned(),
                bytes: span.bytes,
                label: self.0.labels().get(index).cloned().unwrap_or_default(),
                score: scores.get(index).copied().unwrap_or(0.0),
            })
        });
        Ok(tagged.collect())
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f32> = logits.iter().map(|v| libm::expf(v - max)).collect();
    let sum: f32 = exp.iter().sum();
    exp.into_iter().map(|e| e / sum).collect()
}
