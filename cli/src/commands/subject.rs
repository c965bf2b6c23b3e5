//! The model that inspect, disassemble and bench look at: a file, or random weights of a shape.

use std::path::PathBuf;

use anyhow::Context;
use fqbert_contract::Geometry;
use fqbert_model::QuantizedModel;
use fqbert_model::testing::{Shape, random_model};
use fqbert_runtime::{Tokens, open_device};

use crate::args::Subject;

/// Named shapes: layers, hidden, heads, intermediate.
const SHAPES: &[(&str, [usize; 4])] = &[
    ("bert-tiny", [2, 128, 2, 512]),
    ("minilm-l6", [6, 384, 12, 1536]),
    ("distilbert", [6, 768, 12, 3072]),
    ("bert-base", [12, 768, 12, 3072]),
    ("bert-large", [24, 1024, 16, 4096]),
];
/// Bound on weights of a made-up model, a little above BERT-large's encoder.
const MAX_WEIGHTS: u64 = 400_000_000;

impl Subject {
    /// The model and what to call it.
    pub fn load(&self) -> anyhow::Result<(String, QuantizedModel)> {
        load(self.model.as_ref(), self.shape.as_deref())
    }
}

/// The model and what to call it.
pub fn load(
    model: Option<&PathBuf>,
    shape: Option<&str>,
) -> anyhow::Result<(String, QuantizedModel)> {
    match shape {
        Some(name) => {
            let [layers, hidden, heads, intermediate] = parse_shape(name)?;
            let shape = Shape {
                layers,
                hidden,
                heads,
                intermediate,
                ..Shape::BERT_BASE
            };
            let model = random_model(shape, 0);
            model.validate().with_context(|| format!("shape {name}"))?;
            Ok((format!("random weights of shape {name}"), model))
        }
        None => {
            let path = super::model_path(model)?;
            let name = path.display().to_string();
            let model = QuantizedModel::load(&path).with_context(|| format!("model {name}"))?;
            Ok((name, model))
        }
    }
}

fn parse_shape(text: &str) -> anyhow::Result<[usize; 4]> {
    let known = || {
        SHAPES
            .iter()
            .map(|(n, _)| *n)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let shape = match SHAPES.iter().find(|(name, _)| *name == text) {
        Some((_, shape)) => *shape,
        None => {
            let numbers: Vec<usize> = text
                .split(',')
                .filter_map(|n| n.trim().parse().ok())
                .collect();
            let count = text.split(',').count();
            <[usize; 4]>::try_from(numbers)
                .ok()
                .filter(|_| count == 4)
                .with_context(|| {
                    format!(
                        "shape \"{text}\" is none of {} nor LAYERS,HIDDEN,HEADS,INTERMEDIATE",
                        known()
                    )
                })?
        }
    };
    let [layers, hidden, heads, intermediate] = shape;
    let bounded = (1..=256).contains(&layers)
        && (8..=4096).contains(&hidden)
        && hidden % 8 == 0
        && (8..=4096).contains(&intermediate)
        && intermediate % 8 == 0
        && heads > 0
        && hidden % heads == 0
        && (hidden / heads) % 8 == 0;
    let weights = 2 * layers as u64 * hidden as u64 * (2 * hidden as u64 + intermediate as u64);
    anyhow::ensure!(
        bounded && weights <= MAX_WEIGHTS,
        "shape \"{text}\": 1..=256 layers, hidden and intermediate multiples of 8 up to 4096, \
         heads of a multiple of 8 channels, at most {MAX_WEIGHTS} weights"
    );
    Ok(shape)
}

/// The geometry of the device a URI names.
pub fn geometry(uri: &str) -> anyhow::Result<Geometry> {
    Ok(open_device(uri)?.capabilities().geometry.clone())
}

/// Tokens of a sequence where none are asked for.
const TOKENS: usize = 128;

/// The tokens asked for, [`TOKENS`] or fewer if nothing is, and the shortest program that holds
/// them.
pub fn bucket(
    geometry: &Geometry,
    model: &QuantizedModel,
    asked: Option<usize>,
) -> anyhow::Result<(usize, u32)> {
    let buckets = fqbert_runtime::fitting_buckets(geometry, model)?;
    let longest = buckets.last().copied().unwrap_or(0) as usize;
    let longest = longest.min(model.config.max_sequence());
    let tokens = asked.unwrap_or(TOKENS.min(longest));
    let bucket = fqbert_compiler::choose_bucket(&buckets, tokens).filter(|_| tokens <= longest);
    let bucket = bucket.with_context(|| {
        format!(
            "--seq {tokens}: the longest sequence of this model on {} is {longest} tokens",
            geometry.name
        )
    })?;
    Ok((tokens, bucket))
}

/// So many tokens that the model has. Which they are does not matter: time does not depend on the
/// values.
pub fn some_tokens(count: usize, model: &QuantizedModel) -> Tokens {
    let vocab = model.config.vocab as u32;
    Tokens::from_ids((0..count as u32).map(|i| (i * 7919 + 13) % vocab).collect())
}
