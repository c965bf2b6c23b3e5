//! Scales that came with the checkpoint, from quantization-aware training: the file
//! `fqbert-scales.json` in its folder.
//!
//! The file has one record for each encoder layer: `activations`, the real value of a step at each
//! site by the names of [`LayerScales::NAMES`], and `weights`, for each matrix by the names of
//! [`Linear::name`] its `bits` and one scale for each output channel; `mid_zero` where the
//! activation's codes are shifted. What a record leaves out was not learned and needs calibration
//! data. `quantizer/qat/` writes such folders.

use std::collections::BTreeMap;
use std::path::Path;

use fqbert_host::ModelConfig;
use fqbert_model::{LayerScales, Linear, QuantizedModel};
use serde::Deserialize;

use crate::error::QuantizeError;

/// Bound on the file: BERT-large's has 3 MB.
const MAX_FILE: u64 = 64 << 20;

/// Learned scales of a model, checked for themselves; against a checkpoint they are checked when
/// it is quantized.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnedScales {
    about: String,
    pub(super) layers: Vec<Record>,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u32,
    #[serde(default)]
    about: String,
    layers: Vec<Record>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    #[serde(default)]
    pub(super) activations: BTreeMap<String, f32>,
    /// What the activation's table takes off its codes, 0..=127 (docs/numerics.md, section 4): none
    /// with a learned scale of `mid` if absent.
    #[serde(default)]
    pub(super) mid_zero: Option<u8>,
    #[serde(default)]
    pub(super) weights: BTreeMap<String, Weights>,
}

/// One matrix.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Weights {
    pub(super) bits: u8,
    pub(super) scales: Vec<f32>,
}

impl LearnedScales {
    /// The file's name in a checkpoint folder.
    pub const FILE: &'static str = "fqbert-scales.json";

    /// Reads the scales of a checkpoint folder; `None` if it has none.
    ///
    /// # Errors
    /// [`QuantizeError::Input`] for a file that cannot be read, [`QuantizeError::Learned`] for one
    /// that is not what it should be.
    pub fn load(folder: &Path) -> Result<Option<Self>, QuantizeError> {
        let path = folder.join(Self::FILE);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        Self::parse(&fqbert_files::read(&path, MAX_FILE)?).map(Some)
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// [`QuantizeError::Learned`].
    pub fn parse(json: &[u8]) -> Result<Self, QuantizeError> {
        let document: Document = serde_json::from_slice(json).map_err(|e| bad(e.to_string()))?;
        if document.format != "fqbert-scales" || document.version != 1 {
            return Err(bad(format!(
                "it is \"{}\" version {}; this program reads \"fqbert-scales\" version 1",
                document.format, document.version
            )));
        }
        let mut scales = LearnedScales {
            about: document.about,
            layers: document.layers,
        };
        scales.check()?;
        scales.join()?;
        Ok(scales)
    }

    /// How they were learned, in the words of who did.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// What calibration has to supply, as `layer 3 gelu_in`; empty where everything was learned.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            let sites = LayerScales::NAMES
                .iter()
                .filter(|n| !layer.activations.contains_key(**n));
            missing.extend(sites.map(|n| format!("layer {i} {n}")));
            let matrices = Linear::ALL
                .iter()
                .filter(|l| !layer.weights.contains_key(l.name()));
            missing.extend(matrices.map(|l| format!("layer {i} weights of {}", l.name())));
        }
        missing
    }

    /// Numbers of activation scales and of matrices that were learned.
    pub(super) fn counts(&self) -> (usize, usize) {
        let sites = self.layers.iter().map(|l| l.activations.len()).sum();
        (sites, self.layers.iter().map(|l| l.weights.len()).sum())
    }

    /// Every name and number.
    fn check(&self) -> Result<(), QuantizeError> {
        let usable = |s: &f32| s.is_finite() && *s > 0.0;
        for (i, layer) in self.layers.iter().enumerate() {
            for (name, scale) in &layer.activations {
                if !LayerScales::NAMES.contains(&name.as_str()) {
                    let names = LayerScales::NAMES.join(", ");
                    return Err(bad(format!(
                        "layer {i} has an activation \"{name}\"; there are {names}"
                    )));
                }
                if !usable(scale) {
                    return Err(bad(format!(
                        "layer {i} {name} is {scale}; a scale is finite and above 0"
                    )));
                }
            }
            if let Some(zero) = layer.mid_zero
                && (zero > 127 || !layer.activations.contains_key("mid"))
            {
                return Err(bad(format!(
                    "layer {i} mid_zero is {zero}; it is 0 to 127 and belongs to a scale of mid"
                )));
            }
            for (name, weights) in &layer.weights {
                if !Linear::ALL.iter().any(|l| l.name() == name) {
                    let names = Linear::ALL.map(Linear::name).join(", ");
                    return Err(bad(format!(
                        "layer {i} has weights \"{name}\"; there are {names}"
                    )));
                }
                if ![4, 8].contains(&weights.bits) {
                    let bits = weights.bits;
                    return Err(bad(format!("layer {i} {name} has {bits} bits; 4 or 8 go")));
                }
                if let Some(at) = weights.scales.iter().position(|s| !usable(s)) {
                    let scale = weights.scales[at];
                    return Err(bad(format!(
                        "layer {i} {name} scale {at} is {scale}; a scale is finite and above 0"
                    )));
                }
            }
        }
        Ok(())
    }

    /// A layer's output is the next one's input: both names have the scale that one of them gives.
    fn join(&mut self) -> Result<(), QuantizeError> {
        for at in 1..self.layers.len() {
            let (before, after) = self.layers.split_at_mut(at);
            let (Some(before), Some(after)) = (before.last_mut(), after.first_mut()) else {
                continue;
            };
            for (out, input) in [("y8", "x8"), ("y16", "x16")] {
                let (y, x) = (
                    before.activations.get(out).copied(),
                    after.activations.get(input).copied(),
                );
                if let (Some(y), Some(x)) = (y, x)
                    && y != x
                {
                    return Err(bad(format!(
                        "layer {} {out} is {y}, but layer {at} {input}, the same values, is {x}",
                        at - 1
                    )));
                }
                if let Some(scale) = y.or(x) {
                    before.activations.insert(out.into(), scale);
                    after.activations.insert(input.into(), scale);
                }
            }
        }
        Ok(())
    }

    /// Checks that the scales are those of a model of this shape.
    pub(super) fn fits(&self, config: &ModelConfig) -> Result<(), QuantizeError> {
        if self.layers.len() != config.layers {
            return Err(bad(format!(
                "it has {} layers, the checkpoint {}",
                self.layers.len(),
                config.layers
            )));
        }
        for (i, layer) in self.layers.iter().enumerate() {
            for which in Linear::ALL {
                let (outputs, _) = which.shape(config);
                let name = which.name();
                if let Some(w) = layer.weights.get(name)
                    && w.scales.len() != outputs
                {
                    let found = w.scales.len();
                    return Err(bad(format!(
                        "layer {i} {name} has {found} scales for {outputs} output channels"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Takes what is missing from a model of the same shape that was calibrated.
    pub(super) fn fill(&mut self, calibrated: &QuantizedModel) -> Result<(), QuantizeError> {
        for (record, layer) in self.layers.iter_mut().zip(&calibrated.layers) {
            if !record.activations.contains_key("mid") {
                record.mid_zero = u8::try_from(layer.mid_zero()).ok();
            }
            for (name, scale) in LayerScales::NAMES.iter().zip(layer.scales.to_array()) {
                record.activations.entry((*name).into()).or_insert(scale);
            }
            for which in Linear::ALL {
                let linear = layer.linear(which);
                record
                    .weights
                    .entry(which.name().into())
                    .or_insert_with(|| Weights {
                        bits: 4,
                        scales: linear.weight_scales.clone(),
                    });
            }
        }
        // Both names of a value shared by two layers are here or missing, see `join`.
        self.join()
    }
}

/// What is wrong with the file.
pub(super) fn bad(reason: String) -> QuantizeError {
    QuantizeError::Learned { reason }
}
