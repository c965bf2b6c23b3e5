//! `fqbert quantize`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use fqbert_checkpoint::{Checkpoint, CheckpointError, load_tokenizer};
use fqbert_files::{Output, Outputs};
use fqbert_host::{Encode, TextPairs, TokenIds, Tokenizer, Tokens};
use fqbert_model::{FloatMetric, QuantizedModel};
use fqbert_quantizer::{
    Calibration, Columns, Goal, Job, LearnedScales, Mix, Progress, QuantizeOptions, RangeMethod,
    Report, Sample, Scheme, Sensitivity, StageFolder, quantize_learned,
};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::args::{Cli, Quantize, RangeArg, SchemeArg};
use crate::commands::float_checkpoint;
use crate::{output, progress};

#[derive(Serialize)]
struct Summary<'a> {
    output: String,
    bytes: u64,
    seconds: f64,
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    mix: Option<&'a Mix>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sensitivity: Option<&'a Sensitivity>,
}

/// Where everything goes, known to be writable before the work begins.
struct Places {
    model: Output,
    report: Option<Output>,
    sensitivity: Option<Output>,
}

impl Places {
    /// Refuses an output that would destroy an input, another output, or what is no file.
    fn open(args: &Quantize) -> anyhow::Result<Self> {
        let mut outputs = Outputs::default();
        for file in fqbert_checkpoint::files(&args.checkpoint) {
            outputs.reads(&file);
        }
        outputs.reads(&args.checkpoint.join(LearnedScales::FILE));
        if let Some(path) = &args.calibrate {
            outputs.reads(path);
        }
        let model = outputs.whole(&args.output)?;
        if args.resume {
            outputs.folder(&stage_folder(&args.output))?;
        }
        let mut text = |path: &Option<PathBuf>| path.as_ref().map(|p| outputs.text(p)).transpose();
        Ok(Self {
            model,
            report: text(&args.report)?,
            sensitivity: text(&args.sensitivity)?,
        })
    }
}

/// Bytes that the model file of a checkpoint has at least: words in 16 bits, weights in 4.
fn least_bytes(checkpoint: &Checkpoint) -> u64 {
    let config = &checkpoint.config;
    let [hidden, intermediate] = [config.hidden as u64, config.intermediate as u64];
    let weights = 4 * hidden * hidden + 2 * hidden * intermediate;
    2 * config.vocab as u64 * hidden + config.layers as u64 * weights / 2
}

/// What was made, and what was measured on the way.
struct Made {
    model: QuantizedModel,
    report: Report,
    mix: Option<Mix>,
    sensitivity: Option<Sensitivity>,
}

/// Draws what the quantizer says of its progress.
struct Bar(ProgressBar);

impl Progress for Bar {
    fn phase(&mut self, name: &str, steps: usize) {
        self.0.reset();
        self.0.set_length(steps as u64);
        self.0.set_message(name.to_owned());
    }

    fn step(&mut self) -> bool {
        self.0.inc(1);
        true
    }
}

pub fn run(cli: &Cli, args: &Quantize) -> anyhow::Result<()> {
    let start = Instant::now();
    let folder = &args.checkpoint;
    let places = Places::open(args)?;
    let checkpoint =
        float_checkpoint::load(args).with_context(|| format!("checkpoint {}", folder.display()))?;
    places.model.has_room(least_bytes(&checkpoint))?;
    let tokenizer = tokenizer(args, &checkpoint)?;
    let learned = LearnedScales::load(folder)?;
    let calibration = args
        .calibrate
        .as_ref()
        .map(|path| {
            calibration(
                path,
                args,
                tokenizer.as_ref(),
                checkpoint.config.max_sequence(),
            )
            .with_context(|| format!("calibration data {}", path.display()))
        })
        .transpose()?;
    let options = options(args)?;
    let mut bar = Bar(progress::bar(0, "quantizing"));
    let stages = stages(args)?;
    let made = match (&learned, &calibration) {
        (Some(learned), _) => {
            nothing_to_choose(args)?;
            let (model, report) = quantize_learned(
                &checkpoint,
                tokenizer.as_ref(),
                learned,
                calibration.as_ref().map(|c| &c.0),
                &options,
                &mut bar,
            )?;
            Made {
                model,
                report,
                mix: None,
                sensitivity: None,
            }
        }
        (None, Some((calibration, held_out))) => {
            let job = Job {
                checkpoint: &checkpoint,
                tokenizer: tokenizer.as_ref(),
                calibration,
                options: &options,
                stages: stages.as_ref(),
            };
            make(args, &job, held_out, &mut bar)?
        }
        (None, None) => bail!(
            "--calibrate FILE is needed: {} has no learned scales ({})",
            folder.display(),
            LearnedScales::FILE
        ),
    };
    bar.0.finish_and_clear();
    write(places, &made)?;
    if let Some(stages) = stages {
        stages.remove()?;
    }
    say(cli, args, &made, start.elapsed().as_secs_f64())
}

/// The folder's tokenizer; none if there is none and only token ids are used.
fn tokenizer(args: &Quantize, checkpoint: &Checkpoint) -> anyhow::Result<Option<Tokenizer>> {
    let folder = &args.checkpoint;
    let tokenizer = match load_tokenizer(folder) {
        Err(CheckpointError::NoTokenizer(_)) if args.ids => return Ok(None),
        loaded => loaded.with_context(|| format!("tokenizer of {}", folder.display()))?,
    };
    let tokenizer = tokenizer.for_task(checkpoint.config.task);
    for note in &tokenizer.settings().notes {
        output::warn(note);
    }
    Ok(Some(tokenizer))
}

/// Scheme and ranges as asked for, and what the model file says of its origin.
fn options(args: &Quantize) -> anyhow::Result<QuantizeOptions> {
    let mut options = QuantizeOptions::new(match args.scheme {
        SchemeArg::W4a8 => Scheme::W4A8,
        SchemeArg::Paper => Scheme::Paper,
        SchemeArg::W8a8 => Scheme::W8A8,
    });
    if let Some(range) = args.range {
        options.ranges = match range {
            RangeArg::Ema => RangeMethod::EmaMax { decay: 0.9 },
            RangeArg::Percentile => RangeMethod::Percentile(0.9999),
            RangeArg::Mse => RangeMethod::Mse,
        };
    }
    options.provenance.license.clone_from(&args.license);
    options.provenance.command = command_line(args);
    options.provenance.source = source_name(&args.checkpoint);
    options.provenance.float_metric = args.float_metric.as_deref().map(parse_metric).transpose()?;
    Ok(options)
}

/// Writes the model, and the reports that are asked for.
fn write(places: Places, made: &Made) -> anyhow::Result<()> {
    made.model.save_to(places.model)?;
    if let Some(output) = places.report {
        write_json(output, &made.report)?;
    }
    let mix = made.mix.as_ref().map(|m| &m.sensitivity);
    if let (Some(output), Some(sensitivity)) =
        (places.sensitivity, mix.or(made.sensitivity.as_ref()))
    {
        write_json(output, sensitivity)?;
    }
    Ok(())
}

/// Tells what was made.
fn say(cli: &Cli, args: &Quantize, made: &Made, seconds: f64) -> anyhow::Result<()> {
    let bytes = std::fs::metadata(&args.output)
        .map(|m| m.len())
        .unwrap_or(0);
    let report = &made.report;
    if cli.json {
        return output::json(&Summary {
            output: args.output.display().to_string(),
            bytes,
            seconds,
            report,
            mix: made.mix.as_ref(),
            sensitivity: made.sensitivity.as_ref(),
        });
    }
    let measured = match (&made.mix, &made.sensitivity) {
        (Some(mix), _) => format!("\n{mix}"),
        (None, Some(sensitivity)) => format!("\n{sensitivity}"),
        (None, None) => String::new(),
    };
    output::text(&format!(
        "{report}{measured}\nwrote {} ({:.1} MB) in {seconds:.1} s\n",
        args.output.display(),
        bytes as f64 / 1e6
    ))
}

/// With learned scales the bits are given, and it is done in seconds.
fn nothing_to_choose(args: &Quantize) -> anyhow::Result<()> {
    let given = [
        ("--budget", args.budget.is_some()),
        ("--max-drop", args.max_drop.is_some()),
        ("--sensitivity", args.sensitivity.is_some()),
        ("--range", args.range.is_some()),
        ("--resume", args.resume),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => bail!(
            "{option}: bits and scales of {} were learned in training ({}); quantize a copy of the \
             folder without that file to choose them",
            args.checkpoint.display(),
            LearnedScales::FILE
        ),
    }
}

/// Quantizes as the arguments ask.
fn make(
    args: &Quantize,
    job: &Job<'_>,
    held_out: &[Tokens],
    bar: &mut Bar,
) -> anyhow::Result<Made> {
    let budget = args.budget.map(Goal::Budget);
    if let Some(goal) = budget.or(args.max_drop.map(Goal::MaxDrop)) {
        let (model, report, mix) = job.mix(held_out, goal, bar)?;
        return Ok(Made {
            model,
            report,
            mix: Some(mix),
            sensitivity: None,
        });
    }
    let wanted = args.sensitivity.is_some();
    let sensitivity = wanted.then(|| job.sensitivity(held_out, bar)).transpose()?;
    let (model, report) = job.quantize(bar)?;
    Ok(Made {
        model,
        report,
        mix: None,
        sensitivity,
    })
}

/// Beside the output, which may be a name without a folder.
fn stage_folder(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".stages");
    name.into()
}

/// The folder for stages. A run that finds another in it works without, to the same bits.
fn stages(args: &Quantize) -> anyhow::Result<Option<StageFolder>> {
    if !args.resume {
        return Ok(None);
    }
    let path = stage_folder(&args.output);
    let stages = StageFolder::open(&path)?;
    if stages.is_none() {
        // Nobody need read it.
        let _ = writeln!(
            std::io::stderr(),
            "note: another run keeps its stages in {}; this one keeps none, and cannot be resumed",
            path.display()
        );
    }
    Ok(stages)
}

/// Calibration data, and the texts that are held out if something is judged on them.
fn calibration(
    path: &Path,
    args: &Quantize,
    tokenizer: Option<&Tokenizer>,
    longest: usize,
) -> anyhow::Result<(Calibration, Vec<Tokens>)> {
    let judged = args.budget.is_some() || args.max_drop.is_some() || args.sensitivity.is_some();
    let held_out = if judged { args.held_out } else { 0 };
    let max_len = args.max_tokens.min(longest);
    let max_len = tokenizer.map_or(max_len, |t| t.longest(max_len));
    let sample = Sample {
        limit: args.samples.saturating_add(held_out),
        max_len,
        seed: args.seed,
    };
    let pairs = args.pair || args.second_column.is_some();
    let all = match tokenizer.filter(|_| !args.ids) {
        Some(tokenizer) if pairs => draw(path, args, &TextPairs(tokenizer), &sample)?,
        Some(tokenizer) => draw(path, args, tokenizer, &sample)?,
        None => draw(path, args, &TokenIds, &sample)?,
    };
    output::warn_of_unknown(all.unknown());
    if all.passed_over() > 0 {
        output::warn(&format!(
            "calibration texts without tokens were passed over: {}",
            all.passed_over()
        ));
    }
    if all.cut() > 0 {
        output::warn(&format!(
            "{} of {} calibration texts were cut to {max_len} tokens",
            all.cut(),
            all.sequences().len()
        ));
    }
    if judged {
        return Ok(all.hold_out(held_out)?);
    }
    Ok((all, Vec::new()))
}

fn draw(
    path: &Path,
    args: &Quantize,
    tokenizer: &impl Encode,
    sample: &Sample,
) -> anyhow::Result<Calibration> {
    let Some(column) = &args.column else {
        return Ok(Calibration::from_text_file(path, tokenizer, sample)?);
    };
    if let Some(second) = &args.second_column {
        return Ok(Calibration::from_named_pair(
            path,
            [column, second],
            tokenizer,
            sample,
        )?);
    }
    // Numbers address files without a header line, names those with one.
    let numbers = column.split(',').map(|c| c.trim().parse().ok());
    Ok(match numbers.collect::<Option<Vec<usize>>>() {
        Some(texts) => {
            let columns = Columns {
                texts,
                header: false,
            };
            Calibration::from_tsv(path, &columns, tokenizer, sample)?
        }
        None => Calibration::from_named_column(path, column, tokenizer, sample)?,
    })
}

/// NAME,DATA,VALUE,N of the float checkpoint.
fn parse_metric(text: &str) -> anyhow::Result<FloatMetric> {
    let help = || {
        format!(
            "--float-metric \"{text}\": give NAME,DATA,VALUE,N such as \"accuracy,SST-2 \
             dev,90.02,872\""
        )
    };
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let [name, data, value, n] = fields[..] else {
        anyhow::bail!(help())
    };
    let value: f64 = value.parse().with_context(help)?;
    ensure!(value.is_finite(), help());
    Ok(FloatMetric {
        name: name.to_owned(),
        data: data.to_owned(),
        value,
        n: n.parse().with_context(help)?,
    })
}

/// The folder's own name, without where it lies on this machine.
fn source_name(folder: &Path) -> String {
    folder
        .file_name()
        .map_or_else(|| "checkpoint".into(), |n| n.to_string_lossy().into_owned())
}

/// The command for the file's metadata, with the names of files but not their folders.
fn command_line(args: &Quantize) -> String {
    let name = |p: &Path| {
        p.file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let mut words = vec!["fqbert quantize".to_owned(), source_name(&args.checkpoint)];
    if let Some(path) = &args.calibrate {
        words.push(format!("--calibrate {}", name(path)));
        words.extend(args.column.as_ref().map(|c| format!("--column {c}")));
        let second = args.second_column.as_ref();
        words.extend(second.map(|c| format!("--second-column {c}")));
        words.extend(args.pair.then(|| "--pair".to_owned()));
        words.extend(args.ids.then(|| "--ids".to_owned()));
        words.push(format!(
            "--samples {} --max-tokens {}",
            args.samples, args.max_tokens
        ));
        if args.seed != 0 {
            words.push(format!("--seed {}", args.seed));
        }
    }
    words.push(format!("--scheme {}", value_name(args.scheme)));
    words.extend(args.budget.map(|b| format!("--budget {b}bits")));
    words.extend(args.max_drop.map(|d| format!("--max-drop {d}")));
    if args.budget.is_some() || args.max_drop.is_some() || args.sensitivity.is_some() {
        words.push(format!("--held-out {}", args.held_out));
    }
    words.extend(args.range.map(|r| format!("--range {}", value_name(r))));
    words.extend(args.task.map(|t| format!("--task {}", value_name(t))));
    words.extend(args.pooling.map(|p| format!("--pooling {}", value_name(p))));
    words.extend(
        args.normalize
            .map(|n| format!("--normalize {}", value_name(n))),
    );
    words.push(format!("-o {}", name(&args.output)));
    words.join(" ")
}

fn value_name(value: impl clap::ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|v| v.get_name().to_owned())
        .unwrap_or_default()
}

/// Writes a report; of a file nobody reads half.
fn write_json(output: Output, value: &impl Serialize) -> anyhow::Result<()> {
    let writing = format!("writing {}", output.path().display());
    let write = |out: &mut dyn Write| -> anyhow::Result<()> {
        serde_json::to_writer_pretty(&mut *out, value)?;
        Ok(out.write_all(b"\n")?)
    };
    output.write(write).context(writing)
}
