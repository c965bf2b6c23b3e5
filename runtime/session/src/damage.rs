//! What was found changed in device memory, and where.

use std::fmt;

use fqbert_contract::device::Allocation;
use fqbert_contract::{Bytes, DeviceAddress};

use crate::batch::Extent;

/// What a part of device memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The model's packed weights, parameters and tables.
    Constants,
    /// The program of an extent, bound to its buffers.
    Code(Extent),
    /// The input of a run.
    Input(Extent),
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constants => write!(f, "the model's constants"),
            Self::Code(extent) => write!(f, "the program for {} tokens", extent.tokens),
            Self::Input(extent) => write!(f, "the input of {} tokens", extent.tokens),
        }
    }
}

/// Bytes of device memory that were not what was written there, in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What lies there.
    pub content: Content,
    /// Device address of the first byte that differs.
    pub address: DeviceAddress,
    /// Its offset in its buffer.
    pub offset: Bytes,
    /// How many bytes differ; 0 if all were right again when they were read once more.
    pub bytes: usize,
    /// The first of them as it was written.
    pub expected: u8,
    /// The first of them as it was read.
    pub found: u8,
}

impl Damage {
    /// Where `found` differs from `expected`, which lies from `offset` on.
    pub(crate) fn between(
        content: Content,
        buffer: Allocation,
        offset: u64,
        expected: &[u8],
        found: &[u8],
    ) -> Self {
        let pairs = || expected.iter().zip(found);
        let first = pairs().position(|(e, f)| e != f).unwrap_or(0);
        let at = |bytes: &[u8]| bytes.get(first).copied().unwrap_or(0);
        let offset = offset + first as u64;
        Self {
            content,
            address: DeviceAddress(buffer.address.0 + offset),
            offset: Bytes(offset),
            bytes: pairs().filter(|(e, f)| e != f).count(),
            expected: at(expected),
            found: at(found),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bytes == 0 {
            return write!(
                f,
                "{} was read otherwise once at offset {}, and right again",
                self.content, self.offset.0
            );
        }
        write!(
            f,
            "{} bytes of {} differ, the first at offset {} (device address {}): written {:#04x}, \
             read {:#04x}",
            self.bytes, self.content, self.offset.0, self.address, self.expected, self.found
        )
    }
}
