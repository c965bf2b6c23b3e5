//! A checkpoint and complete scales to the integer model: nothing is chosen here.

use fqbert_checkpoint::{Checkpoint, EncoderLayer, FloatLinear, LayerNorm};
use fqbert_contract::geometry::Mode;
use fqbert_host::{ModelConfig, Tokenizer};
use fqbert_model::{
    LayerScales, Linear, ModelError, Quantization, QuantizedLayer,
    QuantizedLinear, QuantizedModel, ScaleScheme,
};
use fqbert_numerics::layernorm::{self, LayerNormParams};
use fqbert_numerics::requant::Requant;

use super::scales::{LearnedScales, Record, Weights, bad};
use crate::assemble::assemble;
use crate::calibration::Calibration;
use crate::compare;
use crate::error::QuantizeError;
use crate::layer::tables;
use crate::options::{QuantizeOptions, RangeMethod, Rounding, Scheme};
use crate::progress::Progress;
use crate::quantize::quantize;
use crate::report::{LayerReport, LinearReport, Report, decibels};

/// Accumulator steps that a bias may have (docs/numerics.md, section 3).
const BIAS_LIMIT: f64 = (1u32 << 26) as f64 - 1.0;

/// Quantizes `checkpoint` with scales that were learned with it: each weight to the nearest code of
/// its channel's scale, and no range is looked for. What was not learned is found on `calibration`,
/// which else only serves the report. Of the options only the provenance counts.
///
/// # Errors
/// [`QuantizeError`]: scales that are not this checkpoint's, some missing without calibration data,
/// another scheme than `w4a8` asked for, numbers that the accelerator's parameters cannot hold.
pub fn quantize_learned(
    checkpoint: &Checkpoint,
    tokenizer: Option<&Tokenizer>,
    learned: &LearnedScales,
    calibration: Option<&Calibration>,
    options: &QuantizeOptions,
    progress: &mut dyn Progress,
) -> Result<(QuantizedModel, Report), QuantizeError> {
    let config = &checkpoint.config;
    config.validate().map_err(ModelError::from)?;
    if let Some(tokenizer) = tokenizer {
        tokenizer.check_vocab(config.vocab)?;
    }
    learned.fits(config)?;
    if options.scheme != Scheme::W4A8 {
        return Err(bad(format!(
            "scheme {} has scales of its own; remove the file from a copy of the folder to use it",
            options.scheme.name()
        )));
    }
    let complete = complete(checkpoint, learned, calibration, progress)?;
    progress.phase("learned scales", config.layers);
    let mut layers = Vec::with_capacity(config.layers);
    let mut figures = Vec::with_capacity(config.layers);
    for (index, (float, record)) in checkpoint.layers.iter().zip(&complete.layers).enumerate() {
        let (layer, of_layer) = Builder {
            index,
            config,
            checkpoint,
            float,
            record,
        }
        .build()?;
        layers.push(layer);
        figures.push(of_layer);
        if !progress.step() {
            return Err(QuantizeError::Cancelled);
        }
    }
    let how = words(learned, config);
    let mut provenance = options.provenance.clone();
    if provenance.calibration.is_empty() {
        provenance.calibration = match calibration {
            Some(c) if !learned.missing().is_empty() => c.description().to_owned(),
            _ => "none".to_owned(),
        };
    }
    let quantization = Quantization {
        scheme: ScaleScheme::W4a8,
        ranges: format!("learned: {how}"),
        weights: "one learned scale per output channel, rounded to nearest".into(),
    };
    let model = assemble(checkpoint, tokenizer, layers, quantization, provenance)?;
    let report = report(checkpoint, &model, calibration, how, figures)?;
    Ok((model, report))
}

/// The scales with what is missing from a plain calibration of the same checkpoint.
fn complete(
    checkpoint: &Checkpoint,
    learned: &LearnedScales,
    calibration: Option<&Calibration>,
    progress: &mut dyn Progress,
) -> Result<LearnedScales, QuantizeError> {
    let missing = learned.missing();
    let mut complete = learned.clone();
    let Some(first) = missing.first() else {
        return Ok(complete);
    };
    let Some(calibration) = calibration else {
        let n = missing.len();
        return Err(bad(format!(
            "{n} scales were not learned, the first of {first}: calibration data is needed for them"
        )));
    };
    // Learned weights belong to the channels as they are, and are rounded to nearest.
    let plain = QuantizeOptions {
        equalize: false,
        rounding: Rounding::Nearest,
        ..QuantizeOptions::default()
    };
    let (calibrated, _) = quantize(checkpoint, None, calibration, &plain, progress)?;
    complete.fill(&calibrated)?;
    Ok(complete)
}

/// How many scales were learned, and where.
fn words(learned: &LearnedScales, config: &ModelConfig) -> String {
    let (sites, matrices) = learned.counts();
    let about = if learned.about().is_empty() {
        String::new()
    } else {
        format!(" ({})", learned.about())
    };
    format!(
        "{sites} of {} activation scales and the weight scales of {matrices} of {} matrices{about}",
        config.layers * LayerScales::NAMES.len(),
        config.layers * Linear::ALL.len(),
    )
}

/// One layer.
struct Builder<'a> {
    index: usize,
    config: &'a ModelConfig,
    checkpoint: &'a Checkpoint,
    float: &'a EncoderLayer,
    record: &'a Record,
}

impl Builder<'_> {
    fn build(&self) -> Result<(QuantizedLayer, Vec<LinearReport>), QuantizeError> {
        let s = self.scales()?;
        let f = self.float;
        let zero = i32::from(self.record.mid_zero.unwrap_or(0));
        let (exp_table, gelu_table) = tables(&self.checkpoint.config, &s, zero);
        let mut reports = Vec::with_capacity(Linear::ALL.len());
        let mut linear = |which, float, input: f32, output: f32| {
            let zero = if which == Linear::FfnOut { zero } else { 0 };
            let ends = (input.into(), output.into());
            let (linear, report) = self.linear(which, float, ends, zero)?;
            reports.push(report);
            Ok::<_, QuantizeError>(linear)
        };
        let [q, k, v, scores, context] = [s.q, s.k, s.v, s.scores, s.context].map(f64::from);
        let root = (self.config.head_dim() as f64).sqrt();
        let layer = QuantizedLayer {
            q: linear(Linear::Q, &f.q, s.x8, s.q)?,
            k: linear(Linear::K, &f.k, s.x8, s.k)?,
            v: linear(Linear::V, &f.v, s.x8, s.v)?,
            o: linear(Linear::O, &f.o, s.context, s.x16)?,
            ffn_in: linear(Linear::FfnIn, &f.ffn_in, s.attn8, s.gelu_in)?,
            ffn_out: linear(Linear::FfnOut, &f.ffn_out, s.mid, s.attn16)?,
            scores: self.factor("scores", q * k / root / scores, 0)?,
            context: self.factor("context", v / 255.0 / context, 0)?,
            exp_table,
            gelu_table,
            ln_attn: self.norm("attention norm", &f.ln_attn, [s.x16, s.attn16, s.attn8])?,
            ln_out: self.norm("output norm", &f.ln_out, [s.attn16, s.y16, s.y8])?,
            scales: s,
        };
        Ok((layer, reports))
    }

    fn scales(&self) -> Result<LayerScales, QuantizeError> {
        let mut all = [0.0; LayerScales::NAMES.len()];
        for (scale, name) in all.iter_mut().zip(LayerScales::NAMES) {
            let known = self.record.activations.get(name);
            *scale = *known.ok_or_else(|| bad(format!("layer {} has no {name}", self.index)))?;
        }
        Ok(LayerScales::from_array(all))
    }

    /// Codes, biases and factors of a matrix; `ends` are the scales of its input and output, `zero`
    /// what its input's codes lack.
    fn linear(
        &self,
        which: Linear,
        float: &FloatLinear,
        (s_in, s_out): (f64, f64),
        zero: i32,
    ) -> Result<(QuantizedLinear, LinearReport), QuantizeError> {
        let (layer, name) = (self.index, which.name());
        let known = self.record.weights.get(name);
        let w = known.ok_or_else(|| bad(format!("layer {layer} has no weights of {name}")))?;
        let (mode, limit) = match w.bits {
            4 => (Mode::W4, 7.0),
            _ => (Mode::W8, 127.0),
        };
        let codes = codes(float, w, limit);
        let rows = codes.chunks_exact(float.inputs().max(1));
        let mut params = Vec::with_capacity(w.scales.len());
        for (channel, ((bias, scale), row)) in
            float.bias().iter().zip(&w.scales).zip(rows).enumerate()
        {
            let (bias, step) = (f64::from(*bias), s_in * f64::from(*scale));
            let lacking = f64::from(zero) * row.iter().map(|c| f64::from(*c)).sum::<f64>();
            let steps = (bias / step).round_ties_even() + lacking;
            if steps.is_nan() || steps.abs() > BIAS_LIMIT {
                return Err(QuantizeError::Bias {
                    layer,
                    linear: name,
                    channel,
                    bias,
                    steps,
                    step,
                });
            }
            params.push(self.factor(
                &format!("{name} channel {channel}"),
                step / s_out,
                steps as i32,
            )?);
        }
        let report = LinearReport {
            linear: name,
            bits: w.bits,
            weight_sqnr_db: weight_sqnr(float, &codes, &w.scales),
            clip: mean_clip(float, &w.scales, limit),
            scales: [
                w.scales.iter().copied().fold(f32::INFINITY, f32::min),
                w.scales.iter().copied().fold(0.0, f32::max),
            ],
        };
        let linear = QuantizedLinear::new(
            mode,
            float.outputs(),
            float.inputs(),
            &codes,
            params,
            w.scales.clone(),
        )?;
        Ok((linear, report))
    }

    fn factor(&self, what: &str, factor: f64, bias: i32) -> Result<Requant, QuantizeError> {
        let requant = Requant::from_scale(factor, bias);
        requant.map_err(|source| QuantizeError::Factor {
            layer: self.index,
            what: what.into(),
            source,
        })
    }

    fn norm(
        &self,
        norm: &'static str,
        float: &LayerNorm,
        scales: [f32; 3],
    ) -> Result<LayerNormParams, QuantizeError> {
        let [input, y16, y8] = scales.map(f64::from);
        let (n, eps) = (self.config.hidden, f64::from(float.eps()));
        let p = layernorm::quantize(float.gamma(), float.beta(), eps, n, input, y16, y8);
        p.map_err(|source| QuantizeError::LayerNorm {
            layer: self.index,
            norm,
            source,
        })
    }
}

/// Nearest codes, `[outputs][inputs]`, halves to even, computed in f64.
fn codes(float: &FloatLinear, w: &Weights, limit: f64) -> Vec<i8> {
    let rows = float.weight().chunks_exact(float.inputs().max(1));
    rows.zip(&w.scales)
        .flat_map(|(row, scale)| {
            let scale = f64::from(*scale);
            let code = move |v: &f32| (f64::from(*v) / scale).round_ties_even();
            row.iter().map(move |v| code(v).clamp(-limit, limit) as i8)
        })
        .collect()
}

/// Of the codes against the checkpoint's weights, in dB.
fn weight_sqnr(float: &FloatLinear, codes: &[i8], scales: &[f32]) -> f64 {
    let k = float.inputs().max(1);
    let rows = float.weight().chunks_exact(k).zip(codes.chunks_exact(k));
    let (mut signal, mut noise) = (0.0, 0.0);
    for ((w, codes), scale) in rows.zip(scales) {
        for (w, code) in w.iter().zip(codes) {
            let (w, code) = (f64::from(*w), f64::from(*code) * f64::from(*scale));
            signal += w * w;
            noise += (w - code) * (w - code);
        }
    }
    decibels(signal, noise)
}

/// Mean over channels of the share of the largest weight that codes hold.
fn mean_clip(float: &FloatLinear, scales: &[f32], limit: f64) -> f64 {
    let rows = float.weight().chunks_exact(float.inputs().max(1));
    let clip = |(row, scale): (&[f32], &f32)| {
        let largest = f64::from(row.iter().fold(0.0f32, |m, v| m.max(v.abs())));
        if largest > 0.0 {
            (limit * f64::from(*scale) / largest).min(1.0)
        } else {
            1.0
        }
    };
    rows.zip(scales).map(clip).sum::<f64>() / scales.len().max(1) as f64
}

fn report(
    checkpoint: &Checkpoint,
    model: &QuantizedModel,
    calibration: Option<&Calibration>,
    how: String,
    figures: Vec<Vec<LinearReport>>,
) -> Result<Report, QuantizeError> {
    let compared = calibration.map_or_else(Vec::new, Calibration::compared);
    let mut sites = match compared.is_empty() {
        true => Vec::new(),
        false => compare::compare(checkpoint, model, &compared)?,
    };
    sites.resize(figures.len(), Vec::new());
    let layers = figures.into_iter().zip(sites).enumerate();
    let compression = model.weight_compression();
    Ok(Report {
        scheme: Scheme::W4A8,
        learned: Some(how),
        ranges: RangeMethod::Mse,
        rounding: Rounding::Nearest,
        calibration: model.provenance.calibration.clone(),
        tokens: calibration.map_or(0, Calibration::tokens),
        compared: compared.len(),
        paper_compression: compression.paper_ratio(),
        stored_compression: compression.stored_ratio(),
        layers: layers
            .map(|(layer, (linears, sites))| LayerReport {
                layer,
                linears,
                sites,
            })
            .collect(),
    })
}
