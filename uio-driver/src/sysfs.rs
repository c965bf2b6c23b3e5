//! Reading and writing attribute files, with their errors sorted.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// An attribute is a page at most (Documentation/filesystems/sysfs.rst); more is not sysfs.
const ATTRIBUTE_BYTES_MAX: u64 = 4096;

/// The text of an attribute without its trailing newline.
pub(crate) fn read(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(ATTRIBUTE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|source| Error::io("read", path, source))?;
    if bytes.len() as u64 > ATTRIBUTE_BYTES_MAX {
        return Err(bad(
            path,
            &format!("more than {ATTRIBUTE_BYTES_MAX} bytes"),
            "one attribute",
        ));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.trim_matches(['\n', ' ', '\0']).to_owned()),
        Err(raw) => Err(bad(path, &String::from_utf8_lossy(raw.as_bytes()), "text")),
    }
}

/// An attribute that holds one number, decimal or `0x` hexadecimal.
pub(crate) fn read_u64(path: &Path) -> Result<u64> {
    let text = read(path)?;
    parse_u64(&text).ok_or_else(|| bad(path, &text, "a number"))
}

/// As [`read_u64`] for a counter that the kernel prints as `int` or `unsigned int`.
pub(crate) fn read_count(path: &Path) -> Result<u32> {
    let text = read(path)?;
    let signed = text.parse::<i32>().ok().map(i32::cast_unsigned);
    signed
        .or_else(|| text.parse().ok())
        .ok_or_else(|| bad(path, &text, "a 32-bit count"))
}

/// Decimal or `0x` hexadecimal.
pub(crate) fn parse_u64(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None if text.starts_with('+') => None,
        None => text.parse().ok(),
    }
}

/// Writes an attribute that must exist already: creating it would hide that it is not there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|source| Error::io("write", path, source))
}

/// Names in a directory, sorted; `ClassAbsent` when there is no such directory.
pub(crate) fn entries(class: &Path) -> Result<Vec<String>> {
    let dir = fs::read_dir(class).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::ClassAbsent {
            class: class.to_owned(),
        },
        _ => Error::io("list", class, source),
    })?;
    let mut names: Vec<String> = dir
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// `BadAttribute`, its value cut to one line of bounded length.
pub(crate) fn bad(path: &Path, value: &str, expected: &'static str) -> Error {
    let value = value
        .chars()
        .take(80)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    Error::BadAttribute {
        path: PathBuf::from(path),
        value,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::parse_u64;

    #[test]
    fn numbers() {
        assert_eq!(parse_u64("0x000000001e000000"), Some(0x1e00_0000));
        assert_eq!(parse_u64("4096"), Some(4096));
        for wrong in [
            "",
            "0x",
            "-1",
            "+1",
            "0x+1",
            "12 34",
            "0x1_0",
            "99999999999999999999",
        ] {
            assert_eq!(parse_u64(wrong), None, "{wrong:?}");
        }
    }
}
