//! Buffers of the `u-dma-buf` kernel module (<https://github.com/ikwzm/udmabuf>), by its sysfs
//! interface.
//!
//! The module allocates from CMA or from the node's `memory-region`, makes `/dev/NAME`, and keeps
//! `phys_addr`, `size`, `sync_mode`, `dma_coherent` and the sync attributes under
//! `/sys/class/u-dma-buf/NAME` (`/sys/class/udmabuf` before version 2). `O_SYNC` at open asks for
//! the uncached mapping that `sync_mode` selects.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{CacheMode, Direction, DmaMemory, check_range, to_usize};
use crate::cma::CmaInfo;
use crate::node::{LockWait, lock, open_node, page_size, require_file_length};
use crate::window::Window;
use crate::{Error, PhysAddr, Result, Roots, barrier, sysfs};

/// Cache line of the Cortex-A53. A sync covers whole lines: a partial one would drop the
/// neighbour's bytes.
const LINE: u64 = 64;

/// Class directories, newest name first.
const CLASSES: [&str; 2] = ["u-dma-buf", "udmabuf"];

/// An open, locked, mapped `u-dma-buf` buffer.
#[derive(Debug)]
pub struct UDmaBuf {
    name: String,
    sysfs: PathBuf,
    window: Window,
    base: PhysAddr,
    cache: CacheMode,
    /// Its open file description carries the lock.
    _file: File,
}

impl UDmaBuf {
    /// Opens the buffer of this name, with at least `need` bytes. With `cached`, the CPU works
    /// through its cache and every sync costs cache maintenance; without, every access goes to
    /// DRAM. Which is faster depends on how often a byte is touched between syncs.
    ///
    /// # Errors
    /// [`Error::ClassAbsent`], [`Error::NoSuchBuffer`] or [`Error::MemoryTooSmall`] (with CMA
    /// numbers and the boot argument), [`Error::Busy`], [`Error::Permission`].
    pub fn open(roots: &Roots, name: &str, need: u64, cached: bool) -> Result<Self> {
        let class = CLASSES.map(|class| roots.class(class));
        let class = class.iter().find(|dir| dir.is_dir()).unwrap_or(&class[0]);
        let found = sysfs::entries(class)?;
        if !found.iter().any(|have| have == name) {
            let cma = CmaInfo::read(roots).unwrap_or_default();
            let (name, class) = (name.to_owned(), class.clone());
            return Err(Error::NoSuchBuffer {
                name,
                class,
                found,
                need,
                cma,
            });
        }
        let dir = class.join(name);
        let size = sysfs::read_u64(&dir.join("size"))?;
        let base = PhysAddr(sysfs::read_u64(&dir.join("phys_addr"))?);
        if size < need {
            let cma = CmaInfo::read(roots).unwrap_or_default();
            let remedy = format!(
                "Set `size = <{need:#x}>` in its device-tree node and enlarge its memory-region; \
                 without one it comes from CMA (CmaTotal {} MiB, CmaFree {} MiB): boot with `{}`",
                cma.total >> 20,
                cma.free >> 20,
                cma.boot_argument(need)
            );
            return Err(Error::MemoryTooSmall {
                name: name.to_owned(),
                have: size,
                need,
                remedy,
            });
        }
        let page = page_size();
        if !base.0.is_multiple_of(page) || base.checked_add(size).is_none() {
            return Err(sysfs::bad(
                &dir.join("phys_addr"),
                &base.to_string(),
                "a page address",
            ));
        }
        let cache = cache_mode(&dir, cached)?;
        let dev = roots.dev.join(name);
        let file = open_node(roots, &dev, &dir, if cached { 0 } else { libc::O_SYNC })?;
        lock(roots, &file, &dev, LockWait::Refuse)?;
        let outside = || {
            sysfs::bad(
                &dir.join("size"),
                &size.to_string(),
                "a size above 0 that can be mapped",
            )
        };
        let len = usize::try_from(size)
            .ok()
            .filter(|&len| len > 0)
            .ok_or_else(outside)?;
        if roots.files_for_nodes {
            require_file_length(&file, &dev, size)?;
        }
        let window = Window::new(&file, 0, len, 0, "the DMA memory")
            .map_err(|source| Error::io("map", &dev, source))?;
        Ok(Self {
            name: name.to_owned(),
            sysfs: dir,
            window,
            base,
            cache,
            _file: file,
        })
    }

    /// One cache operation on whole lines around the range, by the packed form of the attribute:
    /// offset in bits 63..32, size in 31..4, direction in 3..2, "do it" in bit 0. One write, so
    /// that no other process's offset can slip between ours and the operation.
    fn sync(&self, attribute: &str, offset: u64, len: u64, direction: Direction) -> Result<()> {
        check_range(self.size(), offset, len)?;
        if self.cache != CacheMode::Cached || len == 0 {
            barrier::full();
            return Ok(());
        }
        let start = offset - offset % LINE;
        let end = (offset + len)
            .next_multiple_of(LINE)
            .min(self.size().next_multiple_of(LINE));
        let path = self.sysfs.join(attribute);
        let mut at = start;
        // The size field has 28 bits of 16 bytes: one operation covers less than 4 GiB.
        const STEP: u64 = 1 << 31;
        while at < end {
            let size = (end - at).min(STEP);
            let Ok(from) = u32::try_from(at) else {
                let reason = format!(
                    "offset {at:#x} does not fit the 32 bits of {}",
                    path.display()
                );
                return Err(Error::BadRequest { reason });
            };
            let low = size | ((direction as u64) << 2) | 1;
            sysfs::write(&path, format!("0x{from:08X}{low:08X}").as_bytes())?;
            at += size;
        }
        Ok(())
    }
}

/// What `sync_mode`, `dma_coherent` and the absence of `O_SYNC` (`cached`) make of the mapping:
/// modes 0 and 4 are cached always; 1, 2, 3 uncached, write-combining or DMA-coherent with
/// `O_SYNC`; 5, 6, 7 the same without it too.
fn cache_mode(dir: &Path, cached: bool) -> Result<CacheMode> {
    let path = dir.join("sync_mode");
    let mode = sysfs::read_u64(&path)?;
    // Absent in old versions of the module, which had no coherent buffers.
    let coherent = sysfs::read_u64(&dir.join("dma_coherent")).unwrap_or(0) == 1;
    let through_cache = if coherent {
        CacheMode::Coherent
    } else {
        CacheMode::Cached
    };
    Ok(match (mode, cached) {
        (0 | 4, _) | (1..=3, true) => through_cache,
        // Uncached normal or Device memory, by kernel version; keep to the stricter of the two.
        (1, false) | (5, _) => CacheMode::Device,
        (2 | 3, false) | (6 | 7, _) => CacheMode::WriteCombining,
        _ => {
            return Err(sysfs::bad(
                &path,
                &mode.to_string(),
                "a sync mode from 0 to 7",
            ));
        }
    })
}

impl DmaMemory for UDmaBuf {
    fn name(&self) -> &str {
        &self.name
    }

    fn base(&self) -> PhysAddr {
        self.base
    }

    fn size(&self) -> u64 {
        self.window.len() as u64
    }

    fn cache_mode(&self) -> CacheMode {
        self.cache
    }

    fn write(&mut self, offset: u64, src: &[u8]) -> Result<()> {
        self.window.write(offset, src)
    }

    fn read(&self, offset: u64, dst: &mut [u8]) -> Result<()> {
        self.window.read(offset, dst)
    }

    fn fill(&mut self, offset: u64, byte: u8, len: u64) -> Result<()> {
        let len = to_usize(self.size(), offset, len)?;
        self.window.fill(offset, byte, len)
    }

    fn sync_for_device(&mut self, offset: u64, len: u64, direction: Direction) -> Result<()> {
        self.sync("sync_for_device", offset, len, direction)
    }

    fn sync_for_cpu(&mut self, offset: u64, len: u64, direction: Direction) -> Result<()> {
        self.sync("sync_for_cpu", offset, len, direction)
    }
}
