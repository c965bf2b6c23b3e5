//! What is carried over from the checkpoint as it is: configuration, embeddings, head.

use fqbert_checkpoint as float;
use fqbert_model::{
    Activation, Dense, Embeddings, Family, HeadActivation, ModelConfig, Pooling, ProblemType,
    Table, Task,
};

/// The model's configuration.
pub(crate) fn config(checkpoint: &float::Checkpoint) -> ModelConfig {
    let c = &checkpoint.config;
    ModelConfig {
        family: match c.family {
            float::Family::Bert => Family::Bert,
            float::Family::DistilBert => Family::DistilBert,
            float::Family::Roberta => Family::Roberta,
        },
        layers: c.layers,
        hidden: c.hidden,
        heads: c.heads,
        intermediate: c.intermediate,
        vocab: c.vocab,
        max_positions: c.max_positions,
        position_offset: c.position_offset,
        type_vocab: c.type_vocab,
        pad_token_id: c.pad_token_id,
        layer_norm_eps: c.layer_norm_eps,
        activation: match c.activation {
            float::Activation::Gelu => Activation::Gelu,
            float::Activation::GeluTanh => Activation::GeluTanh,
            float::Activation::Relu => Activation::Relu,
        },
        task: task(&checkpoint.head),
        labels: c.labels.clone(),
        problem_type: c.problem_type.map(|p| match p {
            float::ProblemType::SingleLabel => ProblemType::SingleLabel,
            float::ProblemType::MultiLabel => ProblemType::MultiLabel,
            float::ProblemType::Regression => ProblemType::Regression,
        }),
    }
}

fn task(head: &float::Head) -> Task {
    match head {
        float::Head::SequenceClassification { pre, .. } => Task::SequenceClassification {
            pre: pre.as_ref().map(|(_, activation)| match activation {
                float::HeadActivation::Tanh => HeadActivation::Tanh,
                float::HeadActivation::Relu => HeadActivation::Relu,
            }),
        },
        float::Head::TokenClassification { .. } => Task::TokenClassification {},
        float::Head::Embedding { pooling, normalize } => Task::Embedding {
            pooling: match pooling {
                float::Pooling::Mean => Pooling::Mean,
                float::Pooling::Cls => Pooling::Cls,
            },
            normalize: *normalize,
        },
    }
}

/// Embedding tables. The word table keeps the precision that it came in.
pub(crate) fn embeddings(e: &float::Embeddings) -> Embeddings {
    Embeddings {
        word: match e.word() {
            float::WordTable::F32(v) => Table::F32(v.clone()),
            float::WordTable::F16(v) => Table::F16(v.clone()),
        },
        position: Table::F32(e.position().to_vec()),
        token_type: Table::F32(e.token_type().to_vec()),
        gamma: e.norm().gamma().to_vec(),
        beta: e.norm().beta().to_vec(),
    }
}

/// The head's dense layer and classifier.
pub(crate) fn head(head: &float::Head) -> (Option<Dense>, Option<Dense>) {
    let dense = |l: &float::Linear| Dense {
        weight: l.weight().to_vec(),
        bias: l.bias().to_vec(),
    };
    match head {
        float::Head::SequenceClassification { pre, out } => {
            (pre.as_ref().map(|p| dense(&p.0)), Some(dense(out)))
        }
        float::Head::TokenClassification { out } => (None, Some(dense(out))),
        float::Head::Embedding { .. } => (None, None),
    }
}
