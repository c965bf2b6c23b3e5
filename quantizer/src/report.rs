//! What quantization cost, per layer.

use std::fmt;

use serde::Serialize;

use crate::options::{RangeMethod, Rounding, Scheme};

/// Figures of a quantization. `Display` is a table; the serialized form has one object per layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Bits and rules.
    pub scheme: Scheme,
    /// Which scales came with the checkpoint instead, from quantization-aware training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned: Option<String>,
    /// Ranges of activations.
    pub ranges: RangeMethod,
    /// How weights became codes.
    pub rounding: Rounding,
    /// Calibration data in words.
    pub calibration: String,
    /// Calibration tokens.
    pub tokens: usize,
    /// Sequences that sites were compared with the float model on.
    pub compared: usize,
    /// Encoder parameters in f32 over quantized, as the paper counts them.
    pub paper_compression: f64,
    /// The same with everything that the encoder needs at run time.
    pub stored_compression: f64,
    /// The encoder's layers.
    pub layers: Vec<LayerReport>,
}

/// Figures of one layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerReport {
    /// Encoder layer from 0.
    pub layer: usize,
    /// Its matrices, in order of execution.
    pub linears: Vec<LinearReport>,
    /// Its activations, in order of execution.
    pub sites: Vec<SiteReport>,
}

/// Figures of one matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinearReport {
    /// Which.
    pub linear: &'static str,
    /// Bits of a weight.
    pub bits: u8,
    /// Float weights' energy over that of their difference from the codes, in dB. Compensation
    /// lowers it for the sake of the output's.
    pub weight_sqnr_db: f64,
    /// Mean over channels of the share of the largest weight that codes hold.
    pub clip: f64,
    /// Smallest and largest weight scale.
    pub scales: [f32; 2],
}

/// Figures of one place in a layer. All errors of the layers before are in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SiteReport {
    /// Which.
    pub site: &'static str,
    /// Bits of a code.
    pub bits: u8,
    /// Real value of one step.
    pub scale: f32,
    /// Float values' energy over that of their difference from the integer model's, in dB.
    pub sqnr_db: f64,
    /// Share of codes at the end of their range.
    pub saturated: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "scheme {}, calibrated on {}",
            self.scheme.name(),
            self.calibration
        )?;
        if let Some(learned) = &self.learned {
            writeln!(f, "learned in training: {learned}")?;
        }
        writeln!(
            f,
            "encoder parameters {:.2}x smaller as the paper counts, {:.2}x with all tables",
            self.paper_compression, self.stored_compression
        )?;
        writeln!(f, "\nweights: bits, SQNR in dB, mean clip")?;
        write!(f, "layer")?;
        for l in self.layers.first().map_or(&[][..], |l| &l.linears) {
            write!(f, " {:>17}", l.linear)?;
        }
        writeln!(f)?;
        for layer in &self.layers {
            write!(f, "{:>5}", layer.layer)?;
            for l in &layer.linears {
                write!(
                    f,
                    "  {:>2} {:>6.2} {:>6.3}",
                    l.bits, l.weight_sqnr_db, l.clip
                )?;
            }
            writeln!(f)?;
        }
        if self.compared == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "\nactivations: SQNR in dB against float on {} sequences",
            self.compared
        )?;
        write!(f, "layer")?;
        for s in self.layers.first().map_or(&[][..], |l| &l.sites) {
            write!(f, " {:>9}", s.site)?;
        }
        writeln!(f)?;
        for layer in &self.layers {
            write!(f, "{:>5}", layer.layer)?;
            for s in &layer.sites {
                write!(f, " {:>9.2}", s.sqnr_db)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
