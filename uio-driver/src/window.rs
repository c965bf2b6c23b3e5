//! A mapped range: the one place where an offset becomes a pointer.

use std::fs::File;

use memmap2::{MmapOptions, MmapRaw};

use crate::{Error, Result};

/// A range of a shared mapping, unmapped when dropped. Hands out pointers for checked ranges only;
/// [`MmapRaw`] makes no reference to the bytes, and neither does this.
#[derive(Debug)]
pub(crate) struct Window {
    map: MmapRaw,
    /// First byte of the range in the mapping.
    start: usize,
    /// Bytes of the range. `start + len <= map.len()`.
    len: usize,
    /// For messages.
    what: &'static str,
}

impl Window {
    /// Maps `map_len` bytes of `file` from `file_offset` and keeps `start..start + len` of them.
    pub(crate) fn new(
        file: &File,
        file_offset: u64,
        map_len: usize,
        start: usize,
        what: &'static str,
    ) -> std::io::Result<Self> {
        let len = map_len
            .checked_sub(start)
            .filter(|&len| len > 0 && isize::try_from(map_len).is_ok())
            .ok_or(std::io::ErrorKind::InvalidInput)?;
        let map = MmapOptions::new()
            .offset(file_offset)
            .len(map_len)
            .map_raw(file)?;
        Ok(Self {
            map,
            start,
            len,
            what,
        })
    }

    /// Bytes of the range.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Pointer to `len` bytes at `offset`, which `align` must divide.
    pub(crate) fn at(&self, offset: u64, len: usize, align: u64) -> Result<*mut u8> {
        let outside = || Error::OutOfRange {
            what: self.what,
            offset,
            len: len as u64,
            size: self.len as u64,
        };
        let from = usize::try_from(offset).map_err(|_| outside())?;
        if from.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(outside());
        }
        if !offset.is_multiple_of(align) {
            return Err(Error::Misaligned {
                what: self.what,
                offset,
                align,
            });
        }
        // `wrapping_add` needs no unsafe; the sum was checked to lie in the mapping.
        Ok(self
            .map
            .as_mut_ptr()
            .wrapping_add(self.start)
            .wrapping_add(from))
    }

    /// Copies `src` to `offset`.
    #[allow(unsafe_code)]
    pub(crate) fn write(&mut self, offset: u64, src: &[u8]) -> Result<()> {
        let dst = self.at(offset, src.len(), 1)?;
        // SAFETY: `at` checked that `src.len()` mapped bytes are at `dst`; the mapping lives as
        // long as `self`; `&mut self` keeps this process's other accesses away; `src` is ordinary
        // memory, which no mapping of a device overlaps.
        unsafe { crate::volatile::copy_to(dst, src) };
        Ok(())
    }

    /// Fills `dst` from `offset`.
    #[allow(unsafe_code)]
    pub(crate) fn read(&self, offset: u64, dst: &mut [u8]) -> Result<()> {
        let src = self.at(offset, dst.len(), 1)?;
        // SAFETY: as in `write`; `&self` excludes `write` and `fill`, and reads may overlap.
        unsafe { crate::volatile::copy_from(src, dst) };
        Ok(())
    }

    /// Sets `len` bytes from `offset` to `byte`.
    #[allow(unsafe_code)]
    pub(crate) fn fill(&mut self, offset: u64, byte: u8, len: usize) -> Result<()> {
        let dst = self.at(offset, len, 1)?;
        // SAFETY: as in `write`.
        unsafe { crate::volatile::fill(dst, byte, len) };
        Ok(())
    }
}
