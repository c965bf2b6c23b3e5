//! What a recording consists of; `docs/recording.md` says it for readers of the file.
//!
//! A header of [`HEADER_BYTES`] and records: a length (`u32`), a checksum (`u32`), and so many
//! bytes, a [`Record`] in postcard's encoding. A checksum is the CRC-32 of length and bytes that
//! begins with the one of the record before, so that no record can be left out or moved either.

use fqbert_contract::device::{BufferId, MemoryInfo};
use fqbert_contract::registers::{BLOCK_BYTES, DOORBELL};
use fqbert_contract::{Bytes, DeviceAddress, RegisterOffset};
use serde::{Deserialize, Serialize};
use std::fmt;

use crate::failure::Failure;

/// First bytes of a recording.
pub(crate) const MAGIC: [u8; 8] = *b"FQBTREC\n";
/// Version of the format. Readers take this one.
pub const FORMAT_VERSION: u32 = 1;
/// Magic number, version, SHA-256 of the contract's sources.
pub(crate) const HEADER_BYTES: usize = 8 + 4 + 32;
/// Length and checksum before a record.
pub(crate) const FRAME_BYTES: usize = 8;
/// Data of fewer bytes lie in the record of their call; more are cut into chunks.
pub(crate) const LEAST_CHUNK: usize = 4096;
/// Most bytes of a chunk.
pub(crate) const MOST_CHUNK: usize = 1 << 20;
/// Most bytes of a record: a chunk with its length, or a call.
pub(crate) const MOST_RECORD: usize = MOST_CHUNK + 64;

/// SHA-256 of the contract's sources one after the other: registers, instruction set, geometries.
pub fn contract_digest() -> [u8; 32] {
    let digits = fqbert_contract::CONTRACT_SHA256.as_bytes();
    let digit = |at: usize| char::from(digits[at]).to_digit(16).unwrap_or(0) as u8;
    std::array::from_fn(|i| digit(2 * i) << 4 | digit(2 * i + 1))
}

/// The checksum of a record after one of checksum `before`.
pub(crate) fn checksum(before: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(&(payload.len() as u32).to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// A record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Record<'a> {
    /// The first: what was recorded.
    Begin(Begin),
    /// Bytes that calls refer to by the number of this chunk, counted from 0.
    Chunk(#[serde(borrow)] &'a [u8]),
    /// A call of the device.
    Call(Event),
    /// The last.
    End(End),
}

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// Name and version of the program that recorded.
    pub software: String,
    /// URI of the device.
    pub device: String,
    /// Programs were run step by step: see [`StepsDevice`](crate::StepsDevice).
    pub steps: bool,
    /// When, in milliseconds since 1970.
    pub started_ms: u64,
    /// The capability registers: offset and value.
    pub identity: Vec<(u32, u32)>,
    /// The device's memory.
    pub memory: Memory,
}

/// [`MemoryInfo`] as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    base: u64,
    total: u64,
    free: u64,
    largest_free: u64,
}

impl From<MemoryInfo> for Memory {
    fn from(info: MemoryInfo) -> Self {
        Self {
            base: info.base.0,
            total: info.total.0,
            free: info.free.0,
            largest_free: info.largest_free.0,
        }
    }
}

impl From<Memory> for MemoryInfo {
    fn from(memory: Memory) -> Self {
        Self {
            base: DeviceAddress(memory.base),
            total: Bytes(memory.total),
            free: Bytes(memory.free),
            largest_free: Bytes(memory.largest_free),
        }
    }
}

/// A call of the device, and what it gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it was called, in microseconds since the recording began.
    pub at_us: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// The call.
    pub call: Call,
    /// What it gave.
    pub answer: Answer,
    /// The bytes that were written or read.
    pub data: Data,
}

/// A call of the device. The bytes of a write or read are beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Memory was reserved.
    Allocate {
        /// Bytes asked for.
        size: u64,
    },
    /// A buffer was given back.
    Free {
        /// Its number.
        buffer: u32,
    },
    /// Bytes were copied into the CPU's view of a buffer.
    Write(Range),
    /// Bytes were copied out of it.
    Read(Range),
    /// A range was handed to the device.
    SyncToDevice(Range),
    /// A range was taken over from it.
    SyncToCpu(Range),
    /// A register was read.
    ReadRegister {
        /// Its offset.
        offset: u32,
    },
    /// A register was written.
    WriteRegister {
        /// Its offset.
        offset: u32,
        /// The value.
        value: u32,
    },
    /// The interrupt was waited for.
    WaitInterrupt {
        /// Microseconds that were left until the deadline.
        within_us: u64,
    },
    /// The device was reset.
    Reset,
}

/// A part of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The buffer's number.
    pub buffer: u32,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

impl Range {
    pub(crate) fn new(buffer: BufferId, offset: Bytes, length: u64) -> Self {
        Self {
            buffer: buffer.0,
            offset: offset.0,
            length,
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            buffer,
            offset,
            length,
        } = self;
        write!(f, "{length} bytes at {offset} of buffer {buffer}")
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allocate { size } => write!(f, "allocate {size} bytes"),
            Self::Free { buffer } => write!(f, "free buffer {buffer}"),
            Self::Write(range) => write!(f, "write {range}"),
            Self::Read(range) => write!(f, "read {range}"),
            Self::SyncToDevice(range) => write!(f, "sync to the device {range}"),
            Self::SyncToCpu(range) => write!(f, "sync to the CPU {range}"),
            Self::ReadRegister { offset } => {
                write!(f, "read register {}", RegisterOffset(*offset))
            }
            Self::WriteRegister { offset, value } => {
                write!(
                    f,
                    "write {value:#x} to register {}",
                    RegisterOffset(*offset)
                )
            }
            Self::WaitInterrupt { .. } => write!(f, "wait for the interrupt"),
            Self::Reset => write!(f, "reset"),
        }
    }
}

impl Call {
    /// Whether this is the same call; how long an interrupt is waited for does not matter.
    pub(crate) fn is(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::WaitInterrupt { .. }, Self::WaitInterrupt { .. })
        ) || self == other
    }

    /// Whether it starts a program.
    pub(crate) fn rings(&self) -> bool {
        const { assert!(DOORBELL.0 < BLOCK_BYTES) };
        matches!(self, Self::WriteRegister { offset, .. } if *offset == DOORBELL.0)
    }
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing but that it is done; a read gave [`Event::data`].
    Done,
    /// A buffer, and the memory that is left.
    Allocated {
        /// Its number.
        buffer: u32,
        /// Its address.
        address: u64,
        /// The memory after it.
        memory: Memory,
    },
    /// A buffer was freed; the memory there is now.
    Freed {
        /// The memory after it.
        memory: Memory,
    },
    /// A register's value, or the number of interrupts.
    Value(u32),
    /// An error.
    Failed(Failure),
}

/// Bytes of a call: chunks of the recording one after the other, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Numbers of chunks.
    pub(crate) chunks: Vec<u32>,
    /// Fewer than [`LEAST_CHUNK`] bytes.
    pub(crate) tail: Vec<u8>,
}

/// How a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// The device was closed.
    Closed,
    /// The recording has reached its bound; calls went on.
    Limit {
        /// The bound in bytes.
        bytes: u64,
    },
}
