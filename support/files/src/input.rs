//! Inputs: regular files with bounds, read and not mapped.
//!
//! A mapping of a file that somebody makes shorter ends the process with SIGBUS, a FIFO without a
//! writer waits for ever in `open`, and `/dev/zero` has no end. An [`Input`] is none of these: what
//! is no regular file is refused before it is opened, since opening a device can do something, and
//! again once it is open; and a file that was written to while it was read is an error.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fqbert_names as names;
use nix::libc;

use crate::kind::Kind;

/// Why an input cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The system's own reason.
    #[error("cannot {doing} {}: {source}", names::path(path))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// It is no regular file.
    #[error(
        "cannot read {}: it is {found}, where a regular file is needed; {}",
        names::path(path),
        found.instead_of_reading()
    )]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: Kind,
    },
    /// A file larger than anything sensible of its kind.
    #[error(
        "{} is {bytes} bytes, more than the {limit} that such a file may have",
        names::path(path)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// More came through a pipe than such an input may have.
    #[error(
        "{} has more than the {limit} bytes that such an input may have; split it",
        names::path(path)
    )]
    TooLong {
        /// The pipe.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// Somebody wrote to it in the meantime.
    #[error(
        "{} was written to while it was read ({before} bytes at first, then {after}); try again, \
         and replace files by renaming, which leaves a reader the old one",
        names::path(path)
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its size when it was opened.
        before: u64,
        /// Its size in the end, or as much as there was to read.
        after: u64,
    },
    /// Nothing came through a pipe.
    #[error(
        "cannot read {}: it is a pipe through which nothing came for {seconds} s; write to it \
         sooner, or write a file first and name that",
        names::path(path)
    )]
    Silent {
        /// The pipe.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
}

impl InputError {
    /// Whether there is no file of that name.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// The system's reason, with the file.
pub(crate) fn io_error(
    doing: &'static str,
    path: &Path,
) -> impl Fn(io::Error) -> InputError + use<> {
    let path = path.to_path_buf();
    move |source| InputError::Io {
        doing,
        path: path.clone(),
        source,
    }
}

/// A regular file, open for reading.
#[derive(Debug)]
pub struct Input {
    file: File,
    path: PathBuf,
    /// As it was opened.
    stamp: Stamp,
}

/// What every writing to a file changes. The time is as fine as the system's clock tick: a format
/// that must find every mixture of two files has a digest of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) length: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Input {
    /// Opens a regular file of at most `limit` bytes.
    ///
    /// # Errors
    /// It cannot be opened, is no regular file, or is larger.
    pub fn open(path: &Path, limit: u64) -> Result<Self, InputError> {
        let regular = |metadata: &Metadata| match Kind::of(metadata.file_type()) {
            Kind::Regular => Ok(()),
            found => Err(InputError::NotRegular {
                path: path.to_path_buf(),
                found,
            }),
        };
        regular(&std::fs::metadata(path).map_err(io_error("open", path))?)?;
        let file = open_without_waiting(path)?;
        let metadata = file.metadata().map_err(io_error("open", path))?;
        regular(&metadata)?;
        let stamp = Stamp::of(&metadata);
        if stamp.length > limit {
            return Err(InputError::TooLarge {
                path: path.to_path_buf(),
                bytes: stamp.length,
                limit,
            });
        }
        Ok(Self {
            file,
            path: path.to_path_buf(),
            stamp,
        })
    }

    /// Its size when it was opened.
    pub fn length(&self) -> u64 {
        self.stamp.length
    }

    /// Reads exactly the bytes from `offset` on that `buffer` holds.
    ///
    /// # Errors
    /// It cannot be read, or became shorter.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), InputError> {
        match self.file.read_exact_at(buffer, offset) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.changed(self.length_now()?))
            }
            Err(e) => Err(io_error("read", &self.path)(e)),
        }
    }

    /// Reads the whole of it.
    ///
    /// # Errors
    /// It cannot be read, does not fit the memory, or was written to.
    pub fn read_all(&mut self) -> Result<Vec<u8>, InputError> {
        let io = io_error("read", &self.path);
        let more = self.stamp.length.saturating_add(1);
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(usize::try_from(more).unwrap_or(usize::MAX))
            .map_err(|_| io(io::ErrorKind::OutOfMemory.into()))?;
        // One byte more than there should be shows that it grew.
        (&self.file)
            .take(more)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        self.check_unchanged()?;
        match bytes.len() as u64 {
            read if read == self.stamp.length => Ok(bytes),
            read => Err(self.changed(read)),
        }
    }

    /// To be called when enough was read: nobody wrote to the file since it was opened, so all of
    /// what was read is of one file.
    ///
    /// # Errors
    /// It was written to.
    pub fn check_unchanged(&self) -> Result<(), InputError> {
        let metadata = self.file.metadata().map_err(io_error("read", &self.path))?;
        match Stamp::of(&metadata) {
            now if now == self.stamp => Ok(()),
            now => Err(self.changed(now.length)),
        }
    }

    fn length_now(&self) -> Result<u64, InputError> {
        let metadata = self.file.metadata().map_err(io_error("read", &self.path))?;
        Ok(metadata.len())
    }

    fn changed(&self, after: u64) -> InputError {
        InputError::Changed {
            path: self.path.clone(),
            before: self.stamp.length,
            after,
        }
    }
}

/// The whole of a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`Input::open`] and [`Input::read_all`].
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, InputError> {
    Input::open(path, limit)?.read_all()
}

/// Opens for reading; a FIFO does not wait for its writer then, nor a line for its carrier.
pub(crate) fn open_without_waiting(path: &Path) -> Result<File, InputError> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
        .map_err(io_error("open", path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use nix::sys::stat::Mode;

    use super::*;

    fn refused(path: &Path) -> String {
        read(path, 100).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        nix::unistd::mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        std::os::unix::fs::symlink(path("fifo"), path("link")).unwrap();
        for (file, what) in [
            (path("fifo"), "it is a pipe (FIFO), where a regular file"),
            (path("link"), "it is a pipe"),
            (path("socket"), "it is a socket"),
            (folder.path().to_owned(), "it is a folder"),
            ("/dev/zero".into(), "it is a character device"),
            (path("none"), "No such file"),
        ] {
            let said = refused(&file);
            assert!(
                said.contains(what) && said.contains(file.to_str().unwrap()),
                "{said}"
            );
        }
        assert!(read(&path("none"), 9).unwrap_err().is_missing());
        assert!(!read(&path("fifo"), 9).unwrap_err().is_missing());
    }

    #[test]
    fn a_file_is_read_as_a_whole_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "twelve bytes").unwrap();
        assert_eq!(read(&path, 12).unwrap(), b"twelve bytes");
        let said = read(&path, 11).unwrap_err().to_string();
        assert!(said.contains("is 12 bytes, more than the 11"), "{said}");
        let input = Input::open(&path, 12).unwrap();
        let mut part = [0; 5];
        input.read_at(&mut part, 7).unwrap();
        assert_eq!(&part, b"bytes");
        fs::write(&path, "").unwrap();
        assert_eq!(read(&path, 0).unwrap(), b"");
        // No memory is taken for what a bound refuses, and no time.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(refused(&path).contains("1099511627776 bytes"));
    }

    #[test]
    fn a_file_that_is_written_to_meanwhile_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let writings: [&dyn Fn(&File); 4] = [
            &|f| f.set_len(3).unwrap(),
            &|f| f.set_len(0).unwrap(),
            &|mut f| f.write_all(b"longer than it was").unwrap(),
            &|mut f| f.write_all(b"TWELVE BYTES").unwrap(),
        ];
        for (i, write) in writings.iter().enumerate() {
            fs::write(&path, "twelve bytes").unwrap();
            let mut input = Input::open(&path, 100).unwrap();
            // The clock that files are stamped with ticks every few milliseconds.
            std::thread::sleep(std::time::Duration::from_millis(20));
            write(&OpenOptions::new().write(true).open(&path).unwrap());
            let e = input.read_all().unwrap_err();
            assert!(
                matches!(e, InputError::Changed { before: 12, .. }),
                "{i}: {e}"
            );
            assert!(input.check_unchanged().is_err());
        }
        fs::write(&path, "twelve bytes").unwrap();
        let mut input = Input::open(&path, 100).unwrap();
        File::create(&path).unwrap();
        assert!(matches!(
            input.read_at(&mut [0; 12], 0),
            Err(InputError::Changed { after: 0, .. })
        ));
        // One that is replaced by renaming is read as it was.
        fs::write(&path, "twelve bytes").unwrap();
        input = Input::open(&path, 100).unwrap();
        fs::write(folder.path().join("b"), "another").unwrap();
        fs::rename(folder.path().join("b"), &path).unwrap();
        assert_eq!(input.read_all().unwrap(), b"twelve bytes");
    }
}
