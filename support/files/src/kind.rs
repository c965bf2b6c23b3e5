//! What an entry of a folder is, in words.

use std::fmt;
use std::fs::FileType;
use std::os::unix::fs::FileTypeExt;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes on a disk.
    Regular,
    /// A folder.
    Folder,
    /// A named pipe, or one end of a pipe.
    Pipe,
    /// A character device, such as a terminal or `/dev/zero`.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A socket.
    Socket,
}

impl Kind {
    /// The kind of a file type, which is no symbolic link's.
    pub(crate) fn of(kind: FileType) -> Self {
        if kind.is_dir() {
            Self::Folder
        } else if kind.is_fifo() {
            Self::Pipe
        } else if kind.is_char_device() {
            Self::CharacterDevice
        } else if kind.is_block_device() {
            Self::BlockDevice
        } else if kind.is_socket() {
            Self::Socket
        } else {
            Self::Regular
        }
    }

    /// What to do where a regular file is read.
    pub(crate) fn instead_of_reading(self) -> &'static str {
        match self {
            Self::Regular => "try again",
            Self::Folder => "name a file in it",
            Self::Pipe => "write what comes through it to a file and name that",
            Self::CharacterDevice | Self::BlockDevice => {
                "copy what is wanted of it to a file and name that"
            }
            Self::Socket => "write what it sends to a file and name that",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regular => "a regular file",
            Self::Folder => "a folder",
            Self::Pipe => "a pipe (FIFO)",
            Self::CharacterDevice => "a character device",
            Self::BlockDevice => "a block device",
            Self::Socket => "a socket",
        })
    }
}
