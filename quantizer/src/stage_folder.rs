//! The folder that a run keeps its stages in, for itself.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::libc;

use crate::error::QuantizeError;

/// Runs that may come and go while one tries to get the folder.
const TRIES: usize = 1000;

/// A folder of stage files, locked for one run.
///
/// The lock is the folder's own (`flock`), so that none is left of a process that is killed.
/// Dropping it deletes the folder if it is empty.
#[derive(Debug)]
pub struct StageFolder {
    path: PathBuf,
    /// Open for the lock alone.
    _lock: File,
    /// The files that this run has made or taken.
    used: Mutex<BTreeSet<PathBuf>>,
}

impl StageFolder {
    /// Takes a folder, which is made if it is not there; `None` if another run has it. What a run
    /// that was killed left half-written is deleted.
    ///
    /// # Errors
    /// [`QuantizeError::Stage`] if it cannot be made or locked.
    pub fn open(path: impl Into<PathBuf>) -> Result<Option<Self>, QuantizeError> {
        let path = path.into();
        for _ in 0..TRIES {
            let cannot = |what: &str, e: &io::Error| bad(&path, format!("cannot {what} it: {e}"));
            match fs::create_dir(&path) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(cannot("make", &e));
                }
                _ => {}
            }
            let mut options = OpenOptions::new();
            options
                .read(true)
                .custom_flags(libc::O_DIRECTORY | libc::O_NONBLOCK | libc::O_CLOEXEC);
            let lock = match options.open(&path) {
                Ok(lock) => lock,
                // A run that had it has just ended.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(cannot("open", &e)),
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(cannot("lock", &e)),
            }
            // It may have been deleted between being opened and being locked.
            let here = lock.metadata().map_err(|e| cannot("look at", &e))?;
            let named = fs::metadata(&path);
            if named.is_ok_and(|n| (n.dev(), n.ino()) == (here.dev(), here.ino())) {
                let folder = Self {
                    path,
                    _lock: lock,
                    used: Mutex::default(),
                };
                folder.sweep()?;
                return Ok(Some(folder));
            }
        }
        Err(bad(&path, "other runs make and delete it all the time"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes the stage files of this run. Those that an interrupted run with other settings left
    /// stay, and with them the folder.
    ///
    /// # Errors
    /// [`QuantizeError::Stage`] if a file cannot be deleted.
    pub fn remove(self) -> Result<(), QuantizeError> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.iter().try_for_each(|path| delete(path))
    }

    /// The files in it, by name.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = files.map(|f| f.path()).collect();
        paths.sort();
        paths
    }

    /// This run has made or taken the file.
    pub(crate) fn uses(&self, path: PathBuf) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(path);
    }

    /// Nobody else writes here: what is half-written stays so.
    fn sweep(&self) -> Result<(), QuantizeError> {
        let half = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(fqbert_files::is_temporary)
        };
        let half = self.files().into_iter().filter(half);
        half.into_iter().try_for_each(|path| delete(&path))
    }
}

impl Drop for StageFolder {
    fn drop(&mut self) {
        // Somebody else's files may be there, or an interrupted run's.
        let _ = fs::remove_dir(&self.path);
    }
}

fn delete(path: &Path) -> Result<(), QuantizeError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(bad(path, format!("cannot delete it: {e}")))
        }
        _ => Ok(()),
    }
}

/// What is wrong with a stage file, or with the folder.
pub(crate) fn bad(path: &Path, reason: impl Into<String>) -> QuantizeError {
    QuantizeError::Stage {
        path: path.to_owned(),
        reason: reason.into(),
    }
}
