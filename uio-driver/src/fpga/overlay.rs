//! Device-tree overlays at run time, through configfs.
//!
//! A vendor-kernel feature (and of the `dtbocfg` module): a directory under
//! `/sys/kernel/config/device-tree/overlays` is an overlay; its blob is written to `dtbo`. The
//! vendor kernel applies it on that write, `dtbocfg` when 1 is written to `status`.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::FpgaError;
use crate::{Deadline, Error, Roots, sysfs};

/// Magic number of a flattened tree, big-endian (Devicetree Specification 5.2).
const FDT_MAGIC: [u8; 4] = [0xd0, 0x0d, 0xfe, 0xed];
/// How long the attributes may take to appear after `mkdir`: at once, in the kernel.
const ATTRIBUTES: Duration = Duration::from_millis(500);
const NAME_BYTES_MAX: usize = 64;

/// An applied overlay. Dropping it leaves it applied: devices of it may be in use by others.
#[derive(Debug)]
pub struct Overlay {
    name: String,
    dir: PathBuf,
}

impl Overlay {
    /// Applies a compiled overlay under a name. On failure nothing of it stays.
    ///
    /// # Errors
    /// [`FpgaError::NoOverlays`], [`FpgaError::OverlayExists`], [`FpgaError::OverlayRefused`];
    /// [`FpgaError::System`] for a blob that is none and for failed writes.
    pub fn apply(roots: &Roots, name: &str, dtbo: &[u8]) -> Result<Self, FpgaError> {
        check_name(name)?;
        if !dtbo.starts_with(&FDT_MAGIC) {
            let reason = format!(
                "overlay `{name}` is no compiled device tree: compile it with `dtc -@ -O dtb`"
            );
            return Err(Error::BadRequest { reason }.into());
        }
        let overlays = roots.overlays();
        let dir = overlays.join(name);
        fs::create_dir(&dir).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => FpgaError::OverlayExists {
                name: name.to_owned(),
            },
            io::ErrorKind::NotFound => FpgaError::NoOverlays { dir: overlays },
            _ => Error::io("create", &dir, source).into(),
        })?;
        let overlay = Self {
            name: name.to_owned(),
            dir,
        };
        match overlay.fill(dtbo) {
            Ok(()) => Ok(overlay),
            Err(error) => {
                // The directory is the overlay: leaving it would block the next try.
                if let Err(second) = fs::remove_dir(&overlay.dir) {
                    tracing::warn!(name, %second, "a refused overlay could not be removed");
                }
                Err(error)
            }
        }
    }

    /// One applied earlier, perhaps by another process.
    ///
    /// # Errors
    /// [`FpgaError::System`] when there is none of this name.
    pub fn find(roots: &Roots, name: &str) -> Result<Self, FpgaError> {
        check_name(name)?;
        let dir = roots.overlays().join(name);
        sysfs::read(&dir.join("status"))?;
        Ok(Self {
            name: name.to_owned(),
            dir,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes it off: its devices vanish. Nothing of them may be open; drop them first.
    ///
    /// # Errors
    /// [`FpgaError::System`]; the overlay is then still applied.
    pub fn remove(self) -> Result<(), FpgaError> {
        let status = self.dir.join("status");
        if sysfs::read(&status)? == "1" {
            sysfs::write(&status, b"0")?;
        }
        fs::remove_dir(&self.dir).map_err(|e| Error::io("remove", &self.dir, e).into())
    }

    fn fill(&self, dtbo: &[u8]) -> Result<(), FpgaError> {
        let (blob, status) = (self.dir.join("dtbo"), self.dir.join("status"));
        let deadline = Deadline::after(ATTRIBUTES);
        while !(blob.exists() && status.exists()) {
            if deadline.expired() {
                let source = io::Error::from(io::ErrorKind::NotFound);
                return Err(Error::io("find", blob, source).into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        sysfs::write(&blob, dtbo)?;
        if sysfs::read(&status)? == "0" {
            sysfs::write(&status, b"1")?;
        }
        match sysfs::read(&status)?.as_str() {
            "1" | "applied" => Ok(()),
            other => Err(FpgaError::OverlayRefused {
                name: self.name.clone(),
                status: other.chars().take(80).collect(),
            }),
        }
    }
}

/// A plain directory name.
fn check_name(name: &str) -> Result<(), FpgaError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || name.starts_with('.')
        || !name.chars().all(legal)
    {
        let reason = format!(
            "`{}` is no overlay name: letters, digits, `-`, `_` and `.`",
            name.escape_debug()
        );
        return Err(Error::BadRequest { reason }.into());
    }
    Ok(())
}
