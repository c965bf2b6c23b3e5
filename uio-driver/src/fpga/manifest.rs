//! A bitstream's manifest: the small TOML file beside it that says what it is.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Bitfile, Expectation, Identity, ManifestError, Part, compare};
use crate::Error;

/// A manifest is a page of text; more is something else.
const MANIFEST_BYTES_MAX: u64 = 64 << 10;

/// Whether the bitstream exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Described only.
    NotBuilt,
    /// Built; `stream` describes the file.
    Built,
}

/// The board it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// `zcu102`.
    pub name: String,
    /// `xczu9eg-ffvb1156-2-e`.
    pub part: String,
    /// JTAG IDCODE of the part, version bits zero.
    pub idcode: u32,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Name of the file beside the manifest, and of the firmware.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// Tool and version that built it.
    pub tool: String,
    /// Day it was built, `2026-01-31`.
    pub built: String,
}

/// A bitstream manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format: 1.
    pub format: u32,
    /// Name of the bitstream.
    pub name: String,
    /// Whether it exists.
    pub status: Status,
    /// Clock of the logic in hertz.
    pub clock_hz: u64,
    /// The board.
    pub board: Board,
    /// The file, when built.
    pub stream: Option<Stream>,
    /// What the identity registers must say.
    pub identity: BTreeMap<String, Expectation>,
}

impl Manifest {
    /// Parses and checks a manifest. `origin` names it in messages.
    ///
    /// # Errors
    /// [`ManifestError::Malformed`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, ManifestError> {
        let malformed = |reason: String| ManifestError::Malformed {
            origin: origin.to_owned(),
            reason,
        };
        let manifest: Self = toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
        if manifest.format != 1 {
            let reason = format!(
                "format {}, this program reads format 1; update the older of the two",
                manifest.format
            );
            return Err(malformed(reason));
        }
        manifest.board.part.parse::<Part>()?;
        match (&manifest.stream, manifest.status) {
            (None, Status::Built) => Err(malformed("status `built` without a [stream]".to_owned())),
            (Some(_), Status::NotBuilt) => {
                Err(malformed("a [stream] with status `not-built`".to_owned()))
            }
            (Some(stream), _) if !is_sha256(&stream.sha256) => {
                Err(malformed(format!("`{}` is no SHA-256", stream.sha256)))
            }
            (Some(stream), _) if !is_plain_name(&stream.file) => Err(malformed(format!(
                "`{}` is no plain file name",
                stream.file
            ))),
            _ => Ok(manifest),
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError::Malformed`], [`ManifestError::System`].
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let bytes = read_bounded(path, MANIFEST_BYTES_MAX)?;
        let origin = path.display().to_string();
        let text = String::from_utf8(bytes).map_err(|_| ManifestError::Malformed {
            origin: origin.clone(),
            reason: "not UTF-8".to_owned(),
        })?;
        Self::parse(&text, &origin)
    }

    /// The stream, or that it was never built.
    ///
    /// # Errors
    /// [`ManifestError::NotBuilt`].
    pub fn require_built(&self) -> Result<&Stream, ManifestError> {
        self.stream.as_ref().ok_or_else(|| ManifestError::NotBuilt {
            name: self.name.clone(),
            board: self.board.name.clone(),
        })
    }

    /// Reads the bitstream beside the manifest in `dir` and checks size, SHA-256 and, for a `.bit`,
    /// part and IDCODE. Returns it in the manager's byte order.
    ///
    /// # Errors
    /// [`ManifestError::NotBuilt`], [`ManifestError::WrongFile`], those of [`Bitfile::parse`] and
    /// [`Part::fits`].
    pub fn read_stream(&self, dir: &Path) -> Result<Vec<u8>, ManifestError> {
        let stream = self.require_built()?;
        let path = dir.join(&stream.file);
        let bytes = read_bounded(&path, stream.bytes)?;
        let wrong = |what, have: String, want: String| {
            Err(ManifestError::WrongFile {
                path: path.clone(),
                what,
                have,
                want,
            })
        };
        if bytes.len() as u64 != stream.bytes {
            return wrong("size", bytes.len().to_string(), stream.bytes.to_string());
        }
        let digest = sha256_hex(&bytes);
        if !digest.eq_ignore_ascii_case(&stream.sha256) {
            return wrong("SHA-256", digest, stream.sha256.clone());
        }
        if !stream.file.ends_with(".bit") {
            return Ok(bytes);
        }
        let bitfile = Bitfile::parse(&bytes)?;
        bitfile.part.fits(&self.board.part.parse()?)?;
        // The top four bits are the silicon's revision.
        match bitfile.idcode {
            Some(idcode) if (idcode ^ self.board.idcode) & 0x0FFF_FFFF != 0 => wrong(
                "IDCODE",
                format!("{idcode:#010x}"),
                format!("{:#010x}", self.board.idcode),
            ),
            _ => Ok(bitfile.to_manager_order()),
        }
    }

    /// Compares what the loaded logic says of itself.
    ///
    /// # Errors
    /// [`ManifestError::WrongIdentity`] with every field that differs.
    pub fn check_identity(&self, actual: &Identity) -> Result<(), ManifestError> {
        let mismatches = compare(&self.identity, actual);
        if mismatches.is_empty() {
            return Ok(());
        }
        Err(ManifestError::WrongIdentity {
            name: self.name.clone(),
            mismatches,
        })
    }
}

/// SHA-256 as 64 lower-case digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// At most one byte more than `limit`: enough to see that a file is too long. What is no regular
/// file is refused: a FIFO would be waited for.
fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let io = |source: io::Error| Error::io("read", path, source);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
        .map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(Error::BadRequest {
            reason: format!("{} is no regular file; name one", path.display()),
        });
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io)?;
    Ok(bytes)
}
