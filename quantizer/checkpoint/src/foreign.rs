//! What lies where a checkpoint's file should be, and is known: said by its name.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::CheckpointError;
use crate::files::{is_there, read_json};

/// Configuration of a peft adapter.
const ADAPTER: &str = "adapter_config.json";

/// Refuses a folder that holds an adapter instead of a model.
pub(crate) fn refuse_adapter(folder: &Path) -> Result<(), CheckpointError> {
    let path = folder.join(ADAPTER);
    if !is_there(&path) {
        return Ok(());
    }
    let config: Value = read_json(&path)?;
    let text = |key: &str| config.get(key).and_then(Value::as_str).map(str::to_owned);
    Err(CheckpointError::Adapter {
        folder: folder.to_path_buf(),
        kind: text("peft_type").unwrap_or_else(|| "peft".to_owned()),
        base: text("base_model_name_or_path"),
    })
}

/// Other forms of weights in a folder, which are not read.
pub(crate) fn other_weights(folder: &Path) -> Option<PathBuf> {
    const NAMES: [&str; 7] = [
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "tf_model.h5",
        "flax_model.msgpack",
        "model.onnx",
        "onnx/model.onnx",
        "openvino_model.xml",
    ];
    let mut there = NAMES.iter().map(|name| folder.join(name));
    there.find(|path| is_there(path))
}
