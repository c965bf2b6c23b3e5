//! Safetensors files, one or several, as one set of named tensors.
//!
//! Tensors are read one at a time with positioned reads into their final place and are not
//! memory-mapped. Every value is converted to f32 and checked for NaN anyway, so a mapping would
//! save no copy; and a mapped file that somebody truncates kills the process with SIGBUS, which
//! no error value can report. A file stays open from its header to its last tensor: one that is
//! replaced by renaming is read as it was, and after each tensor it is seen whether somebody has
//! written to it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use fqbert_files::Input;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::error::CheckpointError;
use crate::files::{is_there, read_json, refuse_pointer};
use crate::foreign::{other_weights, refuse_adapter};

const INDEX: &str = "model.safetensors.index.json";

/// Largest header accepted; the bound of the safetensors format's own reader.
const MAX_HEADER: u64 = 100_000_000;
/// Largest file accepted: shards have 5 to 50 GB.
const MAX_FILE: u64 = 64 << 30;
/// Bytes converted at a time: bounds what a load needs beyond its result.
const CHUNK: usize = 1 << 20;

/// Values as they come from the file: half precision stays half, as it is exact and small.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// From F32 or BF16.
    F32(Vec<f32>),
    /// From F16.
    F16(Vec<f16>),
}

#[derive(Debug)]
struct Entry {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Byte range in the file.
    start: u64,
    bytes: u64,
}

/// The named tensors of a checkpoint folder.
#[derive(Debug)]
pub struct TensorStore {
    shards: Vec<Shard>,
    tensors: BTreeMap<String, Entry>,
    /// Tensors that are not stored, and which one has their values.
    shared: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    input: Input,
}

#[derive(serde::Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl TensorStore {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` names, and
    /// checks every header: ranges inside the file, gapless, without overlap, of the length that
    /// type and shape give.
    ///
    /// # Errors
    /// No weights in the folder; a damaged header; an index that disagrees with its shards.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let single = folder.join("model.safetensors");
        if is_there(&single) {
            return Self::open_file(&single);
        }
        if !is_there(&folder.join(INDEX)) {
            refuse_adapter(folder)?;
            return Err(CheckpointError::NoWeights {
                folder: folder.to_path_buf(),
                instead: other_weights(folder),
            });
        }
        Self::open_shards(folder)
    }

    /// Opens one safetensors file.
    ///
    /// # Errors
    /// A file that cannot be read, or a damaged header.
    pub fn open_file(path: &Path) -> Result<Self, CheckpointError> {
        let mut store = TensorStore {
            shards: Vec::new(),
            tensors: BTreeMap::new(),
            shared: BTreeMap::new(),
        };
        store.add_shard(path)?;
        Ok(store)
    }

    fn open_shards(folder: &Path) -> Result<Self, CheckpointError> {
        let weight_map = shard_names(folder)?;
        let mut store = TensorStore {
            shards: Vec::new(),
            tensors: BTreeMap::new(),
            shared: BTreeMap::new(),
        };
        let mut opened = HashSet::new();
        for shard in weight_map.values() {
            if opened.insert(shard) {
                store.add_shard(&folder.join(shard))?;
            }
        }
        for (name, shard) in &weight_map {
            let found = store
                .tensors
                .get(name)
                .and_then(|e| store.shards.get(e.shard));
            let found = found
                .and_then(|shard| shard.path.file_name())
                .map(|f| f.to_string_lossy().into_owned());
            if found.as_deref() != Some(shard) {
                return Err(CheckpointError::Disagreement {
                    left: "model.safetensors.index.json".into(),
                    left_value: format!("tensor {name} is in {shard}"),
                    right: "the shards".into(),
                    right_value: match found {
                        Some(file) => format!("it is in {file}"),
                        None => "no file holds it".into(),
                    },
                });
            }
        }
        if let Some(name) = store.tensors.keys().find(|n| !weight_map.contains_key(*n)) {
            return Err(CheckpointError::Disagreement {
                left: "model.safetensors.index.json".into(),
                left_value: format!("there is no tensor {name}"),
                right: "the shards".into(),
                right_value: "there is".into(),
            });
        }
        Ok(store)
    }

    fn add_shard(&mut self, path: &Path) -> Result<(), CheckpointError> {
        let input = Input::open(path, MAX_FILE)?;
        let (data_start, metadata) = read_header(path, &input)?;
        let shard = self.shards.len();
        for (name, info) in metadata.tensors() {
            // Within the file: `read_header` compared the last offset with the file's length.
            let (start, end) = info.data_offsets;
            let entry = Entry {
                shard,
                dtype: info.dtype,
                shape: info.shape.clone(),
                start: data_start + start as u64,
                bytes: (end - start) as u64,
            };
            if let Some(earlier) = self.tensors.insert(name.clone(), entry) {
                let earlier = self.shards.get(earlier.shard).map_or(path, |s| &s.path);
                return Err(CheckpointError::Disagreement {
                    left: earlier.display().to_string(),
                    left_value: format!("it holds tensor {name}"),
                    right: path.display().to_string(),
                    right_value: "it holds it too".into(),
                });
            }
        }
        // The header's own text: "format" and other remarks beside the names of shared tensors.
        for (name, stored) in metadata.metadata().iter().flatten() {
            if self.tensors.contains_key(stored) {
                self.shared.insert(name.clone(), stored.clone());
            }
        }
        self.shards.push(Shard {
            path: path.to_path_buf(),
            input,
        });
        Ok(())
    }

    /// Names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Shape of a tensor, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entry(name).map(|e| e.shape.as_slice())
    }

    /// The name under which a tensor is stored: its own, or that of the tensor it shares its
    /// values with, of which `safetensors.torch.save_model` stores one.
    pub(crate) fn stored_name<'a>(&'a self, name: &'a str) -> &'a str {
        if self.tensors.contains_key(name) {
            return name;
        }
        self.shared.get(name).map_or(name, String::as_str)
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.tensors.get(self.stored_name(name))
    }

    /// Reads a tensor of the given shape as f32.
    ///
    /// # Errors
    /// Missing tensor, other shape, a type that is not F32, F16 or BF16, a value that is not
    /// finite, or a file that became shorter.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        Ok(match self.read_stored(name, shape)? {
            Values::F32(v) => v,
            Values::F16(v) => v.into_iter().map(f16::to_f32).collect(),
        })
    }

    /// As [`TensorStore::read`], but leaves F16 as it is.
    ///
    /// # Errors
    /// As [`TensorStore::read`].
    pub(crate) fn read_stored(
        &self,
        name: &str,
        shape: &[usize],
    ) -> Result<Values, CheckpointError> {
        let entry = self
            .entry(name)
            .ok_or_else(|| CheckpointError::MissingTensor {
                name: name.into(),
                shape: shape.to_vec(),
                context: "config.json calls for it".into(),
            })?;
        if entry.shape != shape {
            return Err(CheckpointError::Shape {
                name: name.into(),
                expected: shape.to_vec(),
                found: entry.shape.clone(),
            });
        }
        let finite = |index: usize, value: f32| {
            if value.is_finite() {
                Ok(())
            } else {
                Err(CheckpointError::NotFinite {
                    name: name.into(),
                    index,
                    value,
                })
            }
        };
        match entry.dtype {
            Dtype::F32 => {
                let values = self.decode(entry, f32::from_le_bytes, finite)?;
                Ok(Values::F32(values))
            }
            Dtype::BF16 => {
                let to_f32 = |b| bf16::from_le_bytes(b).to_f32();
                Ok(Values::F32(self.decode(entry, to_f32, finite)?))
            }
            Dtype::F16 => {
                let check = |i, v: f16| finite(i, v.to_f32());
                Ok(Values::F16(self.decode(
                    entry,
                    f16::from_le_bytes,
                    check,
                )?))
            }
            other => Err(CheckpointError::Dtype {
                name: name.into(),
                found: format!("{other:?}"),
            }),
        }
    }

    /// Reads the bytes of `entry` in chunks and converts groups of `N` of them.
    fn decode<const N: usize, T: Copy>(
        &self,
        entry: &Entry,
        convert: impl Fn([u8; N]) -> T,
        check: impl Fn(usize, T) -> Result<(), CheckpointError>,
    ) -> Result<Vec<T>, CheckpointError> {
        let Shard { input, .. } = &self.shards[entry.shard];
        // In the file's length, checked at opening, hence no allocation beyond what is there.
        let total = usize::try_from(entry.bytes).unwrap_or(usize::MAX);
        let mut values = Vec::with_capacity(total / N);
        let mut buffer = vec![0u8; CHUNK.min(total)];
        let mut done = 0;
        while done < total {
            let take = CHUNK.min(total - done);
            let part = &mut buffer[..take];
            input.read_at(part, entry.start + done as u64)?;
            for group in part.as_chunks::<N>().0 {
                let value = convert(*group);
                check(values.len(), value)?;
                values.push(value);
            }
            done += take;
        }
        input.check_unchanged()?;
        Ok(values)
    }
}

/// For each tensor the file that the index says it is in.
pub(crate) fn shard_names(folder: &Path) -> Result<BTreeMap<String, String>, CheckpointError> {
    let index = folder.join(INDEX);
    let ShardIndex { weight_map } = read_json(&index)?;
    for shard in weight_map.values() {
        // A name with a separator could reach outside the folder.
        let plain = Path::new(shard)
            .file_name()
            .is_some_and(|n| n == shard.as_str());
        if !plain || !shard.ends_with(".safetensors") {
            return Err(CheckpointError::ShardName {
                path: index,
                name: shard.clone(),
            });
        }
    }
    Ok(weight_map)
}

/// Reads and checks the header; returns the byte at which data starts, and the header.
fn read_header(path: &Path, input: &Input) -> Result<(u64, Metadata), CheckpointError> {
    let bad = |reason: String| CheckpointError::Header {
        path: path.to_path_buf(),
        reason,
    };
    let length = input.length();
    let mut start = [0u8; 64];
    let start = &mut start[..length.min(64) as usize];
    input.read_at(start, 0)?;
    refuse_pointer(path, start)?;
    let mut prefix = [0u8; 8];
    if length < 8 {
        return Err(bad(format!(
            "{length} bytes are too few for a safetensors header"
        )));
    }
    input.read_at(&mut prefix, 0)?;
    let header = u64::from_le_bytes(prefix);
    if header > MAX_HEADER.min(length - 8) {
        return Err(bad(format!(
            "the header claims {header} bytes, the file has {} after it and the limit is \
             {MAX_HEADER}",
            length - 8
        )));
    }
    let mut json = vec![0u8; usize::try_from(header).unwrap_or(0)];
    input.read_at(&mut json, 8)?;
    // Deserializing also checks order, gaps, overlaps and that lengths fit type and shape.
    let metadata: Metadata =
        serde_json::from_slice(&json).map_err(|e| bad(format!("bad header: {e}")))?;
    let data = metadata.data_len() as u64;
    let start = header + 8;
    if start.checked_add(data) != Some(length) {
        return Err(bad(format!(
            "the header describes {data} bytes of tensors, the file has {}",
            length - start
        )));
    }
    Ok((start, metadata))
}
