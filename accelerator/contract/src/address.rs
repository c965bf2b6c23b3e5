//! Newtypes for the numbers that must not be mixed up: device addresses, byte counts and
//! register offsets.

use std::fmt;

/// A physical byte address as the accelerator's DMA sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceAddress(pub u64);

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A byte offset into the register block (a multiple of 4 below the block's size).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegisterOffset(pub u32);

impl DeviceAddress {
    /// The address `offset` bytes further, or `None` past the end of the address space.
    pub const fn checked_add(self, offset: Bytes) -> Option<Self> {
        match self.0.checked_add(offset.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// Low 32 bits, as the `*_LOW` registers take them.
    pub const fn low(self) -> u32 {
        self.0 as u32
    }

    /// High 32 bits, as the `*_HIGH` registers take them.
    pub const fn high(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Display for DeviceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B", self.0)
    }
}

impl fmt::Display for RegisterOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#05x}", self.0)
    }
}
