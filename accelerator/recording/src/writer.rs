//! Records to a file, within a bound.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tracing::warn;

use crate::format::{
    Begin, Data, End, Event, FORMAT_VERSION, FRAME_BYTES, LEAST_CHUNK, MAGIC, MOST_CHUNK,
    MOST_RECORD, Record, checksum, contract_digest,
};

/// Smallest bound of a recording.
pub const LEAST_LIMIT: u64 = 1 << 16;
/// Bound of a recording where nothing else is said.
pub const DEFAULT_LIMIT: u64 = 1 << 30;
/// Bytes kept free for the last record.
const END_ROOM: u64 = 64;

/// Why a recording cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is such a file. A recording is evidence: none is overwritten.
    #[error(
        "{} is there already; name another file for the recording, or remove it", path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The bound leaves no room for a recording.
    #[error("a recording of at most {bytes} bytes is too small; at least {LEAST_LIMIT} are needed")]
    Limit {
        /// The bound.
        bytes: u64,
    },
    /// The file cannot be made.
    #[error("cannot make the recording {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A file that only its owner may read: a recording holds what was asked and answered.
pub(crate) fn create(path: &Path) -> Result<File, CreateError> {
    let options = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    options.map_err(|source| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::AlreadyExists => CreateError::Exists { path },
            _ => CreateError::Io { path, source },
        }
    })
}

/// Where a recording stands.
enum State {
    /// It takes records.
    Open,
    /// It has its last record, or could not be written.
    Over,
}

/// Writes a recording. What goes wrong with it is told once, and never to the device's user: a
/// recording that fails must not fail what it records.
pub(crate) struct Writer<W: Write> {
    out: BufWriter<W>,
    /// What is told to the log.
    name: String,
    limit: u64,
    written: u64,
    chain: u32,
    /// Chunks by digest.
    chunks: HashMap<[u8; 32], u32>,
    state: State,
}

impl<W: Write> Writer<W> {
    /// Begins a recording of at most `limit` bytes.
    pub fn new(out: W, name: String, limit: u64, begin: Begin) -> io::Result<Self> {
        let mut header = Vec::from(MAGIC);
        header.extend(FORMAT_VERSION.to_le_bytes());
        header.extend(contract_digest());
        let mut writer = Self {
            out: BufWriter::new(out),
            name,
            limit,
            written: header.len() as u64,
            chain: crc32fast::hash(&header),
            chunks: HashMap::new(),
            state: State::Open,
        };
        writer.out.write_all(&header)?;
        writer.put(&Record::Begin(begin))?;
        writer.out.flush()?;
        Ok(writer)
    }

    /// Records a call with the bytes that went over.
    pub fn call(&mut self, mut event: Event, data: &[u8]) {
        self.attempt(|writer| {
            event.data = writer.data(data)?;
            writer.put(&Record::Call(event))
        });
    }

    /// Brings everything so far to the operating system.
    pub fn flush(&mut self) {
        self.attempt(|writer| writer.out.flush());
    }

    fn end(&mut self, end: End) {
        if matches!(self.state, State::Over) {
            return;
        }
        self.state = State::Over;
        let result = self
            .frame(&Record::End(end))
            .and_then(|(frame, chain)| self.write(&frame, chain))
            .and_then(|()| self.out.flush());
        if let Err(error) = result {
            warn!(%error, "the recording {} could not be ended", self.name);
        }
    }

    fn attempt(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) {
        if matches!(self.state, State::Over) {
            return;
        }
        if let Err(error) = write(self)
            && matches!(self.state, State::Open)
        {
            self.state = State::Over;
            warn!(%error, "the recording {} stops here; what it records goes on", self.name);
        }
    }

    /// Bytes as chunks, each stored once, and a tail.
    fn data(&mut self, bytes: &[u8]) -> io::Result<Data> {
        let mut data = Data::default();
        for part in bytes.chunks(MOST_CHUNK) {
            if part.len() < LEAST_CHUNK {
                data.tail = part.to_vec();
                break;
            }
            let digest: [u8; 32] = Sha256::digest(part).into();
            let number = match self.chunks.get(&digest) {
                Some(number) => *number,
                None => {
                    self.put(&Record::Chunk(part))?;
                    let number = self.chunks.len() as u32;
                    self.chunks.insert(digest, number);
                    number
                }
            };
            data.chunks.push(number);
        }
        Ok(data)
    }

    fn put(&mut self, record: &Record) -> io::Result<()> {
        let (frame, chain) = self.frame(record)?;
        if self.written + frame.len() as u64 + END_ROOM > self.limit {
            let bytes = self.limit;
            self.end(End::Limit { bytes });
            warn!(
                "the recording {} ends at its bound of {bytes} bytes; what it records goes on. \
                 Raise it with limit=, such as record:FILE?limit=4GiB,URI",
                self.name
            );
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.write(&frame, chain)
    }

    fn write(&mut self, frame: &[u8], chain: u32) -> io::Result<()> {
        self.out.write_all(frame)?;
        self.written += frame.len() as u64;
        self.chain = chain;
        Ok(())
    }

    /// A record as it is written, and the checksum that the next one goes on from.
    fn frame(&self, record: &Record) -> io::Result<(Vec<u8>, u32)> {
        let frame = postcard::to_extend(record, vec![0; FRAME_BYTES]);
        let mut frame = frame.map_err(io::Error::other)?;
        let (head, payload) = frame.split_at_mut(FRAME_BYTES);
        let chain = checksum(self.chain, payload);
        head[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        head[4..].copy_from_slice(&chain.to_le_bytes());
        if payload.len() > MOST_RECORD {
            // A call that moves hundreds of gigabytes.
            return Err(io::Error::other("a call is too large for a record"));
        }
        Ok((frame, chain))
    }
}

impl<W: Write> Drop for Writer<W> {
    fn drop(&mut self) {
        self.end(End::Closed);
    }
}
