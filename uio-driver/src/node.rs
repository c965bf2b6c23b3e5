//! A device's node: opened, checked against sysfs, and locked for one process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use crate::{Deadline, Error, Result, Roots, sysfs};

/// What to do when another process holds the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Say so at once.
    Refuse,
    /// Try for this long, then say so.
    For(Duration),
}

/// The kernel's page size, which is a power of two.
pub(crate) fn page_size() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| u64::try_from(size).ok())
        .filter(|size| size.is_power_of_two())
        .unwrap_or(4096)
}

/// Where a file stands in for a device, an access behind its end would be a `SIGBUS`: refuse early.
pub(crate) fn require_file_length(file: &File, path: &Path, end: u64) -> Result<()> {
    let len = file
        .metadata()
        .map_err(|e| Error::io("examine", path, e))?
        .len();
    if len < end {
        let reason = format!(
            "the file {} has {len} bytes, the map ends at {end}",
            path.display()
        );
        return Err(Error::BadRequest { reason });
    }
    Ok(())
}

/// Opens a node for reading and writing and checks that it is the device sysfs describes.
pub(crate) fn open_node(roots: &Roots, dev: &Path, sysfs_dir: &Path, flags: i32) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags | libc::O_CLOEXEC)
        .open(dev)
        .map_err(|source| match (source.kind(), source.raw_os_error()) {
            (io::ErrorKind::NotFound, _) => Error::NodeAbsent {
                path: dev.to_owned(),
            },
            (_, Some(libc::EBUSY)) => Error::Busy {
                path: dev.to_owned(),
                holder: None,
            },
            _ => Error::io("open", dev, source),
        })?;
    if roots.files_for_nodes {
        return Ok(file);
    }
    let attribute = sysfs_dir.join("dev");
    let text = sysfs::read(&attribute)?;
    let parsed = text
        .split_once(':')
        .and_then(|(major, minor)| Some((sysfs::parse_u64(major)?, sysfs::parse_u64(minor)?)));
    let (major, minor) = parsed.ok_or_else(|| sysfs::bad(&attribute, &text, "MAJOR:MINOR"))?;
    let meta = file.metadata().map_err(|e| Error::io("examine", dev, e))?;
    let have = (
        u64::from(libc::major(meta.rdev())),
        u64::from(libc::minor(meta.rdev())),
    );
    let found = if !meta.file_type().is_char_device() {
        "no character device".to_owned()
    } else if have != (major, minor) {
        format!("{}:{}", have.0, have.1)
    } else {
        return Ok(file);
    };
    Err(Error::WrongNode {
        path: dev.to_owned(),
        major,
        minor,
        found,
    })
}

/// Pause between two tries for a lock: short beside any model load, long beside a system call.
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// Takes the exclusive `flock` of an opened node. It ends with the last user of the open file
/// description, so also when the process is killed: there is no stale lock to clean up.
pub(crate) fn lock(roots: &Roots, file: &File, path: &Path, wait: LockWait) -> Result<()> {
    let deadline = match wait {
        LockWait::Refuse => Deadline::after(Duration::ZERO),
        LockWait::For(time) => Deadline::after(time),
    };
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", path, source)),
            Err(TryLockError::WouldBlock) if deadline.expired() => {
                return Err(Error::Busy {
                    path: path.to_owned(),
                    holder: holder(roots, file),
                });
            }
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(LOCK_RETRY.min(deadline.remaining()))
            }
        }
    }
}

/// Who holds the `flock` on this file, by `/proc/locks`:
/// `1: FLOCK  ADVISORY  WRITE 1234 00:05:123 0 EOF` (major and minor of the file system in hex).
fn holder(roots: &Roots, file: &File) -> Option<u32> {
    let meta = file.metadata().ok()?;
    let (major, minor) = (libc::major(meta.dev()), libc::minor(meta.dev()));
    let id = format!("{major:02x}:{minor:02x}:{}", meta.ino());
    let locks = std::fs::read_to_string(roots.proc.join("locks")).ok()?;
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            [_, "FLOCK", _, _, pid, at, ..] if *at == id => pid.parse().ok(),
            _ => None,
        }
    })
}
