//! Small files of a checkpoint's folder, read whole.

use std::path::Path;

use fqbert_files::read;

use crate::error::CheckpointError;

/// Bound on `config.json` and its small siblings.
pub(crate) const SMALL_JSON: u64 = 16 << 20;

/// Whether there is something of this name, whatever it is: what is no file is refused when it is
/// read, and not passed over.
pub(crate) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Parses a small JSON file.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, CheckpointError> {
    let bytes = read(path, SMALL_JSON)?;
    serde_json::from_slice(&bytes).map_err(|source| CheckpointError::Json {
        path: path.to_path_buf(),
        source,
    })
}
