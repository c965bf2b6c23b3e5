//! The whole model, layer after layer.

use std::ops::Range;

use fqbert_checkpoint::{Checkpoint, EncoderLayer};
use fqbert_host::{HostError, QuantizedInput, Stage, Tokenizer, Tokens};
use fqbert_model::{Linear, ModelError, Quantization, QuantizedModel, ScaleScheme};

use crate::assemble::assemble;
use crate::calibration::Calibration;
use crate::compare;
use crate::equalize::equalize;
use crate::error::{QuantizeError, refuse};
use crate::integer::run_layer;
use crate::layer::{Done, STEPS, Stream, quantize_layer};
use crate::options::{QuantizeOptions, Scheme};
use crate::progress::{Progress, step};
use crate::ranges::{Seen, scale16};
use crate::report::{LayerReport, LinearReport, Report};
use crate::resume::StageFiles;
use crate::scales::{Context, input_scale16, scales, to_f32};
use crate::stage_folder::StageFolder;
use crate::watch::{Watched, watch};

/// Quantizes `checkpoint`, with scales and compensation from `calibration`. `tokenizer` is kept in
/// the model if there is one. A [`Job`] does the same and more.
///
/// # Errors
/// As [`Job::quantize`].
pub fn quantize(
    checkpoint: &Checkpoint,
    tokenizer: Option<&Tokenizer>,
    calibration: &Calibration,
    options: &QuantizeOptions,
    progress: &mut dyn Progress,
) -> Result<(QuantizedModel, Report), QuantizeError> {
    let job = Job {
        checkpoint,
        tokenizer,
        calibration,
        options,
        stages: None,
    };
    job.quantize(progress)
}

/// A quantization to be done.
///
/// The results depend on nothing but the fields: not on threads, nor on time, nor on how often a
/// run with stages was interrupted.
///
/// Memory is bounded by the calibration's tokens T, at most [`Calibration::MAX_TOKENS`]: beside the
/// checkpoint about `T * (30 * hidden + 2 * intermediate)` bytes and `40 * intermediate^2`
/// for one layer's moments.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The float model.
    pub checkpoint: &'a Checkpoint,
    /// Kept in the model if there is one.
    pub tokenizer: Option<&'a Tokenizer>,
    /// What scales and compensation are measured on.
    pub calibration: &'a Calibration,
    /// How.
    pub options: &'a QuantizeOptions,
    /// Where finished layers are kept and looked for; the caller removes it at the end.
    pub stages: Option<&'a StageFolder>,
}

/// A quantized encoder.
pub(crate) struct Encoder {
    pub(crate) layers: Vec<Done>,
    /// The float layers as they were equalized.
    float: Vec<EncoderLayer>,
}

impl Job<'_> {
    /// Quantizes.
    ///
    /// # Errors
    /// [`QuantizeError`]: options out of range, calibration data that does not fit the model, a
    /// shape that the accelerator does not take, numbers that its parameters cannot hold, stage
    /// files that are damaged or another run's.
    pub fn quantize(
        &self,
        progress: &mut dyn Progress,
    ) -> Result<(QuantizedModel, Report), QuantizeError> {
        let Job {
            checkpoint,
            tokenizer,
            calibration,
            options,
            ..
        } = *self;
        if let Some(tokenizer) = tokenizer {
            tokenizer.check_vocab(checkpoint.config.vocab)?;
        }
        let Encoder { layers, float } = self.encoder(false, progress)?;
        let mut provenance = options.provenance.clone();
        if provenance.calibration.is_empty() {
            provenance.calibration = calibration.description().to_owned();
        }
        let (layers, figures): (Vec<_>, Vec<_>) =
            layers.into_iter().map(|d| (d.layer, d.figures)).unzip();
        let quantization = Quantization {
            scheme: match options.scheme {
                Scheme::Paper => ScaleScheme::Paper,
                Scheme::W4A8 | Scheme::W8A8 => ScaleScheme::W4a8,
            },
            ranges: options.ranges_in_words(),
            weights: options.weights_in_words(),
        };
        let model = assemble(checkpoint, tokenizer, layers, quantization, provenance)?;
        progress.phase("comparing with float", 1);
        let report = report(checkpoint, float, &model, calibration, options, &figures)?;
        step(progress)?;
        Ok((model, report))
    }

    /// Quantizes the encoder, with its 4-bit matrices beside if `alternatives`.
    pub(crate) fn encoder(
        &self,
        alternatives: bool,
        progress: &mut dyn Progress,
    ) -> Result<Encoder, QuantizeError> {
        let Job {
            checkpoint,
            calibration,
            options,
            ..
        } = *self;
        let config = &checkpoint.config;
        config.validate().map_err(ModelError::from)?;
        options.check(config.layers)?;
        let stages = self
            .stages
            .map(|folder| StageFiles::new(folder, checkpoint, calibration, options, alternatives))
            .transpose()?;
        progress.phase("embeddings", 1);
        let (embedded, sequences) = embed(checkpoint, calibration.sequences())?;
        let seen = seen_input(&embedded, &sequences, checkpoint, calibration)?;
        step(progress)?;

        let mut scales_in = (to_f32(seen.scale8(options.ranges, |v| v)), 0.0);
        let mut layers = Vec::with_capacity(config.layers);
        let mut float = Vec::with_capacity(config.layers);
        let mut x = embedded;
        let mut stream = Stream {
            x8: Vec::new(),
            x16: Vec::new(),
        };
        // One layer ahead: a layer's 16-bit output has the scale of the next one's residual.
        let mut ahead = watch_layer(0, checkpoint, &x, &sequences, options)?;
        for index in 0..config.layers {
            progress.phase(
                &format!("layer {} of {}", index + 1, config.layers),
                STEPS + 1,
            );
            let Some(watched) = ahead else { break };
            ahead = watch_layer(index + 1, checkpoint, &watched.out, &sequences, options)?;
            step(progress)?;
            if index == 0 {
                scales_in.1 = input_scale16(&watched.statistics, &checkpoint.config);
                let (s8, s16) = (scales_in.0 as f32, scales_in.1 as f32);
                let QuantizedInput { x8, x16 } = QuantizedInput::new(&x, (s8, s16));
                stream = Stream { x8, x16 };
            }
            let kept = match &stages {
                Some(stages) => stages.find(index, config)?,
                None => None,
            };
            let done = if let Some(done) = kept {
                let (x8, x16) = (&stream.x8, &stream.x16);
                let (x8, x16) = run_layer(&done.layer, config.heads, x8, x16, &sequences);
                stream = Stream { x8, x16 };
                done
            } else {
                let y16 = match &ahead {
                    Some(next) => input_scale16(&next.statistics, &checkpoint.config),
                    None => scale16(
                        watched.statistics.out.histogram.max_abs(),
                        config.hidden,
                        0.0,
                    ),
                };
                let context = Context {
                    index,
                    config: &checkpoint.config,
                    options,
                    sequences: &sequences,
                    alternatives,
                };
                let around = [scales_in.0, scales_in.1, y16];
                let scales = scales(&context, &watched, ahead.as_ref(), around)?;
                let done = quantize_layer(&context, &watched, &x, &mut stream, scales, progress)?;
                if let Some(stages) = &stages {
                    stages.keep(index, config, &done)?;
                }
                done
            };
            let scales = done.layer.scales;
            scales_in = (f64::from(scales.y8), f64::from(scales.y16));
            layers.push(done);
            float.push(watched.float);
            x = watched.out;
        }
        Ok(Encoder { layers, float })
    }
}

/// Embeds all sequences, one after another: `[tokens][hidden]`, and where each one is.
pub(crate) fn embed(
    checkpoint: &Checkpoint,
    sequences: &[Tokens],
) -> Result<(Vec<f32>, Vec<Range<usize>>), QuantizeError> {
    let mut embedded = Vec::new();
    let mut ranges = Vec::with_capacity(sequences.len());
    let mut at = 0;
    for (i, s) in sequences.iter().enumerate() {
        let values = checkpoint
            .embeddings
            .embed(&s.ids, &s.type_ids)
            .map_err(|e| refuse(i, e))?;
        embedded.extend(values);
        ranges.push(at..at + s.ids.len());
        at += s.ids.len();
    }
    Ok((embedded, ranges))
}

/// Refuses a head that overflows, before the work: what its layers give is looked at one by one.
fn first_answer(checkpoint: &Checkpoint, calibration: &Calibration) -> Result<(), QuantizeError> {
    let Some(first) = calibration.sequences().first() else {
        return Ok(());
    };
    match checkpoint.forward(&first.ids, &first.type_ids) {
        Err(HostError::NotFinite {
            stage: Stage::Encoder,
            ..
        })
        | Ok(_) => Ok(()),
        Err(error) => Err(refuse(0, error)),
    }
}

/// Statistics of the embeddings; a model that computes no numbers is refused before the work.
fn seen_input(
    x: &[f32],
    sequences: &[Range<usize>],
    checkpoint: &Checkpoint,
    calibration: &Calibration,
) -> Result<Seen, QuantizeError> {
    let hidden = checkpoint.config.hidden;
    let mut seen = Seen::default();
    for (i, tokens) in sequences.iter().enumerate() {
        let values = x
            .get(tokens.start * hidden..tokens.end * hidden)
            .unwrap_or_default();
        if !seen.add(values) {
            return Err(QuantizeError::NotFinite {
                layer: 0,
                site: "embeddings",
                index: i + 1,
            });
        }
    }
    first_answer(checkpoint, calibration)?;
    Ok(seen)
}

/// Equalizes and watches a layer; `None` after the last one.
fn watch_layer(
    index: usize,
    checkpoint: &Checkpoint,
    x: &[f32],
    sequences: &[Range<usize>],
    options: &QuantizeOptions,
) -> Result<Option<Watched>, QuantizeError> {
    let Some(layer) = checkpoint.layers.get(index) else {
        return Ok(None);
    };
    let mut layer = layer.clone();
    if options.equalize {
        layer = equalize(layer, x).map_err(|source| QuantizeError::Shape {
            layer: index,
            source,
        })?;
    }
    watch(index, layer, &checkpoint.config, x, sequences).map(Some)
}

fn report(
    checkpoint: &Checkpoint,
    equalized: Vec<EncoderLayer>,
    model: &QuantizedModel,
    calibration: &Calibration,
    options: &QuantizeOptions,
    figures: &[Vec<(u8, f64, f64)>],
) -> Result<Report, QuantizeError> {
    let compared = calibration.compared();
    // The head is not run, and the tables are needed once more: no copy of them is kept after this.
    let float = Checkpoint {
        layers: equalized,
        ..checkpoint.clone()
    };
    let sites = compare::compare(&float, model, &compared)?;
    let layers = model.layers.iter().zip(figures).zip(sites).enumerate();
    let layers = layers.map(|(index, ((layer, figures), sites))| {
        let linears = Linear::ALL
            .iter()
            .zip(figures)
            .map(|(which, (bits, sqnr, clip))| {
                let scales = &layer.linear(*which).weight_scales;
                LinearReport {
                    linear: which.name(),
                    bits: *bits,
                    weight_sqnr_db: *sqnr,
                    clip: *clip,
                    scales: [
                        scales.iter().copied().fold(f32::INFINITY, f32::min),
                        scales.iter().copied().fold(0.0, f32::max),
                    ],
                }
            });
        LayerReport {
            layer: index,
            linears: linears.collect(),
            sites,
        }
    });
    let compression = model.weight_compression();
    Ok(Report {
        scheme: options.scheme,
        learned: None,
        ranges: options.ranges,
        rounding: options.rounding,
        calibration: calibration.description().to_owned(),
        tokens: calibration.tokens(),
        compared: compared.len(),
        paper_compression: compression.paper_ratio(),
        stored_compression: compression.stored_ratio(),
        layers: layers.collect(),
    })
}
