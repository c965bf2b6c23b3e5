//! Text to answers: a tokenizer in front of a session, a reading of the head's output behind it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use fqbert_host::{
    Encoding, HeadOutput, HostError, Reading, Task, Tokens, Unknown, WordSpan, argmax,
};
use fqbert_model::QuantizedModel;
use fqbert_names as names;
use fqbert_session::{Failover, RunStatistics, Session, SessionError, SessionOptions};

use crate::encoder::Encoder;
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
    /// for a regression the values themselves; for one output of which nothing is said its sigmoid.
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
    encoder: Encoder,
    uris: Option<Uris>,
    /// Of the model, made when it is first asked for.
    sha256: OnceLock<String>,
    /// What errors call the model.
    name: String,
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
            path: names::path(path),
            source,
        })?;
        let mut text = Self::new(open_session(Arc::new(model), uri, fallback, options)?)?;
        text.name = names::path(path);
        text.uris = Some(Uris {
            first: uri.to_owned(),
            fallback: fallback.map(str::to_owned),
        });
        Ok(text)
    }

    fn new(session: Failover) -> Result<Self, TaskError> {
        let model = session.session().model();
        let tokenizer = match &model.tokenizer {
            Some(t) => Some(t.load()?),
            None => None,
        };
        if let Some(tokenizer) = &tokenizer {
            tokenizer.check_vocab(model.config.vocab)?;
        }
        let name = names::shown(&model.provenance.source).to_string();
        let encoder = Encoder {
            tokenizer: tokenizer.map(Arc::new),
            longest: session.session().longest(),
        };
        Ok(Self {
            session,
            encoder,
            uris: None,
            sha256: OnceLock::new(),
            name,
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
        self.encoder.encode(text)
    }

    fn longest(&self) -> usize {
        self.encoder.longest()
    }

    fn unknown(&self, encoding: &Encoding) -> Unknown {
        self.encoder.unknown(encoding)
    }

    fn encode_all<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Tokens>, TaskError> {
        let encode = |(index, text): (usize, &S)| {
            let encoding = self.encode(text.as_ref());
            encoding.map(Tokens::from).map_err(|e| number(index, e))
        };
        texts.iter().enumerate().map(encode).collect()
    }

    /// The head's output of one sequence.
    fn run(&mut self, tokens: &Tokens) -> Result<HeadOutput, TaskError> {
        match self.session.run(tokens) {
            Err(SessionError::Host(source @ HostError::NotFinite { .. })) => {
                Err(self.no_answer(source))
            }
            other => Ok(other?),
        }
    }

    /// The head's outputs of many sequences, each read on its own.
    fn run_each<T>(
        &mut self,
        tokens: &[Tokens],
        done: impl FnMut(usize),
        read: impl Fn(&Self, HeadOutput) -> T,
    ) -> Result<Vec<Result<T, TaskError>>, TaskError> {
        let outputs = self.session.run_each_with(tokens, done)?;
        let outputs = outputs.into_iter();
        let each = outputs.map(|o| o.map(|o| read(self, o)).map_err(|e| self.no_answer(e)));
        Ok(each.collect())
    }

    fn no_answer(&self, source: HostError) -> TaskError {
        TaskError::NoAnswer {
            model: self.name.clone(),
            source,
        }
    }

    fn labels(&self) -> &[String] {
        &self.model().config.labels
    }
}

/// The error of text `index` of many.
fn number(index: usize, error: TaskError) -> TaskError {
    TaskError::Text {
        number: index + 1,
        source: Box::new(error),
    }
}

/// The answers of many texts, if each has one.
fn all<T>(each: Vec<Result<T, TaskError>>) -> Result<Vec<T>, TaskError> {
    let each = each.into_iter().enumerate();
    each.map(|(index, answer)| answer.map_err(|e| number(index, e)))
        .collect()
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

        /// Checks that a sequence of token ids can be run.
        pub fn check(&self, tokens: &Tokens) -> Result<(), TaskError> {
            Ok(self.0.session.session().check(tokens)?)
        }

        /// Tokens that a text is cut to: the longest sequence, or less if the model says so.
        pub fn longest(&self) -> usize {
            self.0.longest()
        }

        /// How much of an encoded text is not in the vocabulary.
        pub fn unknown(&self, encoding: &Encoding) -> Unknown {
            self.0.unknown(encoding)
        }

        /// Tokens that a text becomes, cut to the longest sequence.
        pub fn encode(&self, text: &str) -> Result<Encoding, TaskError> {
            self.0.encode(text)
        }

        /// What encodes texts, to be used on another thread meanwhile.
        pub fn encoder(&self) -> Encoder {
            self.0.encoder.clone()
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
        let output = self.0.run(tokens)?;
        Ok(classification(&self.0, output))
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
        all(self.classify_each(tokens, done)?)
    }

    /// As [`Classifier::classify_tokens_batch`], but what has no answer is an error alone.
    pub fn classify_each(
        &mut self,
        tokens: &[Tokens],
        done: impl FnMut(usize),
    ) -> Result<Vec<Result<Classification, TaskError>>, TaskError> {
        self.0.run_each(tokens, done, classification)
    }
}

/// What a classifier's output says.
fn classification(text: &Text, output: HeadOutput) -> Classification {
    let logits = output.values().to_vec();
    let index = argmax(&logits);
    let scores = match text.model().config.reading() {
        Reading::Number => logits.clone(),
        Reading::AnyLabel | Reading::Score => logits
            .iter()
            .map(|v| 1.0 / (1.0 + libm::expf(-v)))
            .collect(),
        Reading::OneClass => softmax(&logits),
    };
    let label = text.labels().get(index).cloned().unwrap_or_default();
    Classification {
        index,
        label,
        scores,
        logits,
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
        Ok(self.0.run(&tokens)?.values().to_vec())
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
        all(self.embed_each(tokens, done)?)
    }

    /// As [`Embedder::embed_tokens_batch`], but what has no answer is an error alone.
    pub fn embed_each(
        &mut self,
        tokens: &[Tokens],
        done: impl FnMut(usize),
    ) -> Result<Vec<Result<Vec<f32>, TaskError>>, TaskError> {
        self.0.run_each(tokens, done, |_, o| o.values().to_vec())
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
        let output = self.0.run(&encoding.into())?;
        Ok(tags(&self.0, text, words, &output))
    }

    /// The classes of the words of many texts, given with their [`Tagger::encode`]d tokens; what
    /// has no answer is an error alone. `done` is called with the number answered after each run.
    pub fn tag_each<S: AsRef<str>>(
        &mut self,
        texts: &[(S, Encoding)],
        done: impl FnMut(usize),
    ) -> Result<Vec<Result<Vec<TaggedWord>, TaskError>>, TaskError> {
        let encodings = texts.iter().map(|(_, encoding)| encoding.clone());
        let tokens: Vec<Tokens> = encodings.map(Tokens::from).collect();
        let outputs = self.0.run_each(&tokens, done, |_, output| output)?;
        let answers = texts.iter().zip(outputs).map(|((text, encoding), output)| {
            output.map(|o| tags(&self.0, text.as_ref(), encoding.word_spans(), &o))
        });
        Ok(answers.collect())
    }
}

/// What a tagger's output says of the words of a text. To a tokenizer of bytes a second space is a
/// word of its own, which is none to anybody else: white space alone is left out.
fn tags(of: &Text, text: &str, words: Vec<WordSpan>, output: &HeadOutput) -> Vec<TaggedWord> {
    let classes = of.labels().len().max(1);
    let logits = output.values();
    let tagged = words.into_iter().filter_map(|span| {
        let word = text.get(span.bytes.clone())?;
        if word.trim().is_empty() {
            return None;
        }
        let start = span.tokens.start * classes;
        let scores = softmax(logits.get(start..start + classes)?);
        let index = argmax(&scores);
        Some(TaggedWord {
            word: word.to_owned(),
            bytes: span.bytes,
            label: of.labels().get(index).cloned().unwrap_or_default(),
            score: scores.get(index).copied().unwrap_or(0.0),
        })
    });
    tagged.collect()
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f32> = logits.iter().map(|v| libm::expf(v - max)).collect();
    let sum: f32 = exp.iter().sum();
    exp.into_iter().map(|e| e / sum).collect()
}
