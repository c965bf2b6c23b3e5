//! A linear layer in integer codes.

use fqbert_contract::geometry::Mode;
use fqbert_numerics::requant::Requant;

use crate::error::ModelError;

/// Weight codes of a linear layer, `[out][in]`.
///
/// 8-bit codes are one byte each, row-major. 4-bit codes are kept as file and device hold them:
/// byte `[j][i]` of an `[out / 2][in]` matrix has channel `2j` in its low nibble and channel `2j +
/// 1` in its high nibble, two's complement.
#[derive(Clone, PartialEq, Eq)]
pub struct WeightCodes {
    mode: Mode,
    outputs: usize,
    inputs: usize,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for WeightCodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}[{}][{}]", self.mode, self.outputs, self.inputs)
    }
}

impl WeightCodes {
    /// Packs row-major codes `[outputs][inputs]`.
    ///
    /// # Errors
    /// [`ModelError::Shape`] if the length disagrees or `outputs` is odd; [`ModelError::Value`] for
    /// a code outside -7..=7 (4 bits) or -127..=127 (8 bits).
    pub fn from_codes(
        mode: Mode,
        outputs: usize,
        inputs: usize,
        codes: &[i8],
    ) -> Result<Self, ModelError> {
        if outputs.checked_mul(inputs) != Some(codes.len())
            || !outputs.is_multiple_of(2)
            || codes.is_empty()
        {
            return Err(ModelError::Shape {
                name: "weight".into(),
                found: format!("{} codes", codes.len()),
                expected: format!("[{outputs}][{inputs}] codes, an even number of rows"),
            });
        }
        let (limit, expected) = limits(mode);
        if let Some(index) = codes.iter().position(|c| c.unsigned_abs() > limit) {
            return Err(ModelError::Value {
                name: "weight".into(),
                index,
                found: codes[index].to_string(),
                expected,
            });
        }
        let bytes = match mode {
            Mode::W8 => codes.iter().map(|c| *c as u8).collect(),
            Mode::W4 => codes
                .chunks_exact(2 * inputs)
                .flat_map(|pair| {
                    let (low, high) = pair.split_at(inputs);
                    low.iter()
                        .zip(high)
                        .map(|(l, h)| (*l as u8 & 0xf) | (*h as u8) << 4)
                })
                .collect(),
        };
        Ok(Self {
            mode,
            outputs,
            inputs,
            bytes,
        })
    }

    /// Takes codes already packed, as [`WeightCodes::bytes`] gives them; the caller has checked
    /// length and codes.
    pub(crate) fn from_packed(mode: Mode, outputs: usize, inputs: usize, bytes: Vec<u8>) -> Self {
        Self {
            mode,
            outputs,
            inputs,
            bytes,
        }
    }

    /// 4-bit or 8-bit.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Output channels.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Input channels (K).
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The codes as stored: `[out / 2][in]` nibble pairs or `[out][in]` bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All codes, `[out][in]` row-major.
    pub fn to_codes(&self) -> Vec<i8> {
        match self.mode {
            Mode::W8 => self.bytes.iter().map(|b| *b as i8).collect(),
            Mode::W4 => self
                .bytes
                .chunks_exact(self.inputs)
                .flat_map(|pair| {
                    let low = pair.iter().map(|b| ((b << 4) as i8) >> 4);
                    low.chain(pair.iter().map(|b| (*b as i8) >> 4))
                })
                .collect(),
        }
    }

    /// Index (in `bytes`) and value of the first code that the quantizer never makes: -8 or -128.
    pub(crate) fn illegal(&self) -> Option<(usize, i8)> {
        match self.mode {
            Mode::W8 => position(&self.bytes, |b| *b == 0x80).map(|i| (i, i8::MIN)),
            Mode::W4 => {
                position(&self.bytes, |b| b & 0xf == 8 || b & 0xf0 == 0x80).map(|i| (i, -8))
            }
        }
    }

    /// Bytes that `outputs` x `inputs` codes take.
    pub(crate) fn packed_len(mode: Mode, outputs: usize, inputs: usize) -> usize {
        match mode {
            Mode::W4 => outputs / 2 * inputs,
            Mode::W8 => outputs * inputs,
        }
    }
}

/// Index of the first element that is `bad`. Looks at every element without branching, which is
/// vectorised, and searches only if there is one.
pub(crate) fn position<T>(values: &[T], bad: impl Fn(&T) -> bool) -> Option<usize> {
    match values.iter().fold(0, |found, v| found | u8::from(bad(v))) {
        0 => None,
        _ => values.iter().position(bad),
    }
}

/// Largest magnitude of a code, and its range in words.
pub(crate) fn limits(mode: Mode) -> (u8, &'static str) {
    match mode {
        Mode::W4 => (7, "a 4-bit code, -7..=7"),
        Mode::W8 => (127, "an 8-bit code, -127..=127"),
    }
}

/// A linear layer: codes and the requantization of each output channel.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedLinear {
    /// Weight codes, `[out][in]`.
    pub weights: WeightCodes,
    /// Bias, multiplier and shift of each output channel.
    pub params: Vec<Requant>,
    /// Real value of a weight code step: one for each output channel, or one for all. For reports
    /// only; the accelerator has its effect in the multipliers.
    pub weight_scales: Vec<f32>,
}

impl QuantizedLinear {
    /// Packs a layer from row-major codes `[outputs][inputs]`; `params` has one record per output.
    ///
    /// # Errors
    /// As [`WeightCodes::from_codes`]. Counts of the other fields are checked by
    /// [`crate::QuantizedModel::validate`].
    pub fn new(
        mode: Mode,
        outputs: usize,
        inputs: usize,
        codes: &[i8],
        params: Vec<Requant>,
        weight_scales: Vec<f32>,
    ) -> Result<Self, ModelError> {
        let weights = WeightCodes::from_codes(mode, outputs, inputs, codes)?;
        Ok(Self {
            weights,
            params,
            weight_scales,
        })
    }

    /// 4-bit or 8-bit weights.
    pub fn mode(&self) -> Mode {
        self.weights.mode
    }
}
