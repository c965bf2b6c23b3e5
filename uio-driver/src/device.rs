//! An opened, locked UIO device.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dma::ReservedMemory;
use crate::node::{LockWait, lock, open_node, page_size, require_file_length};
use crate::window::Window;
use crate::{Error, Interrupt, MapInfo, Node, PhysAddr, Registers, Result, Roots, discover, sysfs};

/// A UIO device, open and exclusively locked. What it hands out keeps it locked: the lock is on the
/// open file description, which every mapping and the interrupt's descriptor share.
#[derive(Debug)]
pub struct UioDevice {
    node: Node,
    file: File,
    files_for_nodes: bool,
    interrupt_taken: AtomicBool,
}

impl UioDevice {
    /// Opens the device of this name, refusing when another process has it.
    ///
    /// # Errors
    /// Those of [`find`](crate::find), and [`Error::NodeAbsent`], [`Error::WrongNode`],
    /// [`Error::Permission`], [`Error::Busy`].
    pub fn open(roots: &Roots, name: &str) -> Result<Self> {
        Self::open_with(roots, name, LockWait::Refuse)
    }

    /// As [`UioDevice::open`], waiting for the lock if told to.
    ///
    /// # Errors
    /// As [`UioDevice::open`].
    pub fn open_with(roots: &Roots, name: &str, wait: LockWait) -> Result<Self> {
        let node = discover::find(roots, name)?;
        let file = open_node(roots, &node.dev, &node.sysfs, libc::O_NONBLOCK)?;
        lock(roots, &file, &node.dev, wait)?;
        tracing::debug!(name, dev = %node.dev.display(), "opened and locked");
        let files_for_nodes = roots.files_for_nodes;
        Ok(Self {
            node,
            file,
            files_for_nodes,
            interrupt_taken: AtomicBool::new(false),
        })
    }

    /// What sysfs says of it.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Interrupts since the driver was bound, as sysfs counts them.
    ///
    /// # Errors
    /// [`Error::DeviceGone`] when the driver was unbound.
    pub fn event_count(&self) -> Result<u32> {
        sysfs::read_count(&self.node.sysfs.join("event")).map_err(|error| match error {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Error::DeviceGone {
                    name: self.node.name.clone(),
                }
            }
            other => other,
        })
    }

    /// Maps map `index` as registers, at least `need` bytes of them.
    ///
    /// # Errors
    /// [`Error::NoSuchMap`], [`Error::MapTooSmall`], [`Error::BadMap`], [`Error::Io`] from `mmap`.
    pub fn registers(&self, index: usize, need: u64) -> Result<Registers> {
        let (window, addr) = self.window(index, need, "the register map")?;
        Ok(Registers::new(window, addr))
    }

    /// Maps map `index` as DMA memory: a reserved-memory range that the device tree gave to this
    /// node.
    ///
    /// # Errors
    /// As [`UioDevice::registers`]; [`Error::MemoryTooSmall`] with what to change.
    pub fn memory(&self, index: usize, need: u64) -> Result<ReservedMemory> {
        let map = self.map(index)?;
        if map.usable() < need {
            return Err(Error::MemoryTooSmall {
                name: self.node.name.clone(),
                have: map.usable(),
                need,
                remedy: format!(
                    "Enlarge the reserved range at {}: set the size to at least {:#x} in `reg` of \
                     both its reserved-memory node and the node `{}`, then reboot (a reservation \
                     is made at boot)",
                    map.addr,
                    need.next_multiple_of(1 << 20),
                    self.node.name
                ),
            });
        }
        let (window, addr) = self.window(index, need, "the DMA memory")?;
        Ok(ReservedMemory::new(self.node.name.clone(), window, addr))
    }

    /// The device's interrupt. Given once.
    ///
    /// # Errors
    /// [`Error::InterruptTaken`] the second time; [`Error::Io`] when out of descriptors.
    pub fn interrupt(&self) -> Result<Interrupt> {
        // Read before the claim: an error must not use up the one interrupt.
        let count = self.event_count()?;
        let name = || self.node.name.clone();
        if self.interrupt_taken.swap(true, Ordering::AcqRel) {
            return Err(Error::InterruptTaken { name: name() });
        }
        let fd = self
            .file
            .try_clone()
            .map_err(|e| Error::io("duplicate", &self.node.dev, e))?;
        Interrupt::from_fd(name(), OwnedFd::from(fd), count)
    }

    fn map(&self, index: usize) -> Result<&MapInfo> {
        self.node
            .maps
            .iter()
            .find(|map| map.index == index)
            .ok_or_else(|| Error::NoSuchMap {
                name: self.node.name.clone(),
                index,
                have: self.node.maps.len(),
            })
    }

    /// Maps exactly the map's size and keeps the device's own range of it.
    fn window(&self, index: usize, need: u64, what: &'static str) -> Result<(Window, PhysAddr)> {
        let map = self.map(index)?;
        let bad = |reason: String| Error::BadMap {
            name: self.node.name.clone(),
            index,
            reason,
        };
        let page = page_size();
        if map.usable() < need || map.usable() == 0 {
            return Err(Error::MapTooSmall {
                name: self.node.name.clone(),
                index,
                addr: map.addr,
                have: map.usable(),
                need,
            });
        }
        // uio_mmap_physical() refuses both with ENODEV and EINVAL; say which it was.
        if !map.addr.0.is_multiple_of(page) || !map.size.is_multiple_of(page) {
            return Err(bad(format!(
                "address {} and size {:#x} must be multiples of the page size {page:#x}; correct \
                 `reg` in the device tree",
                map.addr, map.size
            )));
        }
        if map.offset >= page || !map.offset.is_multiple_of(8) {
            return Err(bad(format!(
                "offset {:#x} is not an aligned place in its first page",
                map.offset
            )));
        }
        let start = map
            .start()
            .ok_or_else(|| bad("its address overflows".to_owned()))?;
        if map.addr.checked_add(map.size).is_none() {
            return Err(bad(format!(
                "{} + {:#x} overflows the address space",
                map.addr, map.size
            )));
        }
        let file_offset = (index as u64)
            .checked_mul(page)
            .ok_or_else(|| bad("its index overflows the file offset".to_owned()))?;
        let size = usize::try_from(map.size)
            .map_err(|_| bad("larger than the address space".to_owned()))?;
        if self.files_for_nodes {
            require_file_length(
                &self.file,
                &self.node.dev,
                file_offset.saturating_add(map.size),
            )?;
        }
        let window = Window::new(&self.file, file_offset, size, map.offset as usize, what)
            .map_err(|source| Error::io("map", &self.node.dev, source))?;
        Ok((window, start))
    }
}
