//! Choices of the caller.

use fqbert_model::{Linear, Provenance};
use serde::Serialize;

use crate::error::QuantizeError;

/// How many bits, and by which rules scales are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// 4-bit weights with one scale for each output channel, 8-bit activations.
    #[default]
    W4A8,
    /// The paper's (FQ-BERT, DATE 2021, section II): 4-bit weights with one scale per tensor,
    /// rounded to nearest, scale factors of 8 bits.
    Paper,
    /// 8-bit weights with one scale for each output channel, 8-bit activations.
    W8A8,
}

impl Scheme {
    /// The name that options and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::W4A8 => "w4a8",
            Scheme::Paper => "paper",
            Scheme::W8A8 => "w8a8",
        }
    }

    /// Bits of a weight where no override says otherwise.
    pub fn weight_bits(self) -> WeightBits {
        match self {
            Scheme::W4A8 | Scheme::Paper => WeightBits::Four,
            Scheme::W8A8 => WeightBits::Eight,
        }
    }
}

/// Bits of a weight code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightBits {
    /// Codes -7..=7.
    Four,
    /// Codes -127..=127.
    Eight,
}

impl WeightBits {
    /// Largest code.
    pub fn limit(self) -> f32 {
        match self {
            WeightBits::Four => 7.0,
            WeightBits::Eight => 127.0,
        }
    }

    /// The number.
    pub fn count(self) -> u8 {
        match self {
            WeightBits::Four => 4,
            WeightBits::Eight => 8,
        }
    }
}

/// How the range of an 8-bit activation is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RangeMethod {
    /// Moving average of each sequence's largest magnitude, the paper's:
    /// `e = decay * e + (1 - decay) * max`.
    EmaMax {
        /// 0..1; the paper does not say, 0.9 is usual.
        decay: f64,
    },
    /// The smallest range that holds this share of the values, 0..=1, such as 0.9999.
    Percentile(f64),
    /// The range of least squared error after what the value goes through: the activation
    /// function for its input, softmax for scores, weights fitted to the codes for the inputs of
    /// compensated layers, nothing for the others.
    Mse,
}

/// How weights become codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// Each to the nearest code.
    Nearest,
    /// One after another, each taking up the error that those before it make in the layer's
    /// output on the calibration data (GPTQ, arXiv 2210.17323), towards the float model's output
    /// from the inputs that the quantized layers before it give. Biases are corrected for the
    /// mean error that is left.
    Compensated,
}

/// Weight bits of a layer, or of one matrix of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitsOverride {
    /// Encoder layer from 0.
    pub layer: usize,
    /// The matrix; `None` is all six.
    pub linear: Option<Linear>,
    /// Its bits.
    pub bits: WeightBits,
}

/// Everything that can be chosen.
#[derive(Debug, Clone)]
pub struct QuantizeOptions {
    /// Bits and rules.
    pub scheme: Scheme,
    /// Exceptions to the scheme's weight bits; of several for one matrix the last counts.
    pub bits: Vec<BitsOverride>,
    /// Ranges of 8-bit activations.
    pub ranges: RangeMethod,
    /// How weights become codes.
    pub rounding: Rounding,
    /// Whether ranges of channels are evened out where that is exact in float: queries against
    /// keys, and values against the columns of the attention output projection; whether means are
    /// taken off keys and values; whether codes of the activation start at its least value.
    pub equalize: bool,
    /// Where the model comes from, kept in the file. `calibration` is filled in if it is empty.
    pub provenance: Provenance,
}

impl Default for QuantizeOptions {
    fn default() -> Self {
        QuantizeOptions::new(Scheme::W4A8)
    }
}

impl QuantizeOptions {
    /// The recipe of a scheme.
    pub fn new(scheme: Scheme) -> Self {
        let paper = scheme == Scheme::Paper;
        QuantizeOptions {
            scheme,
            bits: Vec::new(),
            ranges: if paper {
                RangeMethod::EmaMax { decay: 0.9 }
            } else {
                RangeMethod::Mse
            },
            rounding: if paper {
                Rounding::Nearest
            } else {
                Rounding::Compensated
            },
            equalize: !paper,
            provenance: Provenance::default(),
        }
    }

    /// Weight bits of one matrix.
    pub fn weight_bits(&self, layer: usize, linear: Linear) -> WeightBits {
        let applies = |o: &&BitsOverride| o.layer == layer && o.linear.is_none_or(|l| l == linear);
        self.bits
            .iter()
            .rev()
            .find(applies)
            .map_or(self.scheme.weight_bits(), |o| o.bits)
    }

    /// Whether scales are chosen by what weights fitted to the codes can make of them.
    pub(crate) fn fits_scales(&self) -> bool {
        self.ranges == RangeMethod::Mse && self.rounding == Rounding::Compensated
    }

    /// Checks every number.
    pub(crate) fn check(&self, layers: usize) -> Result<(), QuantizeError> {
        let bad = |option, value: String, expected: String| {
            Err(QuantizeError::Option {
                option,
                value,
                expected,
            })
        };
        match self.ranges {
            RangeMethod::EmaMax { decay } if !(0.0..1.0).contains(&decay) => bad(
                "ranges.decay",
                decay.to_string(),
                "it must be 0 or more and below 1".into(),
            ),
            RangeMethod::Percentile(p) if !(p > 0.5 && p <= 1.0) => bad(
                "ranges.percentile",
                p.to_string(),
                "it must be above 0.5, at most 1".into(),
            ),
            _ => match self.bits.iter().find(|o| o.layer >= layers) {
                Some(o) => bad(
                    "bits.layer",
                    o.layer.to_string(),
                    format!("the model has layers 0 to {}", layers.saturating_sub(1)),
                ),
                None => Ok(()),
            },
        }
    }

    /// The ranges in words, for the model's metadata.
    pub(crate) fn ranges_in_words(&self) -> String {
        match self.ranges {
            RangeMethod::EmaMax { decay } => format!("moving average of maxima, decay {decay}"),
            RangeMethod::Percentile(p) => format!("percentile {p}"),
            RangeMethod::Mse => "least squared error".into(),
        }
    }

    /// The treatment of weights in words, for the model's metadata.
    pub(crate) fn weights_in_words(&self) -> String {
        let scale = match self.scheme {
            Scheme::Paper => "one scale per tensor, 8-bit scale factors",
            Scheme::W4A8 | Scheme::W8A8 => "one scale per output channel",
        };
        let rounding = match self.rounding {
            Rounding::Nearest => "rounded to nearest",
            Rounding::Compensated => "rounded with error compensation, biases corrected",
        };
        let equalize = if self.equalize {
            ", attention equalized"
        } else {
            ""
        };
        format!(
            "{}: {scale}, clip of least squared error, {rounding}{equalize}",
            self.scheme.name()
        )
    }
}
