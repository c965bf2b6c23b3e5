//! Small files of a checkpoint's folder, read whole.

use std::path::Path;

use fqbert_files::read;

use crate::error::CheckpointError;

/// Bound on `config.json` and its small siblings.
pub(crate) const SMALL_JSON: u64 = 16 << 20;

/// Beginning of a Git LFS pointer, of whatever version.
const POINTER: &[u8] = b"version https://git-lfs.";

/// Refuses a file that begins as a Git LFS pointer does: the place holder of a large file.
pub(crate) fn refuse_pointer(path: &Path, start: &[u8]) -> Result<(), CheckpointError> {
    if start.starts_with(POINTER) {
        return Err(CheckpointError::LfsPointer {
            path: path.to_path_buf(),
        });
    }
    Ok(())
}

/// Whether there is something of this name, whatever it is: what is no file is refused when it is
/// read, and not passed over.
pub(crate) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Parses a small JSON file, in which NaN and the infinities may stand as Python writes them: they
/// are read as strings of that name, which is no number to any setting.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, CheckpointError> {
    let bytes = read(path, SMALL_JSON)?;
    refuse_pointer(path, &bytes)?;
    serde_json::from_slice(&bytes)
        .or_else(|e| match quoted(&bytes) {
            Some(bytes) => serde_json::from_slice(&bytes),
            None => Err(e),
        })
        .map_err(|source| CheckpointError::Json {
            path: path.to_path_buf(),
            source,
        })
}

/// The same with Python's words for what JSON has no number for as strings; none if there is none.
fn quoted(json: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut out = Vec::with_capacity(json.len() + 16);
    let (mut rest, mut in_string, mut found) = (json, false, false);
    while let Some((&byte, behind)) = rest.split_first() {
        let word = WORDS.iter().find(|word| rest.starts_with(word));
        if let Some(word) = word.filter(|_| !in_string) {
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
            (rest, found) = (&rest[word.len()..], true);
            continue;
        }
        out.push(byte);
        rest = behind;
        match byte {
            b'"' => in_string = !in_string,
            // What is escaped ends no string.
            b'\\' if in_string => {
                if let Some((&escaped, behind)) = rest.split_first() {
                    out.push(escaped);
                    rest = behind;
                }
            }
            _ => {}
        }
    }
    found.then_some(out)
}
