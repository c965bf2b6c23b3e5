//! The float model to compare with: a checkpoint that is run here, or its logits from a file.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use fqbert_checkpoint::{Checkpoint, LoadOptions};
use fqbert_evaluation::data::Table;
use fqbert_evaluation::{Examples, Kind};
use fqbert_host::Task;
use fqbert_model::QuantizedModel;
use fqbert_runtime::Tokens;

use crate::args::Eval;
use crate::progress;

/// Sequences between two steps of the progress bar.
const STEP: usize = 64;

/// Where the float model's answers come from.
pub enum Float {
    /// Run by our own f32 reference.
    Folder(Box<Checkpoint>),
    /// Logits, one row for each row of the data.
    Logits(Vec<Vec<f32>>),
}

impl Float {
    /// What `--float` or `--float-logits` names, checked against the model and the data; `None` if
    /// neither is given.
    pub fn load(
        args: &Eval,
        kind: Kind,
        model: &QuantizedModel,
        examples: &Examples,
    ) -> anyhow::Result<Option<Self>> {
        if let Some(folder) = &args.float {
            let checkpoint = checkpoint(folder, model)
                .with_context(|| format!("checkpoint {}", folder.display()))?;
            return Ok(Some(Float::Folder(Box::new(checkpoint))));
        }
        let Some(path) = &args.float_logits else {
            return Ok(None);
        };
        if matches!(kind, Kind::Tags | Kind::Similarity) {
            bail!(
                "--float-logits has one row for each text, which {} has not; use --float FOLDER",
                kind.name()
            );
        }
        let table = Table::read(path)?;
        let (rows, columns) = (table.len(), table.width());
        ensure!(
            rows == examples.of && columns == model.config.labels.len(),
            "--float-logits {} has {rows} rows of {columns} columns; {} rows of {} are needed, one \
             for each row of {}",
            path.display(),
            examples.of,
            model.config.labels.len(),
            args.data.display()
        );
        let mut logits = table.numbers()?;
        logits.truncate(examples.len());
        Ok(Some(Float::Logits(logits)))
    }

    /// Its output for each sequence; errors call one by its `place`.
    pub fn answers(
        &self,
        tokens: &[Tokens],
        place: &dyn Fn(usize) -> String,
    ) -> anyhow::Result<Vec<Vec<f32>>> {
        let checkpoint = match self {
            Float::Logits(logits) => return Ok(logits.clone()),
            Float::Folder(checkpoint) => checkpoint,
        };
        let bar = progress::bar(tokens.len(), "float model");
        let mut answers = Vec::with_capacity(tokens.len());
        for part in tokens.chunks(STEP) {
            let outputs = checkpoint.forward_batch(part).or_else(|error| {
                // Which one it is is found one by one.
                for (i, one) in part.iter().enumerate() {
                    let answer = checkpoint.forward(&one.ids, &one.type_ids);
                    let at = || format!("float model, {}", place(answers.len() + i));
                    answer.with_context(at)?;
                }
                Err(anyhow::Error::from(error).context("float model"))
            })?;
            answers.extend(outputs.iter().map(|o| o.values().to_vec()));
            bar.set_position(answers.len() as u64);
        }
        bar.finish_and_clear();
        Ok(answers)
    }
}

/// Loads a checkpoint for the model's own task, and refuses one of another shape.
fn checkpoint(folder: &Path, model: &QuantizedModel) -> anyhow::Result<Checkpoint> {
    let config = &model.config;
    let (pooling, normalize) = match config.task {
        Task::Embedding { pooling, normalize } => (Some(pooling), Some(normalize)),
        _ => (None, None),
    };
    let options = LoadOptions {
        task: Some(config.task.kind()),
        pooling,
        normalize,
    };
    let checkpoint = Checkpoint::load(folder, &options)?;
    let float = &checkpoint.config;
    let same = [
        ("layers", float.layers, config.layers),
        ("hidden channels", float.hidden, config.hidden),
        ("words", float.vocab, config.vocab),
        ("classes", float.labels.len(), config.labels.len()),
    ];
    for (what, float, quantized) in same {
        ensure!(
            float == quantized,
            "it has {float} {what}, the quantized model {quantized}; give the checkpoint that the \
             model was made from"
        );
    }
    ensure!(
        float.max_sequence() >= config.max_sequence(),
        "it takes {} tokens, the quantized model {}; give the checkpoint that the model was made \
         from",
        float.max_sequence(),
        config.max_sequence()
    );
    Ok(checkpoint)
}
