//! Bytes to model.

use std::path::Path;

use fqbert_contract::capability::Difference;
use fqbert_contract::geometry::Mode;
use fqbert_contract::isa::{CONTRACT_MAJOR, CONTRACT_MINOR};
use fqbert_files::Input;
use fqbert_host::{Dense, EmbeddingTables, ModelConfig, Table, Task};
use fqbert_numerics::layernorm::LayerNormParams;
use fqbert_numerics::requant::Requant;
use half::f16;
use safetensors::Dtype;
use serde::de::DeserializeOwned;

use super::container::{self, Reader};
use super::{
    FORMAT, KEY_CONFIG, KEY_CONTRACT, KEY_FORMAT, KEY_PROVENANCE, KEY_QUANTIZATION, KEY_TOKENIZER,
    LN_HEADER, SETTINGS, TOKENIZER,
};
use crate::error::ModelError;
use crate::linear::{QuantizedLinear, WeightCodes};
use crate::model::{LayerScales, Linear, QuantizedLayer, QuantizedModel, TokenizerFile};

/// Largest model file: XLM-RoBERTa-large, whose vocabulary is the largest in use, takes 1.5 GB.
const MAX_FILE: u64 = 4 << 30;

impl QuantizedModel {
    /// Reads a model file, of up to 4 GiB. The header is checked before the rest is read. What is
    /// written over the file meanwhile is an error, never a model of two files' parts; afterwards
    /// the file may go away.
    ///
    /// # Errors
    /// [`ModelError`]: whatever is missing, damaged, contradictory, out of range or of another
    /// version.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let mut input = Input::open(path, MAX_FILE)?;
        let total = input.length();
        let mut start = vec![0; total.min(8) as usize];
        input.read_at(&mut start, 0)?;
        let mut header = vec![0; container::header_length(&start, total)?];
        input.read_at(&mut header, 8)?;
        container::parse(&header, total)?;
        Self::from_bytes(&input.read_all()?)
    }

    /// Reads a model from the bytes of its file.
    ///
    /// # Errors
    /// As [`QuantizedModel::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        std::thread::scope(|scope| {
            // As long as everything else together, and beside it.
            let check = || Reader::new(bytes)?.check_digest();
            let digest = std::thread::Builder::new().spawn_scoped(scope, check);
            // What is wrong in particular says more than that something is.
            let model = Self::parse(bytes)?;
            match digest.map(|thread| thread.join()) {
                Ok(Ok(checked)) => checked?,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                // There may be no more threads.
                Err(_) => check()?,
            }
            Ok(model)
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut reader = Reader::new(bytes)?;
        check_versions(&reader)?;
        let config: ModelConfig = metadata(&reader, KEY_CONFIG)?;
        config.validate()?;
        let quantization = metadata(&reader, KEY_QUANTIZATION)?;
        let provenance = metadata(&reader, KEY_PROVENANCE)?;
        let r = &mut reader;
        let embeddings = embeddings(r, &config)?;
        let layers = (0..config.layers)
            .map(|i| layer(r, &config, i))
            .collect::<Result<Vec<_>, _>>()?;
        let h = config.hidden;
        let head_pre = match config.task {
            Task::SequenceClassification { pre: Some(_) } => Some(dense(r, "head.pre", h, h)?),
            _ => None,
        };
        let classifier = match config.task {
            Task::Embedding { .. } => None,
            _ => Some(dense(r, "head.classifier", config.labels.len(), h)?),
        };
        let tokenizer = tokenizer(r)?;
        reader.finish()?;
        let model = Self {
            config,
            quantization,
            provenance,
            embeddings,
            layers,
            head_pre,
            classifier,
            tokenizer,
        };
        model.validate()?;
        Ok(model)
    }
}

fn check_versions(r: &Reader<'_>) -> Result<(), ModelError> {
    let format = r.metadata(KEY_FORMAT);
    if format != Some(FORMAT) {
        return Err(ModelError::Format {
            key: KEY_FORMAT,
            found: format.unwrap_or("absent").into(),
            expected: FORMAT.into(),
            remedy: match format {
                None => "a float checkpoint must be quantized first (fqbert quantize)",
                Some(_) => "quantize the checkpoint again, or use the version that made the file",
            },
        });
    }
    let stated = r.metadata(KEY_CONTRACT).unwrap_or("absent");
    let (major, minor) = stated
        .split_once('.')
        .and_then(|(a, b)| Some((a.parse::<u16>().ok()?, b.parse::<u16>().ok()?)))
        .ok_or_else(|| ModelError::Format {
            key: KEY_CONTRACT,
            found: stated.into(),
            expected: "major.minor".into(),
            remedy: "quantize the checkpoint again",
        })?;
    let mut differences = Vec::new();
    if major != CONTRACT_MAJOR {
        differences.push(Difference {
            field: "contract major version",
            needed: major.to_string(),
            found: CONTRACT_MAJOR.to_string(),
        });
    } else if minor > CONTRACT_MINOR {
        differences.push(Difference {
            field: "contract minor version",
            needed: format!("at least {minor}"),
            found: CONTRACT_MINOR.to_string(),
        });
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(ModelError::Contract { differences })
    }
}

fn metadata<T: DeserializeOwned>(r: &Reader<'_>, key: &'static str) -> Result<T, ModelError> {
    let text = r.metadata(key).ok_or_else(|| ModelError::Metadata {
        key,
        reason: "absent".into(),
    })?;
    serde_json::from_str(text).map_err(|e| ModelError::Metadata {
        key,
        reason: e.to_string(),
    })
}

/// A type that safetensors stores in little-endian bytes.
trait Element: Sized + Copy {
    const DTYPE: Dtype;
    fn decode(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! element {
    ($($t:ty: $dtype:ident),*) => {$(
        impl Element for $t {
            const DTYPE: Dtype = Dtype::$dtype;
            fn decode(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks().0.iter().map(|c| <$t>::from_le_bytes(*c)).collect()
            }
        }
    )*};
}
element!(u8: U8, i8: I8, u16: U16, u32: U32, i32: I32, f32: F32, f16: F16);

fn take<T: Element>(r: &mut Reader<'_>, name: &str, shape: &[usize]) -> Result<Vec<T>, ModelError> {
    r.take(name, T::DTYPE, shape).map(T::decode)
}

/// A tensor of a fixed number of values.
fn take_array<T: Element, const N: usize>(
    r: &mut Reader<'_>,
    name: &str,
) -> Result<[T; N], ModelError> {
    let values = take::<T>(r, name, &[N])?;
    values
        .try_into()
        .map_err(|_| ModelError::MissingTensor { name: name.into() })
}

fn table(r: &mut Reader<'_>, name: &str, rows: usize, hidden: usize) -> Result<Table, ModelError> {
    match r.info(name) {
        Some((Dtype::F32, _)) => take(r, name, &[rows, hidden]).map(Table::F32),
        _ => take(r, name, &[rows, hidden]).map(Table::F16),
    }
}

fn embeddings(r: &mut Reader<'_>, c: &ModelConfig) -> Result<EmbeddingTables, ModelError> {
    Ok(EmbeddingTables {
        word: table(r, "embeddings.word", c.vocab, c.hidden)?,
        position: table(r, "embeddings.position", c.max_positions, c.hidden)?,
        token_type: match c.type_vocab {
            0 => Table::F16(Vec::new()),
            rows => table(r, "embeddings.token_type", rows, c.hidden)?,
        },
        gamma: take(r, "embeddings.norm.gamma", &[c.hidden])?,
        beta: take(r, "embeddings.norm.beta", &[c.hidden])?,
    })
}

fn layer(r: &mut Reader<'_>, c: &ModelConfig, index: usize) -> Result<QuantizedLayer, ModelError> {
    let p = format!("layer.{index}");
    let mut matrix = |which: Linear| {
        let (outputs, inputs) = which.shape(c);
        linear(r, &format!("{p}.{}", which.name()), outputs, inputs)
    };
    let q = matrix(Linear::Q)?;
    let k = matrix(Linear::K)?;
    let v = matrix(Linear::V)?;
    let o = matrix(Linear::O)?;
    let ffn_in = matrix(Linear::FfnIn)?;
    let ffn_out = matrix(Linear::FfnOut)?;
    Ok(QuantizedLayer {
        q,
        k,
        v,
        o,
        ffn_in,
        ffn_out,
        scores: uniform(r, &format!("{p}.scores"))?,
        context: uniform(r, &format!("{p}.context"))?,
        exp_table: take_array(r, &format!("{p}.exp_table"))?,
        gelu_table: take_array(r, &format!("{p}.gelu_table"))?,
        ln_attn: layer_norm(r, &format!("{p}.ln_attn"), c.hidden)?,
        ln_out: layer_norm(r, &format!("{p}.ln_out"), c.hidden)?,
        scales: LayerScales::from_array(take_array(r, &format!("{p}.scales"))?),
    })
}

fn linear(
    r: &mut Reader<'_>,
    name: &str,
    outputs: usize,
    inputs: usize,
) -> Result<QuantizedLinear, ModelError> {
    let weight = format!("{name}.weight");
    let (mode, bytes) = match r.info(&weight) {
        Some((Dtype::I8, _)) => (Mode::W8, r.take(&weight, Dtype::I8, &[outputs, inputs])?),
        _ => (
            Mode::W4,
            r.take(&weight, Dtype::U8, &[outputs / 2, inputs])?,
        ),
    };
    let bias: Vec<i32> = take(r, &format!("{name}.bias"), &[outputs])?;
    let multiplier: Vec<u16> = take(r, &format!("{name}.multiplier"), &[outputs])?;
    let shift: Vec<u8> = take(r, &format!("{name}.shift"), &[outputs])?;
    let scale = format!("{name}.weight_scale");
    let scales = match r.info(&scale) {
        Some((_, [1])) => 1,
        _ => outputs,
    };
    Ok(QuantizedLinear {
        weights: WeightCodes::from_packed(mode, outputs, inputs, bytes.to_vec()),
        params: bias
            .into_iter()
            .zip(multiplier)
            .zip(shift)
            .map(|((bias, multiplier), shift)| Requant {
                bias,
                multiplier,
                shift,
            })
            .collect(),
        weight_scales: take(r, &scale, &[scales])?,
    })
}

/// A record for all channels: multiplier and shift, both u16 in the file; the bias is 0.
fn uniform(r: &mut Reader<'_>, name: &str) -> Result<Requant, ModelError> {
    let [multiplier, shift] = take_array::<u16, 2>(r, name)?;
    Ok(Requant {
        bias: 0,
        multiplier,
        shift: narrow(name, 1, shift.into())?,
    })
}

fn narrow<T: TryFrom<u32>>(name: &str, index: usize, value: u32) -> Result<T, ModelError> {
    T::try_from(value).map_err(|_| ModelError::Value {
        name: name.into(),
        index,
        found: value.to_string(),
        expected: "a number of fewer bits",
    })
}

fn layer_norm(
    r: &mut Reader<'_>,
    prefix: &str,
    hidden: usize,
) -> Result<LayerNormParams, ModelError> {
    let name = format!("{prefix}.header");
    let [inv, eps, m16, s16, m8, s8, q] = take_array::<u32, LN_HEADER>(r, &name)?;
    Ok(LayerNormParams {
        inv,
        eps,
        m16: narrow(&name, 2, m16)?,
        m8: narrow(&name, 4, m8)?,
        s16: narrow(&name, 3, s16)?,
        s8: narrow(&name, 5, s8)?,
        q: narrow(&name, 6, q)?,
        gamma: take(r, &format!("{prefix}.gamma"), &[hidden])?,
        beta: take(r, &format!("{prefix}.beta"), &[hidden])?,
    })
}

fn dense(
    r: &mut Reader<'_>,
    name: &str,
    outputs: usize,
    inputs: usize,
) -> Result<Dense, ModelError> {
    Ok(Dense {
        weight: take(r, &format!("{name}.weight"), &[outputs, inputs])?,
        bias: take(r, &format!("{name}.bias"), &[outputs])?,
    })
}

fn tokenizer(r: &mut Reader<'_>) -> Result<Option<TokenizerFile>, ModelError> {
    let expected = r.metadata(KEY_TOKENIZER).map(str::to_owned);
    let length = r
        .info(TOKENIZER)
        .map(|(_, shape)| shape.first().copied().unwrap_or(0));
    let (expected, length) = match (expected, length) {
        (None, None) => return Ok(None),
        (Some(_), None) => {
            return Err(ModelError::MissingTensor {
                name: TOKENIZER.into(),
            });
        }
        (None, Some(_)) => {
            return Err(ModelError::Metadata {
                key: KEY_TOKENIZER,
                reason: "absent".into(),
            });
        }
        (Some(expected), Some(length)) => (expected, length),
    };
    let tokenizer = TokenizerFile::new(take(r, TOKENIZER, &[length])?);
    if tokenizer.sha256() != expected {
        let found = tokenizer.sha256().into();
        return Err(ModelError::TokenizerDigest { found, expected });
    }
    let Some((_, shape)) = r.info(SETTINGS) else {
        return Ok(Some(tokenizer));
    };
    let length = shape.first().copied().unwrap_or(0);
    let settings = take(r, SETTINGS, &[length])?;
    let settings = serde_json::from_slice(&settings).map_err(|e| ModelError::Metadata {
        key: SETTINGS,
        reason: e.to_string(),
    })?;
    Ok(Some(tokenizer.with_settings(settings)))
}
