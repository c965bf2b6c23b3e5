//! Several files in one input: each behind its length.

use std::path::Path;

/// As many files as there are names; what the input does not have is empty.
pub(crate) fn split<const N: usize>(mut input: &[u8]) -> [&[u8]; N] {
    let mut parts = [&[][..]; N];
    for part in &mut parts {
        let (length, rest) = match input.split_first_chunk::<4>() {
            Some((length, rest)) => (u32::from_le_bytes(*length) as usize, rest),
            None => (0, &[][..]),
        };
        let (this, rest) = rest.split_at(length.min(rest.len()));
        (*part, input) = (this, rest);
    }
    parts
}

/// The input that [`split`] takes apart.
pub(crate) fn join<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut input = Vec::new();
    for part in parts {
        input.extend((part.len() as u32).to_le_bytes());
        input.extend(part);
    }
    input
}

/// A folder for the files of one input, gone when dropped.
pub(crate) fn folder() -> tempfile::TempDir {
    // Memory, where there is such a folder: thousands of files a second.
    let memory = Path::new("/dev/shm");
    let folder = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir());
    folder.expect("a temporary folder")
}

/// Writes a file of the fuzzer's own.
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).expect("a temporary folder");
    }
    std::fs::write(path, bytes).expect("a temporary file");
}
