//! Model to bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use fqbert_contract::geometry::Mode;
use fqbert_contract::isa::{CONTRACT_MAJOR, CONTRACT_MINOR};
use fqbert_files::{Output, sha256_of, write_atomically};
use fqbert_host::{Dense, Table};
use fqbert_numerics::layernorm::LayerNormParams;
use fqbert_numerics::requant::Requant;
use safetensors::Dtype;
use serde::Serialize;

use super::container::{self, Tensor};
use super::{
    FORMAT, KEY_CONFIG, KEY_CONTRACT, KEY_FORMAT, KEY_PROVENANCE, KEY_QUANTIZATION, KEY_TOKENIZER,
    SETTINGS, TOKENIZER,
};
use crate::error::ModelError;
use crate::linear::QuantizedLinear;
use crate::model::{Linear, QuantizedModel};

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ModelError + use<> {
    let path = path.to_path_buf();
    |source| ModelError::Io { path, source }
}

impl QuantizedModel {
    /// Writes the model file as [`write_atomically`] does.
    ///
    /// # Errors
    /// What [`QuantizedModel::validate`] refuses; [`ModelError::Io`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        self.validate()?;
        let metadata = self.metadata()?;
        write_atomically(path, |out| container::write(out, &metadata, self.tensors()))
            .map_err(io(path))
    }

    /// As [`QuantizedModel::save`], to an output that was opened before.
    ///
    /// # Errors
    /// Those of [`QuantizedModel::save`].
    pub fn save_to(&self, output: Output) -> Result<(), ModelError> {
        self.validate()?;
        let (metadata, io) = (self.metadata()?, io(output.path()));
        output
            .write(|out| container::write(out, &metadata, self.tensors()))
            .map_err(io)
    }

    /// The bytes of the model file.
    ///
    /// # Errors
    /// What [`QuantizedModel::validate`] refuses.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        self.validate()?;
        let mut bytes = Vec::new();
        container::write(&mut bytes, &self.metadata()?, self.tensors())
            .map_err(io(Path::new("model")))?;
        Ok(bytes)
    }

    /// SHA-256 of the bytes of the model file: what `sha256sum` says of a file that this version
    /// wrote. Of the model as it is now, so a damaged one has another.
    ///
    /// # Errors
    /// [`ModelError::Metadata`] if its metadata cannot be written as JSON.
    pub fn sha256(&self) -> Result<String, ModelError> {
        let metadata = self.metadata()?;
        sha256_of(|out| container::write(out, &metadata, self.tensors()))
            .map_err(io(Path::new("model")))
    }

    fn metadata(&self) -> Result<BTreeMap<&'static str, String>, ModelError> {
        let mut metadata = BTreeMap::from([
            (KEY_FORMAT, FORMAT.to_string()),
            (KEY_CONTRACT, format!("{CONTRACT_MAJOR}.{CONTRACT_MINOR}")),
            (KEY_CONFIG, json(KEY_CONFIG, &self.config)?),
            (
                KEY_QUANTIZATION,
                json(KEY_QUANTIZATION, &self.quantization)?,
            ),
            (KEY_PROVENANCE, json(KEY_PROVENANCE, &self.provenance)?),
        ]);
        if let Some(tokenizer) = &self.tokenizer {
            metadata.insert(KEY_TOKENIZER, tokenizer.sha256().to_string());
        }
        Ok(metadata)
    }

    fn tensors(&self) -> Vec<Tensor<'_>> {
        let mut list = List(Vec::new());
        let (c, e) = (&self.config, &self.embeddings);
        let h = c.hidden;
        list.table("embeddings.word", &e.word, c.vocab, h);
        list.table("embeddings.position", &e.position, c.max_positions, h);
        if c.type_vocab > 0 {
            list.table("embeddings.token_type", &e.token_type, c.type_vocab, h);
        }
        list.f32("embeddings.norm.gamma", &e.gamma, vec![h]);
        list.f32("embeddings.norm.beta", &e.beta, vec![h]);
        for (i, layer) in self.layers.iter().enumerate() {
            let p = format!("layer.{i}");
            for which in Linear::ALL {
                list.linear(&format!("{p}.{}", which.name()), layer.linear(which));
            }
            list.uniform(format!("{p}.scores"), layer.scores);
            list.uniform(format!("{p}.context"), layer.context);
            let exp = layer.exp_table.iter().flat_map(|v| v.to_le_bytes());
            list.owned(format!("{p}.exp_table"), Dtype::U16, vec![256], exp);
            let gelu = layer.gelu_table.iter().map(|v| *v as u8);
            list.owned(format!("{p}.gelu_table"), Dtype::I8, vec![256], gelu);
            list.layer_norm(&format!("{p}.ln_attn"), &layer.ln_attn);
            list.layer_norm(&format!("{p}.ln_out"), &layer.ln_out);
            let scales = layer.scales.to_array();
            list.f32(&format!("{p}.scales"), &scales, vec![scales.len()]);
        }
        if let Some(dense) = &self.head_pre {
            list.dense("head.pre", dense, h);
        }
        if let Some(dense) = &self.classifier {
            list.dense("head.classifier", dense, h);
        }
        if let Some(tokenizer) = &self.tokenizer {
            let json = tokenizer.json();
            list.borrowed(TOKENIZER.into(), Dtype::U8, vec![json.len()], json);
            if !tokenizer.settings().is_empty() {
                // Texts and numbers alone: there is no value that JSON does not have.
                let json = serde_json::to_vec(tokenizer.settings()).unwrap_or_default();
                list.owned(
                    SETTINGS.into(),
                    Dtype::U8,
                    vec![json.len()],
                    json.into_iter(),
                );
            }
        }
        list.0
    }
}

fn json<T: Serialize>(key: &'static str, value: &T) -> Result<String, ModelError> {
    serde_json::to_string(value).map_err(|e| ModelError::Metadata {
        key,
        reason: e.to_string(),
    })
}

struct List<'a>(Vec<Tensor<'a>>);

impl<'a> List<'a> {
    fn owned(
        &mut self,
        name: String,
        dtype: Dtype,
        shape: Vec<usize>,
        bytes: impl Iterator<Item = u8>,
    ) {
        self.0.push(Tensor {
            name,
            dtype,
            shape,
            data: Cow::Owned(bytes.collect()),
        });
    }

    fn borrowed(&mut self, name: String, dtype: Dtype, shape: Vec<usize>, data: &'a [u8]) {
        self.0.push(Tensor {
            name,
            dtype,
            shape,
            data: Cow::Borrowed(data),
        });
    }

    fn f32(&mut self, name: &str, values: &[f32], shape: Vec<usize>) {
        self.owned(
            name.into(),
            Dtype::F32,
            shape,
            values.iter().flat_map(|v| v.to_le_bytes()),
        );
    }

    fn table(&mut self, name: &str, table: &Table, rows: usize, hidden: usize) {
        let shape = vec![rows, hidden];
        match table {
            Table::F32(v) => self.f32(name, v, shape),
            Table::F16(v) => {
                self.owned(
                    name.into(),
                    Dtype::F16,
                    shape,
                    v.iter().flat_map(|v| v.to_le_bytes()),
                );
            }
        }
    }

    fn dense(&mut self, name: &str, dense: &Dense, inputs: usize) {
        let outputs = dense.bias.len();
        self.f32(
            &format!("{name}.weight"),
            &dense.weight,
            vec![outputs, inputs],
        );
        self.f32(&format!("{name}.bias"), &dense.bias, vec![outputs]);
    }

    fn linear(&mut self, name: &str, linear: &'a QuantizedLinear) {
        let w = &linear.weights;
        let (dtype, rows) = match w.mode() {
            Mode::W4 => (Dtype::U8, w.outputs() / 2),
            Mode::W8 => (Dtype::I8, w.outputs()),
        };
        self.borrowed(
            format!("{name}.weight"),
            dtype,
            vec![rows, w.inputs()],
            w.bytes(),
        );
        let (p, n) = (&linear.params, linear.params.len());
        let bias = p.iter().flat_map(|p| p.bias.to_le_bytes());
        self.owned(format!("{name}.bias"), Dtype::I32, vec![n], bias);
        let multiplier = p.iter().flat_map(|p| p.multiplier.to_le_bytes());
        self.owned(
            format!("{name}.multiplier"),
            Dtype::U16,
            vec![n],
            multiplier,
        );
        self.owned(
            format!("{name}.shift"),
            Dtype::U8,
            vec![n],
            p.iter().map(|p| p.shift),
        );
        let scales = &linear.weight_scales;
        self.f32(&format!("{name}.weight_scale"), scales, vec![scales.len()]);
    }

    fn uniform(&mut self, name: String, p: Requant) {
        let values = [p.multiplier, p.shift.into()];
        self.owned(
            name,
            Dtype::U16,
            vec![2],
            values.into_iter().flat_map(u16::to_le_bytes),
        );
    }

    fn layer_norm(&mut self, prefix: &str, norm: &LayerNormParams) {
        let header = [
            norm.inv,
            norm.eps,
            norm.m16.into(),
            norm.s16.into(),
            norm.m8.into(),
            norm.s8.into(),
            norm.q.into(),
        ];
        let bytes = header.into_iter().flat_map(u32::to_le_bytes);
        self.owned(
            format!("{prefix}.header"),
            Dtype::U32,
            vec![header.len()],
            bytes,
        );
        let n = norm.gamma.len();
        let gamma = norm.gamma.iter().map(|v| *v as u8);
        self.owned(format!("{prefix}.gamma"), Dtype::I8, vec![n], gamma);
        let beta = norm.beta.iter().flat_map(|v| v.to_le_bytes());
        self.owned(format!("{prefix}.beta"), Dtype::I32, vec![n], beta);
    }
}
