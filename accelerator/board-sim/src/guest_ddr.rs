//! The guest's DDR, mapped from the file that backs it.
#![allow(unsafe_code)]

use memmap2::MmapRaw;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Why the memory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DdrError {
    /// The file behind `-object memory-backend-file` could not be mapped.
    #[error("cannot map the guest's memory {}: {source}", path.display())]
    Map {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A device address outside DDR: on a board this is an AXI decode error.
    #[error("{len} bytes at {address:#x} are outside DDR ({base:#x}..{end:#x})")]
    Range {
        /// First byte of the access.
        address: u64,
        /// Length of the access.
        len: u64,
        /// First address of DDR.
        base: u64,
        /// One past the last address of DDR.
        end: u64,
    },
    /// A 32-bit access that is not aligned.
    #[error("32-bit access at {address:#x} is not aligned")]
    Unaligned {
        /// Its address.
        address: u64,
    },
}

/// The guest's physical memory. Accessed by copy only: the guest's CPUs change it at any time, so a
/// Rust reference into it would be a promise nobody keeps.
pub struct GuestDdr {
    map: MmapRaw,
    base: u64,
}

impl GuestDdr {
    /// Maps the file behind the guest's memory, whose first byte has physical address `base`.
    ///
    /// # Errors
    /// [`DdrError::Map`].
    pub fn open(path: &Path, base: u64) -> Result<Self, DdrError> {
        let fail = |source| DdrError::Map {
            path: path.to_owned(),
            source,
        };
        let file = File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(fail)?;
        Ok(Self {
            map: MmapRaw::map_raw(&file).map_err(fail)?,
            base,
        })
    }

    /// First physical address.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.map.len() as u64
    }

    /// The offset of `address`, when all `len` bytes are inside.
    fn offset(&self, address: u64, len: u64) -> Result<usize, DdrError> {
        address
            .checked_sub(self.base)
            .filter(|offset| {
                offset
                    .checked_add(len)
                    .is_some_and(|end| end <= self.size())
            })
            .and_then(|offset| usize::try_from(offset).ok())
            .ok_or(DdrError::Range {
                address,
                len,
                base: self.base,
                end: self.base.saturating_add(self.size()),
            })
    }

    /// Copies out of DDR.
    ///
    /// # Errors
    /// [`DdrError::Range`]; nothing is copied then.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<(), DdrError> {
        let offset = self.offset(address, into.len() as u64)?;
        // SAFETY: `offset` checked that the range lies inside the mapping, which lives as long as
        // `self`; `into` is a Rust slice and cannot overlap it.
        unsafe {
            self.map
                .as_ptr()
                .add(offset)
                .copy_to_nonoverlapping(into.as_mut_ptr(), into.len())
        };
        Ok(())
    }

    /// Copies into DDR.
    ///
    /// # Errors
    /// [`DdrError::Range`]; nothing is copied then.
    pub fn write(&mut self, address: u64, from: &[u8]) -> Result<(), DdrError> {
        let offset = self.offset(address, from.len() as u64)?;
        // SAFETY: as in `read`; the mapping was made writable.
        unsafe {
            self.map
                .as_mut_ptr()
                .add(offset)
                .copy_from_nonoverlapping(from.as_ptr(), from.len())
        };
        Ok(())
    }

    /// One aligned word, as the guest's CPUs exchange it with us: never torn.
    fn word(&self, address: u64) -> Result<&AtomicU32, DdrError> {
        let offset = self.offset(address, 4)?;
        if !address.is_multiple_of(4) || !offset.is_multiple_of(4) {
            return Err(DdrError::Unaligned { address });
        }
        // SAFETY: in bounds and aligned (the mapping starts at a page); the guest changes the word
        // behind our back, which is what an atomic is for; it lives as long as `self`.
        Ok(unsafe { AtomicU32::from_ptr(self.map.as_mut_ptr().add(offset).cast()) })
    }

    /// Reads one little-endian word.
    ///
    /// # Errors
    /// [`DdrError::Range`] or [`DdrError::Unaligned`].
    pub fn read32(&self, address: u64) -> Result<u32, DdrError> {
        self.word(address)
            .map(|word| u32::from_le(word.load(Ordering::Acquire)))
    }

    /// Writes one little-endian word.
    ///
    /// # Errors
    /// [`DdrError::Range`] or [`DdrError::Unaligned`].
    pub fn write32(&mut self, address: u64, value: u32) -> Result<(), DdrError> {
        self.word(address)
            .map(|word| word.store(value.to_le(), Ordering::Release))
    }
}
