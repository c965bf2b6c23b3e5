//! Memory mapping of a model file, for the duration of its reading.

use std::fs::File;
use std::path::Path;

use memmap2::{Mmap, MmapOptions};

use crate::error::ModelError;

/// Maps `path` read-only and private.
///
/// # Errors
/// [`ModelError::Io`] if it cannot be opened or mapped.
pub(crate) fn map(path: &Path) -> Result<Mmap, ModelError> {
    let io = |doing| {
        move |source| ModelError::Io {
            doing,
            path: path.to_path_buf(),
            source,
        }
    };
    let file = File::open(path).map_err(io("open"))?;
    let kind = file.metadata().map_err(io("read the size of"))?;
    if !kind.is_file() {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file");
        return Err(io("map")(source));
    }
    map_file(&file).map_err(io("map"))
}

#[allow(
    unsafe_code,
    reason = "a mapping can change under its reader; see SAFETY"
)]
fn map_file(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the mapping is not trusted to stay as it is. It lives only while
    // `QuantizedModel::load` runs, which copies each byte out once and checks the copy, header
    // included; no reference into it and no conclusion from it outlives the copy. Writers of this
    // crate replace files by renaming, which leaves a mapped file whole.
    unsafe { MmapOptions::new().map_copy_read_only(file) }
}
