//! `fqbert eval`: how good a quantized model is, and what its quantization changes.

mod float;
mod layers;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use fqbert_evaluation::{
    Answers, Columns, Details, DeviceRun, Evaluation, Examples, Kind, Subject, Tokenized, evaluate,
    picture,
};
use fqbert_files::{Output, Outputs};
use fqbert_host::{Encode, Reading, TokenIds, Unknown};
use fqbert_model::{QuantizedModel, Task};
use fqbert_runtime::{Encoding, HeadOutput, Session, Tokenizer, Tokens, open_device};

use crate::args::{Cli, Eval, EvalTask};
use crate::{output, progress};
use float::Float;

pub fn run(cli: &Cli, args: &Eval) -> anyhow::Result<()> {
    let path = super::model_path(args.model.as_ref())?;
    let name = path.display().to_string();
    let model = QuantizedModel::load(&path).with_context(|| format!("model {name}"))?;
    let kind = kind(&model, args.task)?;
    // What the user may have got wrong is found before anything slow.
    check(args, kind)?;
    let svg = picture_output(args, &path)?;
    let examples = examples(args, kind, &model.config.labels)?;
    let tokenizer = (!args.ids).then(|| tokenizer(&model)).transpose()?;
    let float = Float::load(args, kind, &model, &examples)?;
    let mut session = Session::new(
        model.clone().into(),
        open_device(&cli.device)?,
        super::session_options(&args.run),
    )?;
    let input = Input::read(tokenizer.as_ref(), &examples, session.longest(), kind)?;
    let encodings = &input.encodings;
    let tokens: Vec<Tokens> = encodings.iter().cloned().map(Tokens::from).collect();

    let start = Instant::now();
    let place = |sequence: usize| {
        let line = examples.lines.get(sequence / kind.sequences());
        format!("the text of line {}", line.copied().unwrap_or(0))
    };
    let outputs = outputs(&mut session, &tokens, |i| {
        format!("model {name}, {}", place(i))
    })?;
    let seconds = start.elapsed().as_secs_f64();

    let float_answers = float.as_ref().map(|f| f.answers(&tokens, &place));
    let answers = Answers {
        quantized: outputs.iter().map(|o| o.values().to_vec()).collect(),
        float: float_answers.transpose()?,
    };
    let subject = Subject {
        kind,
        labels: &model.config.labels,
        vocab: model.config.vocab,
        examples: &examples,
        tokenized: &encodings.iter().map(tokenized).collect::<Vec<_>>(),
    };
    let details = Details {
        slices: args.slices,
        worst: args.worst as usize,
    };
    let run = input.run(args, &cli.device, name, &session, seconds);
    output::warn_of_cuts(run.texts_cut, tokens.len(), input.longest);
    output::warn_of_unknown(input.unknown);
    let mut evaluation = evaluate(&subject, &answers, details, run)?;
    if float.is_none() && args.limit.is_none() {
        evaluation.float_value = known_figure(&model, &evaluation);
    }
    if let Some(Float::Folder(checkpoint)) = &float
        && args.sqnr_samples > 0
    {
        let sample = sample(&tokens, args.sqnr_samples);
        let options = super::session_options(&args.run);
        evaluation.layers = Some(layers::measure(
            session, options, &model, checkpoint, &sample,
        )?);
    }
    if let Some(output) = svg {
        draw(output, &evaluation)?;
    }
    if cli.json {
        return output::json(&evaluation);
    }
    output::text(&evaluation.to_string())
}

/// The texts in tokens.
struct Input {
    encodings: Vec<Encoding>,
    /// Tokens that they were cut to.
    longest: usize,
    /// What of them is not in the vocabulary.
    unknown: Unknown,
}

impl Input {
    /// Of the tokenizer, or without one of token ids.
    fn read(
        tokenizer: Option<&Tokenizer>,
        examples: &Examples,
        longest: usize,
        kind: Kind,
    ) -> anyhow::Result<Self> {
        let Some(tokenizer) = tokenizer else {
            return Ok(Self {
                encodings: encode_ids(examples, longest)?,
                longest,
                unknown: Unknown::default(),
            });
        };
        let longest = tokenizer.longest(longest);
        let encodings = encode(examples, tokenizer, longest, kind)?;
        Ok(Self {
            unknown: tokenizer.unknown(&encodings),
            encodings,
            longest,
        })
    }

    /// How it was run in so many seconds.
    fn run(
        &self,
        args: &Eval,
        device: &str,
        model: String,
        session: &Session,
        seconds: f64,
    ) -> DeviceRun {
        let statistics = session.statistics();
        DeviceRun {
            model,
            data: args.data.display().to_string(),
            device: device.to_owned(),
            packing: !args.run.no_packing,
            texts_cut: self.encodings.iter().filter(|e| e.truncated).count(),
            unknown_tokens: self.unknown.unknown,
            unknown_share: self.unknown.share(),
            runs: statistics.runs,
            cycles: statistics.cycles,
            seconds,
            per_second: self.encodings.len() as f64 / seconds.max(1e-9),
        }
    }
}

/// The model's output for each sequence; of some alone no figure is computed.
fn outputs(
    session: &mut Session,
    tokens: &[Tokens],
    place: impl Fn(usize) -> String,
) -> anyhow::Result<Vec<HeadOutput>> {
    let bar = progress::bar(tokens.len(), "evaluating");
    let outputs = session.run_each_with(tokens, |n| bar.set_position(n as u64))?;
    bar.finish_and_clear();
    let outputs = outputs.into_iter().enumerate();
    outputs
        .map(|(i, output)| output.with_context(|| place(i)))
        .collect()
}

/// What is asked of a model, by what it is and the task asked for; what does not go together is
/// refused by name.
fn kind(model: &QuantizedModel, asked: Option<EvalTask>) -> anyhow::Result<Kind> {
    let config = &model.config;
    let kind = match (config.task, config.reading()) {
        (Task::Embedding { .. }, _) => Kind::Similarity,
        (Task::TokenClassification {}, _) => Kind::Tags,
        (_, Reading::AnyLabel) => Kind::MultiLabel,
        (_, Reading::Number | Reading::Score) => Kind::Regression,
        (_, Reading::OneClass) => Kind::Classes,
    };
    ensure!(
        kind != Kind::Regression || config.labels.len() == 1,
        "the model is a regression with {} outputs; only one output is evaluated",
        config.labels.len()
    );
    match (asked, kind) {
        (Some(EvalTask::Labels), Kind::Similarity) => bail!(
            "the model is for embeddings, --task labels is for classifiers, taggers and \
             regressions; use --task sts"
        ),
        (Some(EvalTask::Sts), Kind::Classes | Kind::MultiLabel | Kind::Tags) => bail!(
            "the model is for {}, --task sts is for embeddings and regressions; use --task labels",
            kind.name()
        ),
        _ => Ok(kind),
    }
}

/// Refuses options that no data can satisfy, and a picture that could not be written in the end.
fn check(args: &Eval, kind: Kind) -> anyhow::Result<()> {
    if let Some(limit) = args.limit {
        let least = kind.least_rows();
        ensure!(
            limit >= least,
            "--limit {limit}: at least {least} rows are needed to evaluate anything"
        );
    }
    ensure!(
        kind != Kind::Tags || args.second_column.is_none(),
        "--second-column: a tagger takes one text a row"
    );
    ensure!(
        args.svg.is_none() || args.sqnr_samples > 0,
        "--svg draws the error of each layer, which --sqnr-samples 0 leaves out; give it some"
    );
    Ok(())
}

/// Where the picture goes, if one is asked for: nowhere that anything is read from.
fn picture_output(args: &Eval, model: &Path) -> anyhow::Result<Option<Output>> {
    let Some(path) = &args.svg else {
        return Ok(None);
    };
    let mut outputs = Outputs::default();
    outputs.reads(model);
    outputs.reads(&args.data);
    if let Some(folder) = &args.float {
        for file in fqbert_checkpoint::files(folder) {
            outputs.reads(&file);
        }
    }
    Ok(Some(outputs.text(path).context("--svg")?))
}

/// The labelled data that the options name.
fn examples(args: &Eval, kind: Kind, labels: &[String]) -> anyhow::Result<Examples> {
    let limit = args.limit.unwrap_or(usize::MAX);
    if kind == Kind::Similarity || args.task == Some(EvalTask::Sts) {
        return Ok(Examples::read_sts(&args.data, limit)?);
    }
    let columns = Columns {
        text: &args.column,
        second: args.second_column.as_deref(),
        label: &args.label_column,
    };
    Ok(Examples::read(&args.data, &columns, kind, labels, limit)?)
}

/// The tokenizer inside the model, which float and quantized model share here.
fn tokenizer(model: &QuantizedModel) -> anyhow::Result<Tokenizer> {
    let inside = model
        .tokenizer
        .as_ref()
        .context("the model has no tokenizer inside, so texts cannot be given to it")?;
    let tokenizer = inside.load()?;
    tokenizer.check_vocab(model.config.vocab)?;
    Ok(tokenizer)
}

/// All rows in tokens, each sequence cut to `longest`: one sequence a row, or two for the
/// similarity of pairs.
fn encode(
    examples: &Examples,
    tokenizer: &Tokenizer,
    longest: usize,
    kind: Kind,
) -> anyhow::Result<Vec<Encoding>> {
    let mut encodings = Vec::with_capacity(examples.len() * kind.sequences());
    for (texts, line) in examples.texts.iter().zip(&examples.lines) {
        let at = || format!("the text of line {line}");
        match texts.as_slice() {
            [first, second] if kind.sequences() == 1 => {
                let pair = tokenizer.encode_pair(first, second, longest);
                encodings.push(pair.with_context(at)?);
            }
            texts => {
                for text in texts {
                    encodings.push(tokenizer.encode(text, longest).with_context(at)?);
                }
            }
        }
    }
    Ok(encodings)
}

/// All rows of token ids, one sequence for each column of them.
fn encode_ids(examples: &Examples, longest: usize) -> anyhow::Result<Vec<Encoding>> {
    let rows = examples.texts.iter().zip(&examples.lines);
    let each = rows.flat_map(|(texts, line)| texts.iter().map(move |text| (text, line)));
    each.map(|(text, line)| {
        let encoding = TokenIds.encode(text, longest);
        encoding.with_context(|| format!("the ids of line {line}"))
    })
    .collect()
}

/// What an evaluation looks at of a text in tokens.
fn tokenized(encoding: &Encoding) -> Tokenized {
    let spans = encoding.word_spans();
    let own = encoding.ids.iter().zip(&encoding.sequences);
    let own = own.filter(|(_, text)| text.is_some());
    Tokenized {
        offsets: encoding.offsets.clone(),
        split_words: spans.iter().filter(|s| s.tokens.len() > 1).count(),
        rarest: own.map(|(id, _)| *id).max().unwrap_or(0),
    }
}

/// The float model's figure that the model file knows; it holds for the same metric on as many
/// examples.
fn known_figure(model: &QuantizedModel, evaluation: &Evaluation) -> Option<f64> {
    let known = model.provenance.float_metric.as_ref()?;
    let same = known.name == evaluation.metric && known.n == evaluation.n as u64;
    same.then_some(known.value)
}

/// At most `n` of the sequences, spread evenly.
fn sample(tokens: &[Tokens], n: usize) -> Vec<Tokens> {
    let n = n.min(tokens.len());
    (0..n)
        .filter_map(|i| tokens.get(i * tokens.len() / n).cloned())
        .collect()
}

/// Writes the error of each layer as SVG.
fn draw(output: Output, evaluation: &Evaluation) -> anyhow::Result<()> {
    if let Some(svg) = picture::layer_errors(evaluation).transpose()? {
        let writing = format!("writing {}", output.path().display());
        let written: std::io::Result<()> = output.write(|out| out.write_all(svg.as_bytes()));
        written.context(writing)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread() {
        let tokens: Vec<Tokens> = (0..10).map(|i| Tokens::from_ids(vec![i])).collect();
        let ids = |n| -> Vec<u32> { sample(&tokens, n).iter().map(|t| t.ids[0]).collect() };
        assert_eq!(ids(3), [0, 3, 6]);
        assert_eq!(ids(10), (0..10).collect::<Vec<_>>());
        assert_eq!(ids(99).len(), 10);
        assert!(ids(0).is_empty() && sample(&[], 5).is_empty());
    }

    #[test]
    fn split_words_and_the_rarest_token() {
        // [CLS] a ##b c [SEP], with special tokens of the largest ids.
        let encoding = Encoding {
            ids: vec![900, 5, 70, 6, 901],
            offsets: vec![0..0, 0..1, 1..2, 3..4, 0..0],
            sequences: vec![None, Some(0), Some(0), Some(0), None],
            words: vec![None, Some(0), Some(0), Some(1), None],
            ..Encoding::default()
        };
        let of = tokenized(&encoding);
        assert_eq!((of.split_words, of.rarest), (1, 70));
        assert_eq!(of.offsets, encoding.offsets);
        assert_eq!(tokenized(&Encoding::default()), Tokenized::default());
    }
}
