//! The types of a quantized model.

use fqbert_numerics::layernorm::LayerNormParams;
use fqbert_numerics::requant::Requant;
use half::f16;
use sha2::{Digest, Sha256};

use crate::config::{ModelConfig, Provenance, Quantization};
use crate::linear::QuantizedLinear;

/// A quantized model: everything an inference needs.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedModel {
    /// Shape and use.
    pub config: ModelConfig,
    /// How it was quantized.
    pub quantization: Quantization,
    /// Where it came from.
    pub provenance: Provenance,
    /// Tokens to the first layer's input, on the host in f32.
    pub embeddings: Embeddings,
    /// The encoder.
    pub layers: Vec<QuantizedLayer>,
    /// Dense layer before a sequence classifier, `[hidden][hidden]`; there if the task names its
    /// activation.
    pub head_pre: Option<Dense>,
    /// The classifier, `[labels][hidden]`; absent for embeddings.
    pub classifier: Option<Dense>,
    /// The tokenizer; absent for models that take token ids alone.
    pub tokenizer: Option<Tokenizer>,
}

/// An embedding table, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Table {
    /// Half precision.
    F16(Vec<f16>),
    /// Single precision.
    F32(Vec<f32>),
}

impl Table {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Table::F16(v) => v.len(),
            Table::F32(v) => v.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds row `index` of `out.len()` channels to `out`. `None`, and `out` untouched, if there is
    /// no such row.
    pub fn add_row(&self, index: usize, out: &mut [f32]) -> Option<()> {
        let start = index.checked_mul(out.len())?;
        let end = start.checked_add(out.len())?;
        match self {
            Table::F16(v) => {
                let row = v.get(start..end)?;
                out.iter_mut().zip(row).for_each(|(o, r)| *o += r.to_f32());
            }
            Table::F32(v) => {
                let row = v.get(start..end)?;
                out.iter_mut().zip(row).for_each(|(o, r)| *o += r);
            }
        }
        Some(())
    }
}

/// Tables and layer norm of the embeddings. The normalised sum enters the accelerator at
/// [`QuantizedModel::input_scales`].
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// `[vocab][hidden]`.
    pub word: Table,
    /// `[max_positions][hidden]`.
    pub position: Table,
    /// `[type_vocab][hidden]`, empty if there are no token types.
    pub token_type: Table,
    /// Layer-norm weight, `[hidden]`.
    pub gamma: Vec<f32>,
    /// Layer-norm bias, `[hidden]`.
    pub beta: Vec<f32>,
}

/// A linear layer in f32, for the head.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// `[out][in]`, row-major.
    pub weight: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
}

/// A `tokenizer.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    json: Vec<u8>,
    sha256: String,
}

impl Tokenizer {
    /// Takes the bytes of a `tokenizer.json`.
    pub fn new(json: Vec<u8>) -> Self {
        let digest = Sha256::digest(&json);
        let sha256 = digest.iter().map(|b| format!("{b:02x}")).collect();
        Self { json, sha256 }
    }

    /// The bytes.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Their SHA-256, hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// The six matrices of a layer, in order of execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Linear {
    /// Query projection.
    Q,
    /// Key projection.
    K,
    /// Value projection.
    V,
    /// Attention output projection.
    O,
    /// First feed-forward layer.
    FfnIn,
    /// Second feed-forward layer.
    FfnOut,
}

impl Linear {
    /// All six.
    pub const ALL: [Linear; 6] = [
        Linear::Q,
        Linear::K,
        Linear::V,
        Linear::O,
        Linear::FfnIn,
        Linear::FfnOut,
    ];

    /// Name, as in tensor names.
    pub fn name(self) -> &'static str {
        match self {
            Linear::Q => "q",
            Linear::K => "k",
            Linear::V => "v",
            Linear::O => "o",
            Linear::FfnIn => "ffn_in",
            Linear::FfnOut => "ffn_out",
        }
    }

    /// Output and input channels in a model of that shape.
    pub fn shape(self, config: &ModelConfig) -> (usize, usize) {
        match self {
            Linear::FfnIn => (config.intermediate, config.hidden),
            Linear::FfnOut => (config.hidden, config.intermediate),
            _ => (config.hidden, config.hidden),
        }
    }
}

/// One encoder layer.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedLayer {
    /// Query projection; head `i` is outputs `i * head_dim ..`.
    pub q: QuantizedLinear,
    /// Key projection.
    pub k: QuantizedLinear,
    /// Value projection.
    pub v: QuantizedLinear,
    /// Attention output projection, to the scale of the residual stream.
    pub o: QuantizedLinear,
    /// First feed-forward layer, to the input scale of the GELU table.
    pub ffn_in: QuantizedLinear,
    /// Second feed-forward layer, to the scale of the residual stream.
    pub ffn_out: QuantizedLinear,
    /// Requantization of all scores, with `1 / sqrt(head_dim)`; bias 0.
    pub scores: Requant,
    /// Requantization of attention times values; bias 0.
    pub context: Requant,
    /// Softmax table.
    pub exp_table: [u16; 256],
    /// Table of the feed-forward activation.
    pub gelu_table: [i8; 256],
    /// Norm of input plus attention.
    pub ln_attn: LayerNormParams,
    /// Norm of that plus feed-forward.
    pub ln_out: LayerNormParams,
    /// Real values of the steps between operations.
    pub scales: LayerScales,
}

impl QuantizedLayer {
    /// What the table of the activation takes off every code: a value of zero is the code
    /// `-mid_zero`. The bias of [`QuantizedLayer::ffn_out`] gives it back.
    pub fn mid_zero(&self) -> i8 {
        // Every activation maps 0 to 0. Codes are never -128.
        self.gelu_table
            .get(128)
            .map_or(0, |code| code.saturating_neg())
    }

    /// One of the six matrices.
    pub fn linear(&self, which: Linear) -> &QuantizedLinear {
        match which {
            Linear::Q => &self.q,
            Linear::K => &self.k,
            Linear::V => &self.v,
            Linear::O => &self.o,
            Linear::FfnIn => &self.ffn_in,
            Linear::FfnOut => &self.ffn_out,
        }
    }
}

/// Real value of one step at each site of a layer. The accelerator has their ratios in its
/// multipliers; the host needs the first layer's `x8` and `x16` and the last layer's `y16`, and
/// reports use the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerScales {
    /// 8-bit input.
    pub x8: f32,
    /// 16-bit input, and the attention output added to it.
    pub x16: f32,
    /// Queries.
    pub q: f32,
    /// Keys.
    pub k: f32,
    /// Values.
    pub v: f32,
    /// Scores.
    pub scores: f32,
    /// Context: probabilities times values.
    pub context: f32,
    /// 8-bit output of the attention's layer norm.
    pub attn8: f32,
    /// Its 16-bit output, and the feed-forward output added to it.
    pub attn16: f32,
    /// Input of the GELU table.
    pub gelu_in: f32,
    /// Output of the GELU table, whose codes start at [`QuantizedLayer::mid_zero`].
    pub mid: f32,
    /// 8-bit output of the layer: the next layer's `x8`.
    pub y8: f32,
    /// 16-bit output of the layer: the next layer's `x16`.
    pub y16: f32,
}

impl LayerScales {
    /// Names in the order of [`LayerScales::to_array`].
    pub const NAMES: [&'static str; 13] = [
        "x8", "x16", "q", "k", "v", "scores", "context", "attn8", "attn16", "gelu_in", "mid", "y8",
        "y16",
    ];

    /// The scales in order.
    pub fn to_array(self) -> [f32; 13] {
        [
            self.x8,
            self.x16,
            self.q,
            self.k,
            self.v,
            self.scores,
            self.context,
            self.attn8,
            self.attn16,
            self.gelu_in,
            self.mid,
            self.y8,
            self.y16,
        ]
    }

    /// Inverse of [`LayerScales::to_array`].
    pub fn from_array(a: [f32; 13]) -> Self {
        let [
            x8,
            x16,
            q,
            k,
            v,
            scores,
            context,
            attn8,
            attn16,
            gelu_in,
            mid,
            y8,
            y16,
        ] = a;
        Self {
            x8,
            x16,
            q,
            k,
            v,
            scores,
            context,
            attn8,
            attn16,
            gelu_in,
            mid,
            y8,
            y16,
        }
    }
}

impl QuantizedModel {
    /// Scales of the encoder's 8-bit and 16-bit input.
    pub fn input_scales(&self) -> (f32, f32) {
        self.layers
            .first()
            .map_or((1.0, 1.0), |l| (l.scales.x8, l.scales.x16))
    }

    /// Scale of the encoder's 16-bit output.
    pub fn output_scale(&self) -> f32 {
        self.layers.last().map_or(1.0, |l| l.scales.y16)
    }
}
