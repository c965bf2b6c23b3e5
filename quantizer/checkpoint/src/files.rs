//! Small files read whole, with a bound on their size.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::CheckpointError;

/// Bound on `config.json` and its small siblings.
pub(crate) const SMALL_JSON: u64 = 16 << 20;

pub(crate) fn io_error(path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::Io {
        path: path.to_path_buf(),
        source,
    }
}

/// Reads the whole of `path`, refusing more than `limit` bytes. The bound holds for what is read,
/// not only for what the file system reports, so that a pipe or a growing file cannot exceed it.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, CheckpointError> {
    let file = File::open(path).map_err(|e| io_error(path, e))?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| io_error(path, e))?;
    let read = bytes.len() as u64;
    if read > limit {
        let bytes = std::fs::metadata(path).map_or(read, |m| m.len().max(read));
        return Err(CheckpointError::FileTooLarge {
            path: path.to_path_buf(),
            bytes,
            limit,
        });
    }
    Ok(bytes)
}

/// Parses a small JSON file.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, CheckpointError> {
    let bytes = read_limited(path, SMALL_JSON)?;
    serde_json::from_slice(&bytes).map_err(|source| CheckpointError::Json {
        path: path.to_path_buf(),
        source,
    })
}
