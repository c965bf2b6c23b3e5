//! Files written whole or not at all, and digests as text.

use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Permissions of a written file where the caller names none: what `creat` gives under the usual
/// mask of 022.
const MODE: u32 = 0o644;

/// Writes a file under a temporary name beside `path`, flushes it to the disk and renames it: a
/// reader sees the file that was there or the whole new one, and an interrupted write leaves no
/// part of one under its name. The folder must exist.
///
/// # Errors
/// The folder does not exist or cannot be written, `write` fails, or the disk is full; the
/// temporary file is removed then.
pub fn write_atomically<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let file = tempfile::Builder::new()
        .prefix(".fqbert-")
        .suffix(".tmp")
        .permissions(PermissionsExt::from_mode(MODE))
        .tempfile_in(folder)?;
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// SHA-256 of the parts one after the other, as 64 lower-case hexadecimal digits.
pub fn sha256_hex<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut digest = Sha256::new();
    parts.into_iter().for_each(|part| digest.update(part));
    hex(&digest.finalize())
}

/// SHA-256 of what `write` writes, as 64 lower-case hexadecimal digits, without keeping it.
///
/// # Errors
/// What `write` returns; the digest itself refuses nothing.
pub fn sha256_of<E>(write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<String, E> {
    let mut sink = Sink(Sha256::new());
    write(&mut sink)?;
    Ok(hex(&sink.0.finalize()))
}

/// A writer into a digest.
struct Sink(Sha256);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes as lower-case hexadecimal digits, two a byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let put =
            |text: &'static str| write_atomically(&path, move |out| out.write_all(text.as_bytes()));
        put("first").unwrap();
        put("second").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            MODE
        );

        let failed = write_atomically(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("the writer gave up"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "the writer gave up");
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left"
        );
        assert!(write_atomically::<io::Error>(&folder.path().join("no/b"), |_| Ok(())).is_err());
    }

    #[test]
    fn digests_are_those_of_the_standard() {
        // FIPS 180-4's example.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex([&b"abc"[..]]), abc);
        assert_eq!(sha256_hex([&b"a"[..], b"bc"]), abc);
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
        let written = sha256_of(|out| out.write_all(b"a").and_then(|()| out.write_all(b"bc")));
        assert_eq!(written.unwrap(), abc);
        assert!(sha256_of(|_| Err::<(), _>(io::Error::other("no"))).is_err());
    }
}
