//! Outputs: what is there is kept until the whole of the new is there.
//!
//! An [`Output`] is opened before the work begins. By then it is known that its folder exists and
//! can be written to, and that nothing is destroyed which is no file of that kind: a device, a
//! FIFO, a folder.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fqbert_names as names;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::kind::Kind;

/// Permissions of a new file: what `creat` gives under the usual mask of 022.
const MODE: u32 = 0o644;
/// Symbolic links that are followed, as many as the system follows.
const LINKS: usize = 40;
/// Longest wait for the reader of a pipe.
const READER: Duration = Duration::from_secs(30);

/// Why something cannot be written where it is asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
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
    /// There is something that a file must not replace.
    #[error("cannot write {}: it is {found}; {remedy}", names::path(path))]
    NotReplaceable {
        /// The output.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The folder that it would be in does not exist.
    #[error(
        "cannot write {}: the folder {} does not exist; make it first",
        names::path(path),
        names::path(folder)
    )]
    NoFolder {
        /// The output.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// The folder that it would be in cannot be written to.
    #[error(
        "cannot write {}: no file can be made in the folder {}: {source}",
        names::path(path),
        names::path(folder)
    )]
    Folder {
        /// The output.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk is too full.
    #[error(
        "cannot write {}: it takes {needed} bytes or more, and {free} are free there; make room or \
         name a file elsewhere",
        names::path(path)
    )]
    NoRoom {
        /// The output.
        path: PathBuf,
        /// Bytes that it takes at least.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The command reads what it would overwrite.
    #[error(
        "cannot write {}: it is {}, which this command reads; name another file",
        names::path(path),
        names::path(input)
    )]
    IsInput {
        /// The output.
        path: PathBuf,
        /// The input, as it was named.
        input: PathBuf,
    },
    /// Another output goes there.
    #[error(
        "cannot write {}: it is {}, another output of this command; name two files",
        names::path(path),
        names::path(other)
    )]
    Twice {
        /// The output.
        path: PathBuf,
        /// The other one.
        other: PathBuf,
    },
}

impl From<OutputError> for io::Error {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Io { source, .. } => source,
            error => Self::other(error),
        }
    }
}

/// Something to be written, looked at before it is made.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    place: Place,
}

#[derive(Debug)]
pub(crate) enum Place {
    /// A file that replaces what has its name, links followed.
    File { folder: PathBuf, target: PathBuf },
    /// A pipe, a terminal or an open descriptor, which is written through.
    Through(File),
}

impl Output {
    /// A file that is there as a whole or not at all.
    ///
    /// # Errors
    /// Its folder does not exist or cannot be written to, or something that is no regular file has
    /// its name.
    pub fn whole(path: &Path) -> Result<Self, OutputError> {
        Self::at(path, false)
    }

    /// As [`Output::whole`], or text through a pipe, a terminal, `/dev/null` or an open descriptor
    /// such as `/dev/stdout`.
    ///
    /// # Errors
    /// As [`Output::whole`] where it is none of these; nobody reads the pipe.
    pub fn text(path: &Path) -> Result<Self, OutputError> {
        Self::at(path, true)
    }

    fn at(path: &Path, through: bool) -> Result<Self, OutputError> {
        let place = find(path, through)?;
        if let Place::File { folder, .. } = &place {
            // It has no name, or only for a moment: a process that is killed leaves nothing.
            tempfile::tempfile_in(folder).map_err(|source| OutputError::Folder {
                path: path.to_path_buf(),
                folder: folder.clone(),
                source,
            })?;
        }
        Ok(Self {
            path: path.to_path_buf(),
            place,
        })
    }

    /// Its name as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Looks whether the disk has room for this many bytes. Who else writes there, and quotas, are
    /// not known.
    ///
    /// # Errors
    /// It has not.
    pub fn has_room(&self, needed: u64) -> Result<(), OutputError> {
        let Place::File { folder, .. } = &self.place else {
            return Ok(());
        };
        // A system that does not say has room.
        let free = nix::sys::statvfs::statvfs(folder).map_or(u64::MAX, |s| {
            s.blocks_available().saturating_mul(s.fragment_size())
        });
        if free >= needed {
            return Ok(());
        }
        Err(OutputError::NoRoom {
            path: self.path.clone(),
            needed,
            free,
        })
    }

    /// Writes it. A file is written under a temporary name beside the old one, flushed to the disk
    /// and renamed: a reader sees the file that was there or the whole new one. Permissions and, as
    /// far as this user may set it, the owner of a file that was there stay.
    ///
    /// # Errors
    /// `write` fails, or the system does; of a file nothing is left then.
    pub fn write<E: From<io::Error>>(
        self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        let (folder, target) = match self.place {
            Place::File { folder, target } => (folder, target),
            Place::Through(file) => {
                let mut out = BufWriter::new(Through(file));
                write(&mut out)?;
                return Ok(out.flush()?);
            }
        };
        let before = fs::metadata(&target).ok();
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
        if before.is_none() {
            builder.permissions(PermissionsExt::from_mode(MODE));
        }
        let mut out = BufWriter::new(builder.tempfile_in(folder)?);
        write(&mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        if let Some(before) = before {
            keep_rights(file.as_file(), &before)?;
        }
        file.as_file().sync_all()?;
        file.persist(target).map_err(|e| e.error)?;
        Ok(())
    }
}

/// How names of temporary files begin and end.
const TEMPORARY: (&str, &str) = (".fqbert-", ".tmp");

/// Whether a file's name is one of those that files have while they are written.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1)
}

/// Writes a file that is there as a whole or not at all, see [`Output::whole`] and
/// [`Output::write`].
///
/// # Errors
/// Those of both.
pub fn write_atomically<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    Output::whole(path)
        .map_err(|e| E::from(e.into()))?
        .write(write)
}

/// Gives a new file the owner and the permissions of the one that it replaces.
fn keep_rights(file: &File, before: &Metadata) -> io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
        // Only root may give files away; a group of one's own anybody may set.
        let own = std::os::unix::fs::fchown(file, Some(before.uid()), Some(before.gid()));
        if own.is_err() {
            let _ = std::os::unix::fs::fchown(file, None, Some(before.gid()));
        }
    }
    file.set_permissions(PermissionsExt::from_mode(before.mode() & 0o777))
}

/// Follows symbolic links to where something is written. A link in `/proc/N/fd` is an open
/// descriptor, whose target is no name.
fn find(path: &Path, through: bool) -> Result<Place, OutputError> {
    let io = |doing| {
        move |source| OutputError::Io {
            doing,
            path: path.to_path_buf(),
            source,
        }
    };
    let refused = |found: String| OutputError::NotReplaceable {
        path: path.to_path_buf(),
        found,
        remedy: if through {
            "name a file, a pipe or a terminal"
        } else {
            "name a regular file, or one that does not exist yet"
        },
    };
    let mut target = path.to_path_buf();
    for _ in 0..LINKS {
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let folder = match folder.canonicalize() {
            Ok(folder) => folder,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let path = path.to_path_buf();
                return Err(OutputError::NoFolder { path, folder });
            }
            Err(e) => return Err(io("reach the folder of")(e)),
        };
        let Some(name) = target.file_name() else {
            return Err(refused("the name of a folder".into()));
        };
        target = folder.join(name);
        if is_descriptors(&folder) {
            if !through {
                return Err(refused("an open descriptor".into()));
            }
            return descriptor(&target).map(Place::Through).map_err(io("open"));
        }
        let found = match fs::symlink_metadata(&target) {
            Ok(found) => found,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(Place::File { folder, target });
            }
            Err(e) => return Err(io("look at")(e)),
        };
        if found.is_symlink() {
            let link = fs::read_link(&target).map_err(io("follow"))?;
            target = folder.join(link);
            continue;
        }
        return match Kind::of(found.file_type()) {
            Kind::Regular => Ok(Place::File { folder, target }),
            Kind::Pipe if through => {
                pipe(&target)
                    .map(Place::Through)
                    .map_err(|e| match e.raw_os_error() {
                        Some(libc::ENXIO) => refused("a pipe that nobody reads".into()),
                        _ => io("open")(e),
                    })
            }
            // To open another device is to do something with it.
            Kind::CharacterDevice if through && is_null_or_terminal(&found) => {
                pipe(&target).map(Place::Through).map_err(io("open"))
            }
            kind => Err(refused(kind.to_string())),
        };
    }
    Err(refused("a circle of symbolic links".into()))
}

/// `/proc/N/fd`, where `/dev/fd` leads to.
fn is_descriptors(folder: &Path) -> bool {
    folder.starts_with("/proc") && folder.ends_with("fd")
}

/// By the numbers of Linux's list of devices: `/dev/null`, consoles, serial lines and
/// pseudo-terminals.
fn is_null_or_terminal(metadata: &Metadata) -> bool {
    let number = metadata.rdev();
    match libc::major(number) {
        1 => libc::minor(number) == 3,
        4 | 5 | 136..=143 | 204 => true,
        _ => false,
    }
}

/// An open descriptor of this or another process. What standard output and standard error point to
/// is shared with who else writes there, position included.
fn descriptor(path: &Path) -> io::Result<File> {
    let own = path.starts_with(format!("/proc/{}", std::process::id()));
    let shared = match path.file_name().and_then(|name| name.to_str()) {
        Some("1") if own => io::stdout().as_fd().try_clone_to_owned()?,
        Some("2") if own => io::stderr().as_fd().try_clone_to_owned()?,
        _ => return pipe(path),
    };
    Ok(shared.into())
}

/// Opens for writing, without waiting for a reader, and without taking away what is there.
fn pipe(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
}

/// Writes through a descriptor that may not wait.
struct Through(File);

impl Write for Through {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
            let mut descriptors = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
            let within = PollTimeout::try_from(READER).unwrap_or(PollTimeout::MAX);
            if let Ok(0) = poll(&mut descriptors, within) {
                let seconds = READER.as_secs();
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("its reader took nothing for {seconds} s"),
                ));
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
