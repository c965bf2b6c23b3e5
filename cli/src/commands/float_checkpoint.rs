//! The float checkpoint of `quantize`, for the use that is asked for.

use anyhow::ensure;
use fqbert_checkpoint::{Assumed, Checkpoint, LoadOptions};
use fqbert_host::{Pooling, TaskKind};

use crate::args::{PoolingArg, Quantize, TaskArg, YesNo};
use crate::output;

/// Loads it; what was assumed of an embedder is warned of.
pub fn load(args: &Quantize) -> anyhow::Result<Checkpoint> {
    let task = args.task.map(|t| match t {
        TaskArg::Classification => TaskKind::SequenceClassification,
        TaskArg::Tagging => TaskKind::TokenClassification,
        TaskArg::Embedding => TaskKind::Embedding,
    });
    let options = LoadOptions {
        task,
        pooling: args.pooling.map(|p| match p {
            PoolingArg::Mean => Pooling::Mean,
            PoolingArg::Cls => Pooling::Cls,
        }),
        normalize: args.normalize.map(|n| n == YesNo::Yes),
    };
    let checkpoint = Checkpoint::load(&args.checkpoint, &options)?;
    let task = checkpoint.config.task;
    ensure!(
        task.kind() == TaskKind::Embedding || (args.pooling.is_none() && args.normalize.is_none()),
        "--pooling and --normalize are for embeddings, the checkpoint is for {}; leave them out, \
         or give --task embedding",
        task.purpose()
    );
    if let Some(assumed) = said(checkpoint.assumed) {
        output::warn(assumed);
    }
    Ok(checkpoint)
}

/// What no file says, in words.
fn said(assumed: Assumed) -> Option<&'static str> {
    match (assumed.pooling, assumed.normalize) {
        (true, true) => Some(
            "no file of the checkpoint says how its token vectors become one: their mean is taken, \
             scaled to length 1; --pooling and --normalize choose",
        ),
        (true, false) => Some(
            "no file of the checkpoint says how its token vectors become one: their mean is taken; \
             --pooling chooses",
        ),
        (false, true) => Some(
            "no file of the checkpoint says whether its vectors are scaled to length 1: they are; \
             --normalize chooses",
        ),
        (false, false) => None,
    }
}
