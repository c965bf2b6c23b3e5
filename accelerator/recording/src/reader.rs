//! Records of a file, as far as they are whole.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fqbert_contract::RegisterOffset;
use fqbert_contract::capability::{Capabilities, IdentityError};

use crate::format::{
    Begin, Call, Data, End, Event, FORMAT_VERSION, FRAME_BYTES, HEADER_BYTES, LEAST_CHUNK, MAGIC,
    MOST_CHUNK, MOST_RECORD, Record, checksum, contract_digest,
};

/// Why a file is not read as a recording.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("cannot read the recording {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a folder, a device or a pipe.
    #[error("{} is no regular file, and so no recording", path.display())]
    NotAFile {
        /// What it is called.
        path: PathBuf,
    },
    /// It begins with something else.
    #[error("{} is no recording of an accelerator: {what}", path.display())]
    NotARecording {
        /// The file.
        path: PathBuf,
        /// What is wrong with its beginning.
        what: &'static str,
    },
    /// It is of another version of the format.
    #[error(
        "{} is a recording of format {found}; this version of fqbert reads format \
         {FORMAT_VERSION}: use the fqbert that recorded it, or record again", path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// What it says of its device is no device of this contract.
    #[error("{}: {source}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: IdentityError,
    },
}

/// How a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The device was closed.
    Closed,
    /// It had reached its bound.
    Limit {
        /// The bound in bytes.
        bytes: u64,
    },
    /// The file ends without a last record: what recorded was ended, or still runs.
    Cut {
        /// Bytes of whole records.
        offset: u64,
    },
    /// What follows is no record.
    Damaged {
        /// Bytes of good records.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "the device was closed"),
            Self::Limit { bytes } => {
                write!(f, "the recording had reached its bound of {bytes} bytes")
            }
            Self::Cut { offset } => write!(
                f,
                "the file ends at byte {offset} without a last record: what recorded was ended, or \
                 still runs"
            ),
            Self::Damaged { offset, what } => {
                write!(f, "the file is damaged from byte {offset} on: {what}")
            }
        }
    }
}

/// Where a chunk lies in the file.
struct Place {
    offset: u64,
    length: u32,
    checksum: u32,
}

/// A recording that is read. Memory is taken for one record, and for the place of each chunk.
pub struct Recording {
    path: PathBuf,
    input: BufReader<File>,
    begin: Begin,
    capabilities: Capabilities,
    same_contract: bool,
    chunks: Vec<Place>,
    chain: u32,
    /// Bytes and records so far.
    offset: u64,
    records: u64,
    ending: Option<Ending>,
    buffer: Vec<u8>,
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    /// See [`ReadError`]. Damage after the first record is no error: see [`Recording::ending`].
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Io {
            path: path.to_owned(),
            source,
        };
        let not = |what| ReadError::NotARecording {
            path: path.to_owned(),
            what,
        };
        // A FIFO is opened, and refused, without waiting for its writer.
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path);
        let file = file.map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(ReadError::NotAFile {
                path: path.to_owned(),
            });
        }
        let mut input = BufReader::new(file);
        let mut header = [0; HEADER_BYTES];
        match input.read_exact(&mut header) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(not("it is too short"));
            }
            Err(e) => return Err(failed(e)),
        }
        let Some((magic, rest)) = header.split_first_chunk::<8>() else {
            return Err(not("it is too short"));
        };
        if *magic != MAGIC {
            return Err(not("it does not begin with FQBTREC"));
        }
        let (version, digest) = rest.split_at(4);
        let found = version.iter().rev().fold(0, |v, b| v << 8 | u32::from(*b));
        if found != FORMAT_VERSION {
            return Err(ReadError::Version {
                path: path.to_owned(),
                found,
            });
        }
        let mut recording = Self {
            path: path.to_owned(),
            input,
            begin: Begin::default(),
            capabilities: Capabilities::of(fqbert_contract::Geometry::presets()[0]),
            same_contract: *digest == contract_digest(),
            chunks: Vec::new(),
            chain: crc32fast::hash(&header),
            offset: HEADER_BYTES as u64,
            records: 0,
            ending: None,
            buffer: Vec::new(),
        };
        recording.begin = match recording.record()? {
            Some(Item::Begin(begin)) => begin,
            _ => return Err(not("its first record is missing or damaged")),
        };
        let identity = recording.begin.identity.iter().copied();
        let values = identity.collect::<std::collections::BTreeMap<_, _>>();
        let read = |register: RegisterOffset| {
            Ok::<_, std::convert::Infallible>(values.get(&register.0).copied().unwrap_or(0))
        };
        let Ok(capabilities) = Capabilities::read(read);
        recording.capabilities = capabilities.map_err(|source| ReadError::Identity {
            path: path.to_owned(),
            source,
        })?;
        Ok(recording)
    }

    /// What was recorded.
    pub fn begin(&self) -> &Begin {
        &self.begin
    }

    /// What the recorded device said that it is.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Whether registers, instructions and geometries were those of this version of the contract.
    pub fn same_contract(&self) -> bool {
        self.same_contract
    }

    /// How the recording ends, once [`Recording::next_call`] has given all calls.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The next call with the number of its record (the first record is 0), or none at the end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_call(&mut self) -> Result<Option<(u64, Event)>, ReadError> {
        while self.ending.is_none() {
            match self.record()? {
                Some(Item::Call(event)) => {
                    let number = self.records - 1;
                    match self.length(&event.data) {
                        Some(length) if fits(&event, length) => {
                            return Ok(Some((number, event)));
                        }
                        _ => self.damaged("a call has other data than it says"),
                    }
                }
                Some(Item::Chunk) => {}
                Some(Item::End(End::Closed)) => self.ending = Some(Ending::Closed),
                Some(Item::End(End::Limit { bytes })) => {
                    self.ending = Some(Ending::Limit { bytes });
                }
                Some(Item::Begin(_)) => self.damaged("it begins a second time"),
                None => {}
            }
        }
        Ok(None)
    }

    /// Calls `each` with the parts of the bytes of a call: each with its offset, of at most
    /// a MiB.
    ///
    /// # Errors
    /// The file cannot be read, or has changed since the chunk was read first; or what `each`
    /// returns.
    pub fn parts<E: From<ReadError>>(
        &self,
        data: &Data,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut at = 0;
        let mut buffer = Vec::new();
        for number in &data.chunks {
            let Some(place) = self.chunks.get(*number as usize) else {
                // `next_call` has looked at every number.
                continue;
            };
            buffer.resize(place.length as usize, 0);
            let file = self.input.get_ref();
            let read = file.read_exact_at(&mut buffer, place.offset);
            read.and_then(|()| match crc32fast::hash(&buffer) == place.checksum {
                true => Ok(()),
                false => Err(io::Error::other("the file has changed while it was read")),
            })
            .map_err(|source| ReadError::Io {
                path: self.path.clone(),
                source,
            })?;
            each(at, &buffer)?;
            at += buffer.len() as u64;
        }
        if !data.tail.is_empty() {
            each(at, &data.tail)?;
        }
        Ok(())
    }

    /// Bytes of a call's data, if all of its chunks are there.
    fn length(&self, data: &Data) -> Option<u64> {
        let mut length = data.tail.len() as u64;
        for number in &data.chunks {
            length += u64::from(self.chunks.get(*number as usize)?.length);
        }
        Some(length)
    }

    fn damaged(&mut self, what: &'static str) {
        let offset = self.offset;
        self.ending = Some(Ending::Damaged { offset, what });
    }

    /// The next record; none where the file has no whole one.
    fn record(&mut self) -> Result<Option<Item>, ReadError> {
        let failed = |path: &Path, source| ReadError::Io {
            path: path.to_owned(),
            source,
        };
        let mut head = [0; FRAME_BYTES];
        if !read_whole(&mut self.input, &mut head).map_err(|e| failed(&self.path, e))? {
            let offset = self.offset;
            self.ending = Some(Ending::Cut { offset });
            return Ok(None);
        }
        let words = head.as_chunks::<4>().0;
        let length = u32::from_le_bytes(words[0]) as usize;
        if length > MOST_RECORD {
            self.damaged("a record is longer than any is");
            return Ok(None);
        }
        self.buffer.resize(length, 0);
        if !read_whole(&mut self.input, &mut self.buffer).map_err(|e| failed(&self.path, e))? {
            let offset = self.offset;
            self.ending = Some(Ending::Cut { offset });
            return Ok(None);
        }
        let chain = checksum(self.chain, &self.buffer);
        if chain != u32::from_le_bytes(words[1]) {
            self.damaged("the checksum of a record is wrong");
            return Ok(None);
        }
        let start = self.offset + FRAME_BYTES as u64;
        let end = start + length as u64;
        let item = match postcard::take_from_bytes(&self.buffer) {
            Ok((record, [])) => match record {
                Record::Begin(begin) => Item::Begin(begin),
                Record::Chunk(bytes) => {
                    if !(LEAST_CHUNK..=MOST_CHUNK).contains(&bytes.len()) {
                        self.damaged("a chunk is shorter or longer than any is");
                        return Ok(None);
                    }
                    // A chunk is the last of its record.
                    let place = Place {
                        offset: end - bytes.len() as u64,
                        length: bytes.len() as u32,
                        checksum: crc32fast::hash(bytes),
                    };
                    self.chunks.push(place);
                    Item::Chunk
                }
                Record::Call(event) => Item::Call(event),
                Record::End(end) => Item::End(end),
            },
            _ => {
                self.damaged("a record does not decode");
                return Ok(None);
            }
        };
        self.offset = end;
        self.chain = chain;
        self.records += 1;
        Ok(Some(item))
    }
}

/// A record without what lies in the reader's buffer.
enum Item {
    Begin(Begin),
    Chunk,
    Call(Event),
    End(End),
}

/// Fills a buffer; false at the end of the file.
fn read_whole(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether a call has as many bytes as it says.
fn fits(event: &Event, length: u64) -> bool {
    use crate::format::Answer;
    match (&event.call, &event.answer) {
        (Call::Write(range), _) | (Call::Read(range), Answer::Done) => length == range.length,
        _ => length == 0,
    }
}
