//! Finished layers kept in files, so that an interrupted run can go on where it was.
//!
//! A stage file holds one layer as [`QuantizedModel`] files of that layer alone. What else a later
//! layer needs (the float model's activations, the integer stream) is computed again, which takes
//! a small part of the time and gives the same bits on the same machine. The file's first line is
//! JSON: digests of the checkpoint, the calibration data and the options, which must be those of
//! the run that reads it, the matrices' figures, and the digest of this line, without the digest,
//! and of what follows: all of it must be whole.

use std::path::{Path, PathBuf};

use fqbert_checkpoint::Checkpoint;
use fqbert_contract::geometry::Mode;
use fqbert_files::{Input, hex, read, sha256_hex, write_atomically};
use fqbert_host::{EmbeddingTables, ModelConfig, Pooling, Table, Task};
use fqbert_model::{Linear, Provenance, Quantization, QuantizedLayer, QuantizedModel, ScaleScheme};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::calibration::Calibration;
use crate::error::QuantizeError;
use crate::layer::Done;
use crate::options::QuantizeOptions;
use crate::stage_folder::{StageFolder, bad};

/// Version of stage files; a change of what the quantizer computes raises it too.
const FORMAT: u32 = 3;
/// Longest first line.
const MAX_HEADER: usize = 1 << 16;
/// Largest stage file: a layer of BERT-large in 8 bits and in 4 takes 20 MB.
const MAX_FILE: u64 = 1 << 30;
/// Bound on a figure in dB, see `Noise::sqnr_db_bounded`.
const MAX_DB: f64 = 300.0;

/// First line of a stage file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    checkpoint: String,
    calibration: String,
    options: String,
    layer: usize,
    /// For each matrix: bits, and the bits of the f64 values of weight SQNR and clip.
    figures: Vec<(u8, u64, u64)>,
    /// Length of each model file that follows.
    lengths: Vec<usize>,
    sha256: String,
}

/// Where a run keeps its stages, and what they must have been made from.
pub(crate) struct StageFiles<'a> {
    folder: &'a StageFolder,
    header: Header,
}

impl<'a> StageFiles<'a> {
    /// `alternatives` says whether layers are kept with their 4-bit matrices beside.
    pub(crate) fn new(
        folder: &'a StageFolder,
        checkpoint: &Checkpoint,
        calibration: &Calibration,
        options: &QuantizeOptions,
        alternatives: bool,
    ) -> Result<Self, QuantizeError> {
        let settings = (
            (options.scheme, &options.bits, options.ranges),
            (options.rounding, options.equalize, alternatives),
        );
        let mut of_calibration = Sha256::new();
        for s in calibration.sequences() {
            of_calibration.update((s.ids.len() as u64).to_le_bytes());
            for id in s.ids.iter().chain(&s.type_ids) {
                of_calibration.update(id.to_le_bytes());
            }
        }
        let stages = StageFiles {
            folder,
            header: Header {
                format: FORMAT,
                checkpoint: digest(checkpoint),
                calibration: hex(&of_calibration.finalize()),
                options: sha256_hex([format!("{settings:?}").as_bytes()]),
                layer: 0,
                figures: Vec::new(),
                lengths: Vec::new(),
                sha256: String::new(),
            },
        };
        stages.foreign()?;
        Ok(stages)
    }

    /// Several passes with other bits may share a folder: the options are part of the name.
    fn path(&self, layer: usize) -> PathBuf {
        let options = self.header.options.get(..8).unwrap_or_default();
        self.folder
            .path()
            .join(format!("{options}-{layer:03}.stage"))
    }

    /// Keeps a finished layer.
    pub(crate) fn keep(
        &self,
        index: usize,
        config: &ModelConfig,
        done: &Done,
    ) -> Result<(), QuantizeError> {
        let path = self.path(index);
        let mut payload = Vec::new();
        let mut header = Header {
            layer: index,
            figures: done
                .figures
                .iter()
                .map(|(bits, sqnr, clip)| (*bits, sqnr.to_bits(), clip.to_bits()))
                .collect(),
            ..self.header.clone()
        };
        for layer in std::iter::once(&done.layer).chain(&done.alternative) {
            let bytes = alone(config, layer.clone()).to_bytes()?;
            header.lengths.push(bytes.len());
            payload.extend(bytes);
        }
        header.sha256 = header.digest(&path, &payload)?;
        let line = header.line(&path)?;
        self.folder.uses(path.clone());
        write_atomically(&path, |out| {
            writeln!(out, "{line}")?;
            out.write_all(&payload)
        })
        .map_err(|e: std::io::Error| bad(&path, format!("cannot write it: {e}")))
    }

    /// A layer that an earlier run finished, if it did.
    pub(crate) fn find(
        &self,
        index: usize,
        config: &ModelConfig,
    ) -> Result<Option<Done>, QuantizeError> {
        let path = self.path(index);
        let bytes = match read(&path, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(e) if e.is_missing() => return Ok(None),
            Err(e) => return Err(bad(&path, e.to_string())),
        };
        let (header, payload) = split(&path, &bytes)?;
        self.same(&path, &header)?;
        if header.layer != index {
            return Err(bad(&path, format!("it holds layer {}", header.layer)));
        }
        if header.digest(&path, payload)? != header.sha256 {
            return Err(bad(
                &path,
                "it is damaged: its contents do not have their digest",
            ));
        }
        let (mut layers, mut at) = (Vec::new(), 0usize);
        for length in &header.lengths {
            let end = at.checked_add(*length);
            let bytes = end.and_then(|end| payload.get(at..end));
            let bytes = bytes.ok_or_else(|| bad(&path, "its lengths do not add up"))?;
            let model = QuantizedModel::from_bytes(bytes).map_err(|e| bad(&path, e.to_string()))?;
            if model.config != alone_config(config) {
                return Err(bad(&path, "it holds a layer of another shape"));
            }
            layers.extend(model.layers);
            at += length;
        }
        let mut layers = layers.into_iter();
        let layer = layers
            .next()
            .ok_or_else(|| bad(&path, "it holds no layer"))?;
        let figures = header.figures(&path, &layer)?;
        self.folder.uses(path);
        Ok(Some(Done {
            layer,
            alternative: layers.next(),
            figures,
        }))
    }

    /// Refuses a folder that another run's stages are in.
    fn foreign(&self) -> Result<(), QuantizeError> {
        for path in self.folder.files() {
            if path.extension().is_some_and(|e| e == "stage") {
                let unread = |e: fqbert_files::InputError| bad(&path, e.to_string());
                let input = Input::open(&path, MAX_FILE).map_err(unread)?;
                let mut start = vec![0; input.length().min(MAX_HEADER as u64) as usize];
                input.read_at(&mut start, 0).map_err(unread)?;
                let (header, _) = split(&path, &start)?;
                self.same_sources(&path, &header)?;
            }
        }
        Ok(())
    }

    fn same(&self, path: &Path, found: &Header) -> Result<(), QuantizeError> {
        self.same_sources(path, found)?;
        if found.options != self.header.options {
            return Err(bad(path, "it was made with other options"));
        }
        Ok(())
    }

    fn same_sources(&self, path: &Path, found: &Header) -> Result<(), QuantizeError> {
        let mine = &self.header;
        if found.format != mine.format {
            return Err(bad(path, "it was made by another version of this program"));
        }
        if found.checkpoint != mine.checkpoint {
            return Err(bad(path, "it was made from another checkpoint"));
        }
        if found.calibration != mine.calibration {
            return Err(bad(path, "it was made with other calibration data"));
        }
        Ok(())
    }
}

impl Header {
    fn line(&self, path: &Path) -> Result<String, QuantizeError> {
        serde_json::to_string(self).map_err(|e| bad(path, e.to_string()))
    }

    /// Of the first line without the digest, and of what follows it.
    fn digest(&self, path: &Path, payload: &[u8]) -> Result<String, QuantizeError> {
        let without = Header {
            sha256: String::new(),
            ..self.clone()
        };
        Ok(sha256_hex([without.line(path)?.as_bytes(), payload]))
    }

    /// The matrices' figures, which must be those that such a layer can have.
    fn figures(
        &self,
        path: &Path,
        layer: &QuantizedLayer,
    ) -> Result<Vec<(u8, f64, f64)>, QuantizeError> {
        let figures = self.figures.iter();
        let figures: Vec<(u8, f64, f64)> = figures
            .map(|(bits, sqnr, clip)| (*bits, f64::from_bits(*sqnr), f64::from_bits(*clip)))
            .collect();
        if figures.len() != Linear::ALL.len() {
            return Err(bad(
                path,
                format!("it has figures of {} matrices", figures.len()),
            ));
        }
        for (which, (bits, sqnr, clip)) in Linear::ALL.into_iter().zip(&figures) {
            let right = *bits
                == match layer.linear(which).mode() {
                    Mode::W4 => 4,
                    Mode::W8 => 8,
                }
                && (-MAX_DB..=MAX_DB).contains(sqnr)
                && (0.0..=1.0).contains(clip);
            if !right {
                let name = which.name();
                return Err(bad(
                    path,
                    format!(
                        "{name} has {bits} bits, {sqnr} dB and a clip of {clip}, which cannot be"
                    ),
                ));
            }
        }
        Ok(figures)
    }
}

/// The first line and the rest.
fn split<'b>(path: &Path, bytes: &'b [u8]) -> Result<(Header, &'b [u8]), QuantizeError> {
    let end = bytes.iter().take(MAX_HEADER).position(|b| *b == b'\n');
    let end = end.ok_or_else(|| bad(path, "it is no stage file: it has no first line"))?;
    let (line, rest) = bytes.split_at(end);
    let header = serde_json::from_slice(line).map_err(|e| {
        bad(
            path,
            format!("it is no stage file: its first line is not ours: {e}"),
        )
    })?;
    Ok((header, rest.get(1..).unwrap_or_default()))
}

/// Configuration of a model of one layer without words or head.
fn alone_config(config: &ModelConfig) -> ModelConfig {
    ModelConfig {
        layers: 1,
        vocab: 1,
        max_positions: 1,
        position_offset: 0,
        type_vocab: 0,
        pad_token_id: 0,
        task: Task::Embedding {
            pooling: Pooling::Mean,
            normalize: false,
        },
        labels: Vec::new(),
        problem_type: None,
        ..config.clone()
    }
}

fn alone(config: &ModelConfig, layer: QuantizedLayer) -> QuantizedModel {
    let zeros = || Table::F32(vec![0.0; config.hidden]);
    QuantizedModel {
        config: alone_config(config),
        quantization: Quantization {
            scheme: ScaleScheme::W4a8,
            ranges: String::new(),
            weights: String::new(),
        },
        provenance: Provenance::default(),
        embeddings: EmbeddingTables {
            word: zeros(),
            position: zeros(),
            token_type: Table::F32(Vec::new()),
            gamma: vec![0.0; config.hidden],
            beta: vec![0.0; config.hidden],
        },
        layers: vec![layer],
        head_pre: None,
        classifier: None,
        tokenizer: None,
    }
}

/// Of everything that the quantizer reads of a checkpoint.
fn digest(c: &Checkpoint) -> String {
    let mut sha = Sha256::new();
    sha.update(format!("{:?}", c.config));
    let mut floats = |v: &[f32]| {
        let mut bytes = Vec::with_capacity(1 << 16);
        for v in v.chunks(1 << 14) {
            bytes.clear();
            bytes.extend(v.iter().flat_map(|v| v.to_le_bytes()));
            sha.update(&bytes);
        }
    };
    let e = &c.embeddings;
    let tables = e.tables();
    for table in [&tables.word, &tables.position, &tables.token_type] {
        match table {
            Table::F32(v) => floats(v),
            Table::F16(v) => v.chunks(1 << 14).for_each(|v| {
                floats(&v.iter().map(|v| v.to_f32()).collect::<Vec<f32>>());
            }),
        }
    }
    let mut norms = vec![(&tables.gamma[..], &tables.beta[..], e.eps())];
    for l in &c.layers {
        for linear in [&l.q, &l.k, &l.v, &l.o, &l.ffn_in, &l.ffn_out] {
            floats(linear.weight());
            floats(linear.bias());
        }
        norms.extend([&l.ln_attn, &l.ln_out].map(|n| (n.gamma(), n.beta(), n.eps())));
    }
    for (gamma, beta, eps) in norms {
        floats(gamma);
        floats(beta);
        floats(&[eps]);
    }
    hex(&sha.finalize())
}
