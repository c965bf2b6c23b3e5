//! The types of a quantized model.

use fqbert_files::sha256_hex;
use fqbert_host::{
    Dense, EmbeddingTables, Embeddings, Head, Host, HostError, ModelConfig, TextSettings,
    Tokenizer, TokenizerError,
};
use fqbert_numerics::layernorm::LayerNormParams;
use fqbert_numerics::requant::Requant;

use crate::linear::QuantizedLinear;
use crate::provenance::{Provenance, Quantization};

/// A quantized model: everything an inference needs.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedModel {
    /// Shape and use.
    pub config: ModelConfig,
    /// How it was quantized.
    pub quantization: Quantization,
    /// Where it came from.
    pub provenance: Provenance,
    /// Tokens to the first layer's input, on the host in f32. The normalised sum enters the
    /// accelerator at [`QuantizedModel::input_scales`].
    pub embeddings: EmbeddingTables,
    /// The encoder.
    pub layers: Vec<QuantizedLayer>,
    /// Dense layer before a sequence classifier, `[hidden][hidden]`; there if the task names its
    /// activation.
    pub head_pre: Option<Dense>,
    /// The classifier, `[labels][hidden]`; absent for embeddings.
    pub classifier: Option<Dense>,
    /// The tokenizer; absent for models that take token ids alone.
    pub tokenizer: Option<TokenizerFile>,
}

/// A `tokenizer.json`, and what else is said of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerFile {
    json: Vec<u8>,
    sha256: String,
    settings: TextSettings,
}

impl TokenizerFile {
    /// Takes the bytes of a `tokenizer.json`.
    pub fn new(json: Vec<u8>) -> Self {
        let sha256 = sha256_hex([json.as_slice()]);
        Self {
            json,
            sha256,
            settings: TextSettings::default(),
        }
    }

    /// A tokenizer's file with its settings.
    pub fn of(tokenizer: &Tokenizer) -> Self {
        Self::new(tokenizer.json().to_vec()).with_settings(tokenizer.settings().clone())
    }

    /// The same with settings of the texts.
    #[must_use]
    pub fn with_settings(self, settings: TextSettings) -> Self {
        Self { settings, ..self }
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// Those of [`Tokenizer::from_bytes`].
    pub fn load(&self) -> Result<Tokenizer, TokenizerError> {
        let tokenizer = Tokenizer::from_bytes(self.json.clone())?;
        Ok(tokenizer.with_settings(self.settings.clone()))
    }

    /// Settings of the texts.
    pub fn settings(&self) -> &TextSettings {
        &self.settings
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

macro_rules! layer_scales {
    ($($(#[$doc:meta])* $site:ident,)*) => {
        /// Real value of one step at each site of a layer. The accelerator has their ratios in its
        /// multipliers; the host needs the first layer's `x8` and `x16` and the last layer's
        /// `y16`, and reports use the rest.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct LayerScales {
            $($(#[$doc])* pub $site: f32,)*
        }

        impl LayerScales {
            /// Names in the order of [`LayerScales::to_array`].
            pub const NAMES: [&'static str; 13] = [$(stringify!($site)),*];

            /// The scales in order.
            pub fn to_array(self) -> [f32; 13] {
                [$(self.$site),*]
            }

            /// Inverse of [`LayerScales::to_array`].
            pub fn from_array([$($site),*]: [f32; 13]) -> Self {
                Self { $($site),* }
            }
        }
    };
}

layer_scales! {
    /// 8-bit input.
    x8,
    /// 16-bit input, and the attention output added to it.
    x16,
    /// Queries.
    q,
    /// Keys.
    k,
    /// Values.
    v,
    /// Scores.
    scores,
    /// Context: probabilities times values.
    context,
    /// 8-bit output of the attention's layer norm.
    attn8,
    /// Its 16-bit output, and the feed-forward output added to it.
    attn16,
    /// Input of the GELU table.
    gelu_in,
    /// Output of the GELU table, whose codes start at [`QuantizedLayer::mid_zero`].
    mid,
    /// 8-bit output of the layer: the next layer's `x8`.
    y8,
    /// 16-bit output of the layer: the next layer's `x16`.
    y16,
}

impl QuantizedModel {
    /// Scales of the encoder's 8-bit and 16-bit input.
    pub fn input_scales(&self) -> (f32, f32) {
        self.layers
            .first()
            .map_or((1.0, 1.0), |l| (l.scales.x8, l.scales.x16))
    }

    /// What of the model runs on the CPU.
    ///
    /// # Errors
    /// [`HostError`] for a model that [`QuantizedModel::validate`] refuses: tables of other sizes,
    /// a head without its layers.
    pub fn host(&self) -> Result<Host, HostError> {
        let c = &self.config;
        let tables = self.embeddings.clone();
        let embeddings = Embeddings::new(tables, c.layer_norm_eps, c.position_offset)?;
        let head = Head::new(c.task, self.head_pre.clone(), self.classifier.clone())?;
        let scales = (self.input_scales(), self.output_scale());
        Ok(Host::new(embeddings, head, scales.0, scales.1))
    }

    /// Scale of the encoder's 16-bit output.
    pub fn output_scale(&self) -> f32 {
        self.layers.last().map_or(1.0, |l| l.scales.y16)
    }
}
