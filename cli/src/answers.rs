//! Texts to answers, a few at a time and in order, each written when it is there. What is wrong
//! with one text is an error of that text alone.

use anyhow::{Context, anyhow};
use fqbert_runtime::{Encoder, Encoding, Provenance, TaskError, Tokens, Unknown};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::ahead::Chunks;
use crate::data::{self, Inputs, Source};
use crate::lines::Item;
use crate::output::{self, ErrorObject, Told};
use crate::progress;
use crate::provenance;
use crate::stream::{self, Stream};

/// Texts that are answered together: they are packed into common runs.
const TOGETHER: usize = 1024;
/// Errors of texts that are listed on standard error.
pub const LISTED: usize = 100;

/// A text ready to be run.
pub struct Sequence {
    /// None for token ids.
    pub text: Option<(String, Encoding)>,
    pub tokens: Tokens,
}

/// A text's number, and what is run.
type Prepared = (usize, anyhow::Result<Sequence>);

impl Sequence {
    /// Whether tokens were left out.
    pub fn cut(&self) -> bool {
        self.text.as_ref().is_some_and(|(_, e)| e.truncated)
    }

    /// The text, or the two of a pair.
    pub fn texts(&self) -> (Option<&str>, Option<&str>) {
        let Some((text, encoding)) = &self.text else {
            return (None, None);
        };
        match text.split_once('\t') {
            Some((first, second)) if encoding.sequences.contains(&Some(1)) => {
                (Some(first), Some(second))
            }
            _ => (Some(text), None),
        }
    }

    pub fn text(&self) -> Option<&str> {
        self.text.as_ref().map(|(text, _)| text.as_str())
    }
}

/// A model that answers texts, and how its answers are written.
pub trait Answerer {
    type Answer;

    fn encoder(&self) -> Encoder;
    /// How much of a text is not in the vocabulary.
    fn unknown(&self, encoding: &Encoding) -> Unknown;
    fn check(&self, tokens: &Tokens) -> Result<(), TaskError>;
    /// What the last answers were computed by.
    fn provenance(&self) -> Result<Provenance, TaskError>;
    fn answer(
        &mut self,
        sequences: &[Sequence],
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Result<Self::Answer, TaskError>>, TaskError>;
    /// Lines of text.
    fn text(&self, sequence: &Sequence, answer: &Self::Answer) -> String;
    /// Pretty JSON; what [`Shape::alone`] says of one answer decides its form if it is the `only`
    /// one.
    fn json(
        &self,
        sequence: &Sequence,
        answer: &Self::Answer,
        only: bool,
    ) -> serde_json::Result<String>;
}

/// The JSON object of many answers.
pub struct Shape {
    /// Keys before the list.
    pub before: Map<String, Value>,
    /// Name of the list.
    pub list: &'static str,
    /// One answer alone is the object itself.
    pub alone: bool,
    /// What stands between two answers as text.
    pub between: &'static str,
}

/// Answers all inputs. With `read_ahead` the next texts are read and encoded while some are
/// answered.
///
/// # Errors
/// Something fails that has to do with no text, or there is a text without an answer: all others
/// are answered before.
pub fn run(
    answerer: &mut impl Answerer,
    inputs: Inputs,
    shape: Shape,
    json: bool,
    read_ahead: bool,
) -> anyhow::Result<()> {
    let mut out = Out {
        stream: json.then(|| Stream::new(shape.before, shape.list)),
        alone: shape.alone,
        between: shape.between,
        bar: progress::bar(0, "answering"),
        buffer: String::new(),
        held: None,
        total: 0,
        added: 0,
        failed: 0,
        cut: 0,
        unknown: Unknown::default(),
        provenance: None,
    };
    let fed = match inputs {
        Inputs::Texts(source) => texts(answerer, source, read_ahead, &mut out),
        Inputs::Ids(ids) => sequences(answerer, ids, &mut out),
    };
    out.bar.finish_and_clear();
    match fed {
        Ok(()) => out.finish(answerer.encoder().longest()),
        Err(error) => Err(out.abort(error)),
    }
}

fn texts(
    answerer: &mut impl Answerer,
    mut source: Source,
    read_ahead: bool,
    out: &mut Out,
) -> anyhow::Result<()> {
    let (places, encoder, encode) = (source.places(), answerer.encoder(), source.encode());
    let mut chunks = Chunks::new(read_ahead, move || {
        let items = source.chunk(TOGETHER)?;
        Ok(items
            .into_iter()
            .map(|i| encoded(i, |text| encode(&encoder, text)))
            .collect())
    })?;
    loop {
        let prepared = chunks.next()?;
        if prepared.is_empty() {
            return data::ensure_some(out.total);
        }
        together(answerer, prepared, out, places.key(), &|n| places.place(n))?;
    }
}

fn encoded(
    Item { number, text }: Item,
    encode: impl Fn(&str) -> Result<Encoding, TaskError>,
) -> Prepared {
    let text = text.map_err(|reason| anyhow!(reason));
    let encoded = text.and_then(|text| {
        let encoding = encode(&text)?;
        Ok(Sequence {
            tokens: encoding.clone().into(),
            text: Some((text, encoding)),
        })
    });
    (number, encoded)
}

fn sequences(answerer: &mut impl Answerer, ids: Vec<Tokens>, out: &mut Out) -> anyhow::Result<()> {
    for (part, ids) in ids.chunks(TOGETHER).enumerate() {
        let prepare = |(index, tokens): (usize, &Tokens)| {
            let checked = answerer.check(tokens).map(|()| Sequence {
                text: None,
                tokens: tokens.clone(),
            });
            (part * TOGETHER + index + 1, checked.map_err(Into::into))
        };
        let prepared = ids.iter().enumerate().map(prepare).collect();
        together(answerer, prepared, out, "number", &data::ids_place)?;
    }
    Ok(())
}

/// Answers what can be answered of some texts, and writes an outcome for each.
fn together<A: Answerer>(
    answerer: &mut A,
    prepared: Vec<Prepared>,
    out: &mut Out,
    key: &'static str,
    place: &dyn Fn(usize) -> String,
) -> anyhow::Result<()> {
    let (mut outcomes, mut sequences) = (Vec::new(), Vec::new());
    for (number, prepared) in prepared {
        outcomes.push((number, prepared.map(|sequence| sequences.push(sequence))));
    }
    let done = out.total as u64;
    out.bar.inc_length(sequences.len() as u64);
    let bar = out.bar.clone();
    let answers = answerer.answer(&sequences, &mut |n| bar.set_position(done + n as u64))?;
    if out.stream.is_some() && !sequences.is_empty() {
        let later = answerer.provenance()?;
        match &mut out.provenance {
            Some(all) => {
                all.device = later.device;
                all.run.add(later.run);
            }
            none => *none = Some(later),
        }
    }
    let mut answered = sequences.iter().zip(answers);
    for (number, outcome) in outcomes {
        let outcome = outcome.and_then(|()| {
            let (sequence, answer) = answered.next().context("no answer")?;
            out.written(answerer, sequence, &answer?)
        });
        let outcome = outcome.with_context(|| place(number));
        out.take(Outcome {
            key,
            number,
            outcome,
        })?;
    }
    out.flush()
}

/// What became of a text.
struct Outcome {
    /// What JSON calls the number.
    key: &'static str,
    number: usize,
    outcome: anyhow::Result<Written>,
}

/// An answer as it is written among others, and alone.
struct Written {
    text: String,
    alone: Option<String>,
}

/// An outcome in the list.
#[derive(Serialize)]
struct Failure {
    #[serde(flatten)]
    error: ErrorObject,
    #[serde(flatten)]
    place: Map<String, Value>,
}

/// Where outcomes go.
struct Out {
    /// With --json.
    stream: Option<Stream>,
    alone: bool,
    between: &'static str,
    bar: ProgressBar,
    /// What is to be written.
    buffer: String,
    /// The first outcome, as long as it may be the only one.
    held: Option<Outcome>,
    total: usize,
    added: usize,
    failed: usize,
    cut: usize,
    /// What is not in the vocabulary, of all texts.
    unknown: Unknown,
    /// What all answers were computed by, with --json.
    provenance: Option<Provenance>,
}

impl Out {
    /// An answer as text or JSON.
    fn written<A: Answerer>(
        &mut self,
        answerer: &A,
        sequence: &Sequence,
        answer: &A::Answer,
    ) -> anyhow::Result<Written> {
        self.cut += usize::from(sequence.cut());
        if let Some((_, encoding)) = &sequence.text {
            self.unknown.add(answerer.unknown(encoding));
        }
        if self.stream.is_none() {
            return Ok(Written {
                text: answerer.text(sequence, answer),
                alone: None,
            });
        }
        let only = self.alone && self.total == 0;
        let alone = only.then(|| answerer.json(sequence, answer, true));
        Ok(Written {
            text: answerer.json(sequence, answer, false)?,
            alone: alone.transpose()?,
        })
    }

    fn take(&mut self, one: Outcome) -> anyhow::Result<()> {
        self.total += 1;
        if let Some(first) = self.held.take() {
            self.add(first)?;
        } else if self.total == 1 && (self.stream.is_some() || one.outcome.is_err()) {
            self.held = Some(one);
            return Ok(());
        }
        self.add(one)
    }

    /// Adds an outcome to what is to be written.
    fn add(&mut self, one: Outcome) -> anyhow::Result<()> {
        let text = match (one.outcome, &self.stream) {
            (Ok(written), _) => written.text,
            (Err(error), stream) => {
                self.failed += 1;
                if self.failed <= LISTED {
                    let causes = output::causes(&error).join(": ");
                    self.bar
                        .suspend(|| output::say(&format!("error: {causes}")));
                }
                match stream {
                    // It keeps the answer's place.
                    None => "-\n".to_owned(),
                    Some(_) => serde_json::to_string_pretty(&Failure {
                        error: ErrorObject::of(&error),
                        place: [(one.key.to_owned(), one.number.into())]
                            .into_iter()
                            .collect(),
                    })?,
                }
            }
        };
        match &mut self.stream {
            None => {
                if self.added > 0 {
                    self.buffer += self.between;
                }
                self.buffer += &text;
            }
            Some(stream) => self.buffer += &stream.member(&text),
        }
        self.added += 1;
        Ok(())
    }

    /// What all answers were computed by, as JSON has it.
    fn source(&self) -> anyhow::Result<Map<String, Value>> {
        let field = self.provenance.as_ref().map(provenance::field);
        let mut fields = field.transpose()?.unwrap_or_default();
        if self.unknown.tokens > 0 {
            fields.insert("unknown_tokens".to_owned(), self.unknown.unknown.into());
            fields.insert("unknown_share".to_owned(), self.unknown.share().into());
        }
        Ok(fields)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let text = std::mem::take(&mut self.buffer);
        if text.is_empty() {
            return Ok(());
        }
        self.bar.suspend(|| output::text(&text))
    }

    fn finish(mut self, longest: usize) -> anyhow::Result<()> {
        output::warn_of_cuts(self.cut, self.total, longest);
        output::warn_of_unknown(self.unknown);
        if let Some(first) = self.held.take() {
            match first {
                Outcome {
                    outcome: Err(error),
                    ..
                } => return Err(error),
                Outcome {
                    outcome:
                        Ok(Written {
                            alone: Some(alone), ..
                        }),
                    ..
                } => {
                    return output::text(&(stream::extended(&alone, &self.source()?) + "\n"));
                }
                other => self.add(other)?,
            }
        }
        let source = self.source()?;
        let (cut, failed, total) = (self.cut, self.failed, self.total);
        if let Some(stream) = &mut self.stream {
            let counts = [("cut", cut), ("errors", failed)];
            let counts = counts.map(|(key, n)| (key.to_owned(), n.into()));
            let mut after: Map<String, Value> = counts.into_iter().collect();
            after.extend(source);
            self.buffer += &stream.end(after);
        }
        self.flush()?;
        if failed == 0 {
            return Ok(());
        }
        let more = failed.saturating_sub(LISTED);
        let unlisted = if more > 0 {
            format!(" ({more} of them are not listed above)")
        } else {
            String::new()
        };
        let error = anyhow!("{failed} of {total} texts have no answer{unlisted}");
        Err(Told(error).into())
    }

    /// Ends what was begun with an error that is no text's.
    fn abort(&mut self, error: anyhow::Error) -> anyhow::Error {
        if self.total == 0 || self.stream.is_none() {
            return error;
        }
        let ended = self.held.take().map_or(Ok(()), |first| self.add(first));
        let object = ErrorObject::of(&error);
        if let (Ok(()), Some(stream), Ok(Value::Object(fields))) =
            (ended, &mut self.stream, serde_json::to_value(object))
        {
            self.buffer += &stream.end(fields);
            if self.flush().is_ok() {
                return Told(error).into();
            }
        }
        error
    }
}
