//! The runs that the error of each layer is measured on.
//!
//! What a layer gives in the quantized run is had from the accelerator itself, without a second
//! implementation of it: the model cut off after that layer is a model too, and its hidden states
//! are what the whole one has there, bit for bit. L layers so cost about L/2 runs.

use anyhow::{Context, ensure};
use fqbert_checkpoint::{Checkpoint, Observer, Site};
use fqbert_evaluation::Layers;
use fqbert_evaluation::layers::{self, LayerRuns};
use fqbert_model::QuantizedModel;
use fqbert_numerics::host::{quantize_i8, quantize_i16};
use fqbert_runtime::{Session, SessionOptions, Tokens};
use indicatif::ProgressBar;

use crate::progress;

/// Bound on the float values kept, 1 GiB of them.
const MAX_VALUES: usize = 1 << 28;

/// Keeps the embeddings and each layer's output, `[tokens][hidden]`.
#[derive(Default)]
struct Keep(Vec<Vec<f32>>);

impl Observer for Keep {
    fn observe(&mut self, _: usize, site: Site, values: &[f32], _: usize, _: usize) {
        if matches!(site, Site::EmbeddingOut | Site::LayerOut) {
            self.0.push(values.to_vec());
        }
    }
}

/// The embeddings' error and that of each layer. The session gives its device.
pub fn measure(
    session: Session,
    options: SessionOptions,
    model: &QuantizedModel,
    float: &Checkpoint,
    tokens: &[Tokens],
) -> anyhow::Result<Layers> {
    let lengths: Vec<usize> = tokens.iter().map(Tokens::len).collect();
    let points = model.layers.len() + 1;
    let values = lengths
        .iter()
        .sum::<usize>()
        .saturating_mul(model.config.hidden)
        .saturating_mul(points);
    ensure!(
        values <= MAX_VALUES,
        "the float run of {} sequences has {values} values to keep, {MAX_VALUES} at most; lower \
         --sqnr-samples",
        tokens.len()
    );
    let bar = progress::bar(tokens.len() * model.layers.len(), "layer errors");
    let kept = float
        .forward_batch_observed(tokens, |_| Keep::default())?
        .into_iter()
        .map(|(_, keep)| keep.0)
        .collect();
    let mut runs = Runs {
        model,
        tokens,
        kept,
        session: Some(session),
        options,
        bar,
    };
    let errors = layers::measure(&mut runs, model.layers.len(), &lengths)?;
    runs.bar.finish_and_clear();
    Ok(errors)
}

/// The float run's values, and sessions of the model cut off after each layer in turn.
struct Runs<'a> {
    model: &'a QuantizedModel,
    tokens: &'a [Tokens],
    /// By sequence and point.
    kept: Vec<Vec<Vec<f32>>>,
    /// The last session, whose device the next one takes.
    session: Option<Session>,
    options: SessionOptions,
    bar: ProgressBar,
}

impl LayerRuns for Runs<'_> {
    type Error = anyhow::Error;

    fn float(&self, sequence: usize, point: usize) -> &[f32] {
        self.kept
            .get(sequence)
            .and_then(|points| points.get(point))
            .map_or(&[], Vec::as_slice)
    }

    fn embedded(&self, float: &[f32]) -> Vec<f32> {
        let (_, scale16) = self.model.input_scales();
        float
            .iter()
            .map(|v| f32::from(quantize_i16(*v, scale16)) * scale16)
            .collect()
    }

    fn after(&mut self, layer: usize) -> anyhow::Result<Vec<Vec<f32>>> {
        let mut cut = self.model.clone();
        cut.layers.truncate(layer + 1);
        cut.config.layers = layer + 1;
        let last = self.session.take().context("a run failed before")?;
        let mut session = Session::new(cut.into(), last.close()?, self.options.clone())
            .with_context(|| format!("the model cut after layer {layer}"))?;
        let mut states = Vec::with_capacity(self.tokens.len());
        for tokens in self.tokens {
            states.push(session.hidden_states(tokens)?);
            self.bar.inc(1);
        }
        self.session = Some(session);
        Ok(states)
    }

    fn alone(&self, layer: usize) -> anyhow::Result<Vec<Vec<f32>>> {
        let parameters = self.model.layers.get(layer).context("no such layer")?;
        let scales = parameters.scales;
        let mut single = self.model.clone();
        single.layers = vec![parameters.clone()];
        single.config.layers = 1;
        let hidden = self.model.config.hidden.max(1);
        let one = |sequence| -> anyhow::Result<Vec<f32>> {
            let input = self.float(sequence, layer);
            let x8: Vec<i8> = input.iter().map(|v| quantize_i8(*v, scales.x8)).collect();
            let x16: Vec<i16> = input.iter().map(|v| quantize_i16(*v, scales.x16)).collect();
            let all = 0..input.len() / hidden;
            let y16 = fqbert_quantizer::encode(&single, &x8, &x16, std::slice::from_ref(&all))
                .context("the float run has another shape than the model")?;
            Ok(y16.iter().map(|v| f32::from(*v) * scales.y16).collect())
        };
        (0..self.tokens.len()).map(one).collect()
    }
}
