//! `fqbert eval`: how good a quantized model is, and what its quantization changes.

mod examples;
mod float;
mod layers;
mod measure;
mod picture;
mod report;
mod slices;
mod text;
mod worst;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use fqbert_model::{ProblemType, QuantizedModel, Task};
use fqbert_runtime::{Session, Tokenizer, Tokens, open_device};

use crate::args::{Cli, Eval, EvalTask};
use crate::metrics::intervals;
use crate::{output, progress};
use examples::{Encoded, Examples};
use float::Float;
use layers::Device;
use measure::Answers;
use report::{Layers, Report, percent};

/// What is asked of the model, which decides how data are read and answers judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One class of many for a text.
    Classes,
    /// Any of several classes for a text.
    MultiLabel,
    /// A number for a text.
    Regression,
    /// A class for each word.
    Tags,
    /// Similarity of two texts by their vectors.
    Similarity,
}

impl Kind {
    /// Of a model and the task asked for; what does not go together is refused by name.
    fn of(model: &QuantizedModel, asked: Option<EvalTask>) -> anyhow::Result<Self> {
        let config = &model.config;
        let kind = match (config.task, config.problem_type) {
            (Task::Embedding { .. }, _) => Kind::Similarity,
            (Task::TokenClassification {}, _) => Kind::Tags,
            (_, Some(ProblemType::MultiLabel)) => Kind::MultiLabel,
            (_, Some(ProblemType::Regression)) => Kind::Regression,
            // Transformers' own rule: one output is a number.
            (_, None) if config.labels.len() == 1 => Kind::Regression,
            _ => Kind::Classes,
        };
        ensure!(
            kind != Kind::Regression || config.labels.len() == 1,
            "the model is a regression with {} outputs; only one output is evaluated",
            config.labels.len()
        );
        match (asked, kind) {
            (Some(EvalTask::Labels), Kind::Similarity) => bail!(
                "the model is for embeddings, --task labels is for classifiers, taggers and regressions; use --task sts"
            ),
            (Some(EvalTask::Sts), Kind::Classes | Kind::MultiLabel | Kind::Tags) => bail!(
                "the model is for {}, --task sts is for embeddings and regressions; use --task labels",
                kind.name()
            ),
            _ => Ok(kind),
        }
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Classes => "classification",
            Kind::MultiLabel => "multi-label classification",
            Kind::Regression => "regression",
            Kind::Tags => "token classification",
            Kind::Similarity => "similarity",
        }
    }

    /// Sequences that the model takes for one row of the data.
    pub fn sequences(self) -> usize {
        if self == Kind::Similarity { 2 } else { 1 }
    }
}

pub fn run(cli: &Cli, args: &Eval) -> anyhow::Result<()> {
    let path = super::model_path(args.model.as_ref())?;
    let name = path.display().to_string();
    let model = QuantizedModel::load(&path).with_context(|| format!("model {name}"))?;
    let kind = Kind::of(&model, args.task)?;
    // What the user may have got wrong is found before anything slow.
    check(args)?;
    let examples = Examples::read(args, kind, &model.config.labels)?;
    let tokenizer = tokenizer(&model)?;
    let float = Float::load(args, kind, &model, &examples)?;
    let mut session = Session::new(
        model.clone().into(),
        open_device(&cli.device)?,
        super::session_options(&args.run),
    )?;
    let encoded = Encoded::new(&examples, &tokenizer, session.longest(), kind)?;

    let start = Instant::now();
    let bar = progress::bar(encoded.tokens.len(), "evaluating");
    let outputs = session.run_batch_with(&encoded.tokens, |n| bar.set_position(n as u64))?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let statistics = session.statistics();

    let float_answers = float.as_ref().map(|f| f.answers(&encoded.tokens));
    let answers = Answers {
        quantized: outputs.iter().map(|o| o.values().to_vec()).collect(),
        float: float_answers.transpose()?,
    };
    answers.check_finite(&examples, kind)?;
    let measured = measure::measure(kind, &model.config.labels, &examples, &encoded, &answers)?;
    let layers = match &float {
        Some(Float::Folder(checkpoint)) if args.sqnr_samples > 0 => {
            let sample = sample(&encoded.tokens, args.sqnr_samples);
            let options = super::session_options(&args.run);
            let opened = session.close()?;
            Some(Layers {
                sequences: sample.len(),
                tokens: sample.iter().map(Tokens::len).sum(),
                layers: layers::measure(Device { opened, options }, &model, checkpoint, &sample)?,
            })
        }
        _ => None,
    };

    let slices = args
        .slices
        .then_some(measured.rows.float.as_ref())
        .flatten();
    let slices = slices.map(|float| {
        let (right, vocab) = (&measured.rows.right, model.config.vocab);
        slices::report(&examples, &encoded, right, float, vocab)
    });
    let (value, mut float_value) = measured.primary();
    if float.is_none() && args.limit.is_none() {
        // The model file knows its float figure; it holds for the same metric on as many examples.
        let known = model.provenance.float_metric.as_ref();
        let same = known.filter(|k| k.name == measured.metric && k.n == measured.n as u64);
        float_value = same.map(|k| k.value);
    }
    let (agreement, worst) = (measured.agreement, args.worst as usize);
    let report = Report {
        task: kind.name(),
        metric: measured.metric,
        value,
        n: measured.n,
        correct: measured.correct,
        float_value,
        agreement: agreement.and_then(|(same, of)| percent(same, of)),
        agreement_interval95: agreement
            .and_then(|(same, of)| intervals::wilson(same, of))
            .map(report::hundred),
        float_correlation: measured.float_correlation,
        words_cut: measured.words_cut,
        sqnr_db: measured.sqnr_db,
        confusion: measured.confusion_rows(model.config.labels.len()),
        matched_pairs: measured.matched,
        layers,
        slices,
        worst: worst::largest(&examples, &answers, &measured, worst, kind),
        flips: worst::flips(&examples, &answers, &measured, worst, kind),
        figures: measured.figures,
        labels: model.config.labels,
        model: name,
        data: args.data.display().to_string(),
        device: cli.device.clone(),
        packing: !args.run.no_packing,
        runs: statistics.runs,
        cycles: statistics.cycles,
        seconds,
        per_second: encoded.tokens.len() as f64 / seconds.max(1e-9),
    };
    if let (Some(path), Some(layers)) = (&args.svg, &report.layers) {
        picture::write(path, layers, &report)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    if cli.json {
        return output::json(&report);
    }
    output::text(&text::render(&report)?)
}

/// Refuses a picture that could not be written in the end.
fn check(args: &Eval) -> anyhow::Result<()> {
    let Some(path) = &args.svg else { return Ok(()) };
    ensure!(
        args.sqnr_samples > 0,
        "--svg draws the error of each layer, which --sqnr-samples 0 leaves out; give it some"
    );
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    ensure!(
        folder.is_none_or(Path::is_dir) && !path.is_dir(),
        "--svg {}: the folder does not exist, or it is a folder itself; name a file in a folder that exists",
        path.display()
    );
    Ok(())
}

/// The tokenizer inside the model, which float and quantized model share here.
fn tokenizer(model: &QuantizedModel) -> anyhow::Result<Tokenizer> {
    let inside = model
        .tokenizer
        .as_ref()
        .context("the model has no tokenizer inside, so texts cannot be given to it")?;
    let tokenizer = Tokenizer::from_bytes(inside.json().to_vec())?;
    tokenizer.check_vocab(model.config.vocab)?;
    Ok(tokenizer)
}

/// At most `n` of the sequences, spread evenly.
fn sample(tokens: &[Tokens], n: usize) -> Vec<Tokens> {
    let n = n.min(tokens.len());
    (0..n)
        .filter_map(|i| tokens.get(i * tokens.len() / n).cloned())
        .collect()
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
}
