//! The error of each layer against the float run.
//!
//! What a layer gives in the quantized run is had from the accelerator itself, without a second
//! implementation of it: the model cut off after that layer is a model too, and its hidden states
//! are what the whole one has there, bit for bit. L layers so cost about L/2 runs. Beside it the
//! error of the layer alone, which is given the float run's input: it says which layer loses, where
//! the first says what has been lost until there.

use anyhow::{Context, ensure};
use fqbert_checkpoint::{Checkpoint, Observer, Site};
use fqbert_contract::device;
use fqbert_model::QuantizedModel;
use fqbert_numerics::host::{quantize_i8, quantize_i16};
use fqbert_runtime::{Session, SessionOptions, Tokens};

use super::report::LayerError;
use crate::metrics::noise::Noise;
use crate::progress;

/// Bound on the float values kept, 1 GiB of them.
const MAX_VALUES: usize = 1 << 28;

/// A device that sessions are opened on one after another.
pub struct Device {
    /// The accelerator.
    pub opened: Box<dyn device::Device>,
    /// How the sessions run.
    pub options: SessionOptions,
}

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

/// The embeddings' error and that of each layer.
pub fn measure(
    device: Device,
    model: &QuantizedModel,
    float: &Checkpoint,
    tokens: &[Tokens],
) -> anyhow::Result<Vec<LayerError>> {
    let count: usize = tokens.iter().map(Tokens::len).sum();
    let points = model.layers.len() + 1;
    let values = count
        .saturating_mul(model.config.hidden)
        .saturating_mul(points);
    ensure!(
        values <= MAX_VALUES,
        "the float run of {} sequences has {values} values to keep, {MAX_VALUES} at most; lower --sqnr-samples",
        tokens.len()
    );
    let bar = progress::bar(tokens.len() * points, "layer errors");
    let kept: Vec<Vec<Vec<f32>>> = float
        .forward_batch_observed(tokens, |_| Keep::default())?
        .into_iter()
        .map(|(_, keep)| keep.0)
        .collect();
    let at = |sequence: usize, point: usize| -> &[f32] {
        kept.get(sequence)
            .and_then(|points| points.get(point))
            .map_or(&[], Vec::as_slice)
    };
    let mut errors = Vec::with_capacity(points);

    let (_, scale16) = model.input_scales();
    let mut noise = Noise::default();
    for sequence in 0..tokens.len() {
        let float = at(sequence, 0);
        let quantized: Vec<f32> = float
            .iter()
            .map(|v| f32::from(quantize_i16(*v, scale16)) * scale16)
            .collect();
        noise.add(float, &quantized);
    }
    bar.inc(tokens.len() as u64);
    errors.push(LayerError {
        name: "embeddings".into(),
        sqnr_db: noise.sqnr_db(),
        alone_db: noise.sqnr_db(),
    });

    let mut opened = device.opened;
    for layer in 0..model.layers.len() {
        let mut cut = model.clone();
        cut.layers.truncate(layer + 1);
        cut.config.layers = layer + 1;
        let mut session = Session::new(cut.into(), opened, device.options.clone())
            .with_context(|| format!("the model cut after layer {layer}"))?;
        let mut noise = Noise::default();
        for (sequence, tokens) in tokens.iter().enumerate() {
            noise.add(at(sequence, layer + 1), &session.hidden_states(tokens)?);
            bar.inc(1);
        }
        opened = session.close()?;
        errors.push(LayerError {
            name: format!("layer {layer}"),
            sqnr_db: noise.sqnr_db(),
            alone_db: alone(
                model,
                layer,
                (0..tokens.len()).map(|s| (at(s, layer), at(s, layer + 1))),
            )?,
        });
    }
    bar.finish_and_clear();
    Ok(errors)
}

/// The error of one layer that is given the float run's values: `ends` has the layer's float input
/// and output of each sequence, `[tokens][hidden]`.
fn alone<'a>(
    model: &QuantizedModel,
    layer: usize,
    ends: impl Iterator<Item = (&'a [f32], &'a [f32])>,
) -> anyhow::Result<Option<f64>> {
    let parameters = model.layers.get(layer).context("no such layer")?.clone();
    let scales = parameters.scales;
    let mut single = model.clone();
    single.layers = vec![parameters];
    single.config.layers = 1;
    let hidden = model.config.hidden.max(1);
    let mut noise = Noise::default();
    for (input, out) in ends {
        let x8: Vec<i8> = input.iter().map(|v| quantize_i8(*v, scales.x8)).collect();
        let x16: Vec<i16> = input.iter().map(|v| quantize_i16(*v, scales.x16)).collect();
        let all = 0..input.len() / hidden;
        let y16 = fqbert_quantizer::encode(&single, &x8, &x16, std::slice::from_ref(&all))
            .context("the float run has another shape than the model")?;
        let y: Vec<f32> = y16.iter().map(|v| f32::from(*v) * scales.y16).collect();
        noise.add(out, &y);
    }
    Ok(noise.sqnr_db())
}
