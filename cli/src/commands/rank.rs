//! `fqbert rank`: texts in the order of how well they fit a query.

use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use fqbert_files::TextInput;
use fqbert_model::{QuantizedModel, Task};
use fqbert_runtime::{
    Classifier, Embedder, Encoder, Encoding, Provenance, TaskError, Tokens, Unknown, open_session,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::args::{Cli, Rank};
use crate::lines::{Item, Lines};
use crate::output::{self, Told};
use crate::{answers, progress, provenance};

/// Most bytes of texts: all of them are kept until the order is known.
const MAX_TEXTS: u64 = 1 << 30;
/// Texts that are read at a time.
const TOGETHER: usize = 1024;

/// A model that says how well a text fits a query.
enum Scorer {
    /// Reads the query and the text as a pair.
    Cross(Box<Classifier>),
    /// Compares the vectors of both.
    Vectors(Box<Embedder>),
}

#[derive(Serialize)]
struct Ranked {
    line: usize,
    score: f32,
    text: String,
    /// The text was cut to the longest sequence.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

#[derive(Serialize)]
struct Ranking<'a> {
    query: &'a str,
    /// The best first.
    results: &'a [Ranked],
    /// Texts that were scored.
    scored: usize,
    cut: usize,
    errors: usize,
    #[serde(flatten)]
    provenance: Map<String, Value>,
}

pub fn run(cli: &Cli, args: &Rank) -> anyhow::Result<()> {
    let (items, name) = read(&args.texts)?;
    let total = items.len();
    ensure!(total > 0, "no text to rank in {name}; give one a line");
    let mut scorer = Scorer::open(cli, args)?;
    let encoder = scorer.encoder();
    encoder.encode(&args.query).context("the query")?;
    let (mut unknown, mut errors) = (Unknown::default(), 0);
    let (mut ranked, mut sequences) = (Vec::new(), Vec::new());
    for Item { number, text } in items {
        let encoded = text.map_err(|reason| anyhow!(reason)).and_then(|text| {
            let encoding = scorer.encode(&encoder, &args.query, &text)?;
            Ok((text, encoding))
        });
        match encoded.with_context(|| format!("{name} line {number}")) {
            Err(error) => {
                errors += 1;
                if errors <= answers::LISTED {
                    output::say(&format!("error: {}", output::causes(&error).join(": ")));
                }
            }
            Ok((text, encoding)) => {
                unknown.add(encoder.unknown(&encoding));
                ranked.push(Ranked {
                    line: number,
                    score: 0.0,
                    text,
                    cut: encoding.truncated,
                });
                sequences.push(Tokens::from(encoding));
            }
        }
    }
    let scores = scorer.score(&encoder, &args.query, &sequences)?;
    for (one, score) in ranked.iter_mut().zip(scores) {
        one.score = score.with_context(|| format!("{name} line {}", one.line))?;
    }
    let (scored, cut) = (ranked.len(), ranked.iter().filter(|r| r.cut).count());
    // The sort is stable: of equal scores the first line comes first.
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked.truncate(args.top.unwrap_or(usize::MAX));
    output::warn_of_cuts(cut, scored, encoder.longest());
    output::warn_of_unknown(unknown);
    if cli.json {
        output::json(&Ranking {
            query: &args.query,
            results: &ranked,
            scored,
            cut,
            errors,
            provenance: match scored {
                0 => Map::new(),
                _ => provenance::field(&scorer.provenance()?)?,
            },
        })?;
    } else {
        let lines = ranked
            .iter()
            .map(|r| format!("{:>8.4}  {}\n", r.score, r.text));
        output::text(&lines.collect::<String>())?;
    }
    if errors > 0 {
        return Err(Told(anyhow!("{errors} of {total} texts have no score")).into());
    }
    Ok(())
}

/// All lines of a file or of standard input, and what errors call it.
fn read(path: &Path) -> anyhow::Result<(Vec<Item>, String)> {
    let name = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let mut lines = Lines::new(TextInput::open(path, MAX_TEXTS)?);
    let mut items = Vec::new();
    loop {
        let some = lines.chunk(TOGETHER);
        let some = some.with_context(|| format!("reading {name}"))?;
        if some.is_empty() {
            return Ok((items, name));
        }
        items.extend(some);
    }
}

impl Scorer {
    fn open(cli: &Cli, args: &Rank) -> anyhow::Result<Self> {
        let path = super::model_path(args.model.model.as_ref())?;
        let model =
            QuantizedModel::load(&path).with_context(|| format!("model {}", path.display()))?;
        let (task, outputs) = (model.config.task, model.config.labels.len());
        let vectors = matches!(task, Task::Embedding { .. });
        ensure!(
            vectors || (matches!(task, Task::SequenceClassification { .. }) && outputs == 1),
            "the model is for {} with {outputs} classes; rank takes an embedder, or a \
             cross-encoder with one output",
            task.purpose()
        );
        let options = super::session_options(&args.model.run);
        let fallback = args.model.fallback.as_deref();
        let session = open_session(model.into(), &cli.device, fallback, &options)?;
        Ok(if vectors {
            Self::Vectors(Box::new(Embedder::new(session)?))
        } else {
            Self::Cross(Box::new(Classifier::new(session)?))
        })
    }

    fn encoder(&self) -> Encoder {
        match self {
            Self::Cross(model) => model.encoder(),
            Self::Vectors(model) => model.encoder(),
        }
    }

    fn provenance(&self) -> Result<Provenance, TaskError> {
        match self {
            Self::Cross(model) => model.provenance(),
            Self::Vectors(model) => model.provenance(),
        }
    }

    /// A text as it is run.
    fn encode(&self, encoder: &Encoder, query: &str, text: &str) -> Result<Encoding, TaskError> {
        match self {
            Self::Cross(_) => encoder.encode_pair(query, text),
            Self::Vectors(_) => encoder.encode(text),
        }
    }

    /// The scores of some texts: what a cross-encoder's output stands for, or the cosine.
    fn score(
        &mut self,
        encoder: &Encoder,
        query: &str,
        sequences: &[Tokens],
    ) -> anyhow::Result<Vec<Result<f32, TaskError>>> {
        let bar = progress::bar(sequences.len(), "ranking");
        let done = |n: usize| bar.set_position(n as u64);
        let scores = match self {
            Self::Cross(model) => {
                let answers = model.classify_each(sequences, done)?.into_iter();
                let score = |c: fqbert_runtime::Classification| c.scores.first().copied();
                answers
                    .map(|answer| Ok(score(answer?).unwrap_or(f32::NAN)))
                    .collect()
            }
            Self::Vectors(model) => {
                let query = encoder.encode(query).context("the query")?.into();
                let query = model.embed_tokens_batch(&[query], |_| ())?.concat();
                let vectors = model.embed_each(sequences, done)?.into_iter();
                vectors.map(|vector| Ok(cosine(&query, &vector?))).collect()
            }
        };
        bar.finish_and_clear();
        Ok(scores)
    }
}

/// Of two vectors; 0 if one has no length.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let terms = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y));
        terms.sum()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    (dot(a, b) / lengths.max(1e-24)) as f32
}
