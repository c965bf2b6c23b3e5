//! `fqbert eval`.

use std::fmt::Write;
use std::time::Instant;

use anyhow::{Context, ensure};
use fqbert_model::{QuantizedModel, Task};
use fqbert_runtime::{Classifier, Embedder, Session, Tokens, open_fabric};
use serde::Serialize;

use crate::args::{Cli, Eval, EvalTask};
use crate::data::{Table, read_sts};
use crate::{metrics, output, progress};

#[derive(Serialize)]
struct Figure {
    metric: &'static str,
    /// In percent (accuracy) or 100 times the correlation.
    value: f64,
    /// Examples.
    n: usize,
    /// Of the float model on the same data, where known.
    float_value: Option<f64>,
    /// Percentage of examples on which quantized and float model give the same class.
    agreement: Option<f64>,
    /// Right answers, for accuracy.
    correct: Option<usize>,
    model: String,
    fabric: String,
    /// Runs of the fabric.
    runs: u64,
    /// Cycles that the fabric counted.
    cycles: u64,
    seconds: f64,
    per_second: f64,
}

pub fn run(cli: &Cli, args: &Eval) -> anyhow::Result<()> {
    let path = super::model_path(args.model.as_ref())?;
    let name = path.display().to_string();
    let model = QuantizedModel::load(&path).with_context(|| format!("model {name}"))?;
    let task = args.task.unwrap_or(match model.config.task {
        Task::Embedding { .. } => EvalTask::Sts,
        _ => EvalTask::Accuracy,
    });
    let known = model.provenance.float_metric.clone();
    let session = Session::new(
        model.into(),
        open_fabric(&cli.fabric)?,
        super::session_options(&args.run),
    )?;
    let mut figure = match task {
        EvalTask::Accuracy => accuracy(args, session)?,
        EvalTask::Sts => sts(args, session)?,
    };
    figure.model = name;
    figure.fabric.clone_from(&cli.fabric);
    if figure.float_value.is_none() && args.limit.is_none() {
        // The model file knows its float figure; it holds for the same metric on as many examples.
        let same = known.filter(|k| k.name == figure.metric && k.n == figure.n as u64);
        figure.float_value = same.map(|k| k.value);
    }
    if cli.json {
        return output::json(&figure);
    }
    let mut out = String::new();
    write!(out, "{} {:.2}", figure.metric, figure.value)?;
    if let Some(correct) = figure.correct {
        write!(out, " ({correct} of {})", figure.n)?;
    } else {
        write!(out, " ({} pairs)", figure.n)?;
    }
    if let Some(float) = figure.float_value {
        write!(out, ", float {float:.2} ({:+.2})", figure.value - float)?;
    }
    if let Some(agreement) = figure.agreement {
        write!(out, ", agreement with float {agreement:.2} %")?;
    }
    writeln!(
        out,
        "\n{} runs, {} cycles, {:.1} s, {:.1} texts a second",
        figure.runs, figure.cycles, figure.seconds, figure.per_second
    )?;
    output::text(&out)
}

fn accuracy(args: &Eval, session: Session) -> anyhow::Result<Figure> {
    let mut classifier = Classifier::new(session)?;
    let mut table = Table::read(&args.data)?;
    if let Some(limit) = args.limit {
        ensure!(limit > 0, "--limit 0 leaves nothing to evaluate");
        table.truncate(limit);
    }
    let texts = table.column("sentence")?;
    let names = classifier.session().model().config.labels.clone();
    // A label is a class's number, or its name.
    let expected = table.parsed("label", |field| {
        let number = field.parse::<usize>().ok().filter(|n| *n < names.len());
        number
            .or_else(|| names.iter().position(|n| n == field))
            .ok_or_else(|| {
                format!(
                    "neither a class number below {} nor one of {}",
                    names.len(),
                    names.join(", ")
                )
            })
    })?;
    let float = args.float_logits.as_deref().map(Table::read).transpose()?;
    let float = float.map(|t| t.numbers()).transpose()?;
    if let Some(rows) = &float {
        ensure!(
            rows.len() >= texts.len() && rows.iter().all(|r| r.len() == names.len()),
            "--float-logits has {} rows of {} columns; {} rows of {} are needed",
            rows.len(),
            rows.first().map_or(0, Vec::len),
            texts.len(),
            names.len()
        );
    }
    let tokens = texts
        .iter()
        .map(|t| classifier.encode(t).map(Tokens::from))
        .collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let bar = progress::bar(tokens.len(), "evaluating");
    let answers = classifier.classify_tokens_batch(&tokens, |n| bar.set_position(n as u64))?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let predicted: Vec<usize> = answers.iter().map(|a| a.index).collect();
    let float: Option<Vec<usize>> = float.map(|rows| {
        rows.iter()
            .take(predicted.len())
            .map(|r| argmax(r))
            .collect()
    });
    let statistics = classifier.session().statistics();
    Ok(Figure {
        metric: "accuracy",
        value: metrics::accuracy(&predicted, &expected),
        n: expected.len(),
        float_value: float.as_ref().map(|f| metrics::accuracy(f, &expected)),
        agreement: float.as_ref().map(|f| metrics::accuracy(&predicted, f)),
        correct: Some(
            predicted
                .iter()
                .zip(&expected)
                .filter(|(p, e)| p == e)
                .count(),
        ),
        model: String::new(),
        fabric: String::new(),
        runs: statistics.runs,
        cycles: statistics.cycles,
        seconds,
        per_second: expected.len() as f64 / seconds.max(1e-9),
    })
}

fn argmax(row: &[f32]) -> usize {
    row.iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .map_or(0, |(i, _)| i)
}

fn sts(args: &Eval, session: Session) -> anyhow::Result<Figure> {
    let mut embedder = Embedder::new(session)?;
    let mut pairs = read_sts(&args.data)?;
    if let Some(limit) = args.limit {
        ensure!(
            limit > 1,
            "--limit {limit}: a correlation needs at least 2 pairs"
        );
        pairs.truncate(limit);
    }
    let tokens = pairs
        .iter()
        .flat_map(|p| &p.sentences)
        .map(|t| embedder.encode(t).map(Tokens::from))
        .collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let bar = progress::bar(tokens.len(), "evaluating");
    let vectors = embedder.embed_tokens_batch(&tokens, |n| bar.set_position(n as u64))?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let similarity: Vec<f64> = vectors
        .chunks_exact(2)
        .map(|p| metrics::cosine(&p[0], &p[1]))
        .collect();
    let scores: Vec<f64> = pairs.iter().map(|p| p.score).collect();
    let statistics = embedder.session().statistics();
    Ok(Figure {
        metric: "spearman",
        value: 100.0 * metrics::spearman(&similarity, &scores),
        n: pairs.len(),
        float_value: None,
        agreement: None,
        correct: None,
        model: String::new(),
        fabric: String::new(),
        runs: statistics.runs,
        cycles: statistics.cycles,
        seconds,
        per_second: tokens.len() as f64 / seconds.max(1e-9),
    })
}
