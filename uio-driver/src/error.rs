//! What can go wrong between a name and a mapped, interrupting device; each with its remedy.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::PhysAddr;

/// Result of this crate's device and DMA calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refusal or failure of the UIO and DMA layers. The text ends in what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The class directory is absent: no driver of that class is in the kernel.
    #[error(
        "{} does not exist: the kernel has no such driver loaded. For UIO: `modprobe \
         uio_pdrv_genirq of_id=generic-uio` (or boot with `uio_pdrv_genirq.of_id=generic-uio`); \
         for u-dma-buf: load its module",
        class.display()
    )]
    ClassAbsent {
        /// `.../class/uio`, `.../class/u-dma-buf` or the like.
        class: PathBuf,
    },

    /// No device of this name is in the class.
    #[error(
        "no device is named `{name}` in {} (there: {}). Is the device-tree overlay applied, and is \
         `uio_pdrv_genirq.of_id=generic-uio` on the kernel command line?",
        class.display(), list_or_none(found)
    )]
    NoSuchDevice {
        /// The name asked for.
        name: String,
        /// The directory searched.
        class: PathBuf,
        /// Names that are there.
        found: Vec<String>,
    },

    /// No `u-dma-buf` buffer is registered under this name.
    #[error(
        "no buffer is named `{name}` in {} (there: {}). The module registers a buffer only when \
         its allocation succeeded: look into dmesg; for {need} bytes from CMA (CmaTotal {} MiB, \
         CmaFree {} MiB) boot with `{}`, or give the node a memory-region",
        class.display(), list_or_none(found), cma.total >> 20, cma.free >> 20,
        cma.boot_argument(*need)
    )]
    NoSuchBuffer {
        /// The name asked for.
        name: String,
        /// The directory searched.
        class: PathBuf,
        /// Names that are there.
        found: Vec<String>,
        /// Bytes wanted.
        need: u64,
        /// The kernel's contiguous memory.
        cma: crate::cma::CmaInfo,
    },

    /// Several devices carry the name: choosing one would be guessing.
    #[error(
        "{} devices are named `{name}`: {}. Names must be unique: give each node its own \
         `linux,uio-name`, or remove the overlay that was applied twice",
        nodes.len(), nodes.join(", ")
    )]
    AmbiguousName {
        /// The name asked for.
        name: String,
        /// The nodes that carry it (`uio0`, `uio3`).
        nodes: Vec<String>,
    },

    /// The kernel knows the device, `/dev` does not.
    #[error(
        "{} is absent although the kernel has the device. Mount devtmpfs on /dev, or in a \
         container pass the node in (`--device {}`)",
        path.display(), path.display()
    )]
    NodeAbsent {
        /// The missing node.
        path: PathBuf,
    },

    /// The node in `/dev` is not the device that sysfs describes.
    #[error(
        "{} is not the character device {}:{} that sysfs describes (it is {found}). A stale or \
         hand-made node: remove it and let devtmpfs or udev make it",
        path.display(), major, minor
    )]
    WrongNode {
        /// The node.
        path: PathBuf,
        /// Major number expected.
        major: u64,
        /// Minor number expected.
        minor: u64,
        /// What the node is.
        found: String,
    },

    /// The user may not open it.
    #[error(
        "no permission to {op} {}. Install the udev rule of device-tree/udev into \
         /etc/udev/rules.d, run `udevadm control --reload && udevadm trigger`, and join its group \
         (`usermod -aG fpga $USER`, then log in again)",
        path.display()
    )]
    Permission {
        /// What was tried.
        op: &'static str,
        /// On which file.
        path: PathBuf,
    },

    /// Another process holds the device.
    #[error(
        "{} is in use by {}. One process drives a device at a time: stop the other, or wait for it \
         with `LockWait::For`",
        path.display(), holder.map_or("another process".to_owned(), |p| format!("process {p}"))
    )]
    Busy {
        /// The locked node.
        path: PathBuf,
        /// Who holds it, where `/proc/locks` tells.
        holder: Option<u32>,
    },

    /// Any other failure of the operating system.
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },

    /// A sysfs attribute does not read as what it should be.
    #[error(
        "{} holds `{value}` where {expected} belongs. Is this sysfs, and is the driver the one \
         meant?",
        path.display()
    )]
    BadAttribute {
        /// The attribute.
        path: PathBuf,
        /// Its content, cut to a line.
        value: String,
        /// What was expected.
        expected: &'static str,
    },

    /// The device has no such map.
    #[error(
        "`{name}` has {have} memory map(s), map {index} was asked for. The device-tree node's \
         `reg` must have an entry for each map"
    )]
    NoSuchMap {
        /// The device.
        name: String,
        /// The map asked for.
        index: usize,
        /// How many it has.
        have: usize,
    },

    /// The map is smaller than what the caller needs.
    #[error(
        "map {index} of `{name}` (at {addr}) has {have:#x} usable bytes, {need:#x} are needed. \
         Correct the size in `reg` of the device-tree node: the bitstream and the overlay are of \
         different versions"
    )]
    MapTooSmall {
        /// The device.
        name: String,
        /// The map.
        index: usize,
        /// Its physical address.
        addr: PhysAddr,
        /// Usable bytes.
        have: u64,
        /// Bytes needed.
        need: u64,
    },

    /// The map's own description contradicts itself or the page size.
    #[error("map {index} of `{name}` cannot be mapped: {reason}")]
    BadMap {
        /// The device.
        name: String,
        /// The map.
        index: usize,
        /// Why, with the numbers.
        reason: String,
    },

    /// An access outside the map or buffer.
    #[error("offset {offset:#x} with {len} byte(s) lies outside the {size:#x} bytes of {what}")]
    OutOfRange {
        /// What was accessed.
        what: &'static str,
        /// Offset asked for.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// Bytes there.
        size: u64,
    },

    /// An access at an offset its width does not divide.
    #[error(
        "offset {offset:#x} of {what} is not a multiple of {align}: device memory takes aligned \
         access only"
    )]
    Misaligned {
        /// What was accessed.
        what: &'static str,
        /// Offset asked for.
        offset: u64,
        /// The alignment needed.
        align: u64,
    },

    /// The device was registered without an interrupt.
    #[error(
        "`{name}` has no interrupt. The device-tree node needs `interrupts` and a reachable \
         `interrupt-parent`; look for the name in /proc/interrupts"
    )]
    NoInterrupt {
        /// The device.
        name: String,
    },

    /// The interrupt was handed out already: two readers would steal counts from each other.
    #[error(
        "the interrupt of `{name}` is already taken: a device gives one `Interrupt`; share that one"
    )]
    InterruptTaken {
        /// The device.
        name: String,
    },

    /// Nothing came before the deadline.
    #[error(
        "no interrupt of `{name}` within {} ms (last count {count}). Is it armed, is it \
         enabled in the device, is the clock of the logic running, and does /proc/interrupts count \
         it?",
        waited.as_millis()
    )]
    IrqTimeout {
        /// The device.
        name: String,
        /// How long it was waited for.
        waited: Duration,
        /// The last count read.
        count: u32,
    },

    /// A read or write of the count moved fewer bytes than a count has.
    #[error(
        "{op} of the interrupt count of `{name}` moved {got} of 4 bytes: the node is no UIO \
         device, or it was removed"
    )]
    IrqShort {
        /// The device.
        name: String,
        /// `read` or `write`.
        op: &'static str,
        /// Bytes moved.
        got: usize,
    },

    /// The count ran backwards.
    #[error(
        "the interrupt count of `{name}` went from {last} to {now}: the driver was reloaded under \
         us; open the device again"
    )]
    IrqCountBackwards {
        /// The device.
        name: String,
        /// Last count seen.
        last: u32,
        /// Count read now.
        now: u32,
    },

    /// Interrupts keep coming and none of them is ours.
    #[error(
        "{count} interrupts of `{name}` in one wait and none with a cause in the device: the line \
         is stuck, or shared, or of the wrong polarity (`interrupts = <0 N 4>` is level high)"
    )]
    IrqStorm {
        /// The device.
        name: String,
        /// Interrupts without a cause.
        count: u32,
    },

    /// The device went away while it was in use.
    #[error(
        "`{name}` has gone: its driver was unbound or the overlay removed while in use. Open it \
         again when it is back"
    )]
    DeviceGone {
        /// The device.
        name: String,
    },

    /// The DMA memory is there and too small.
    #[error(
        "DMA memory `{name}` has {have} bytes, {need} are needed ({} MiB more). {remedy}",
        need.saturating_sub(*have).div_ceil(1 << 20)
    )]
    MemoryTooSmall {
        /// The region.
        name: String,
        /// Its bytes.
        have: u64,
        /// Bytes needed.
        need: u64,
        /// What to change, with the value.
        remedy: String,
    },

    /// No room is left for an allocation.
    #[error(
        "cannot allocate {asked} bytes aligned to {align}: {free} of {size} bytes are free, the \
         largest piece has {largest}. Free buffers, or enlarge the reserved memory"
    )]
    OutOfMemory {
        /// Bytes asked for.
        asked: u64,
        /// Alignment asked for.
        align: u64,
        /// Bytes free in all.
        free: u64,
        /// The largest free piece.
        largest: u64,
        /// Size of the arena.
        size: u64,
    },

    /// A request that no state of the device could satisfy.
    #[error("{reason}")]
    BadRequest {
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// Sorts an operating-system error into the variant that has the better remedy.
    pub(crate) fn io(op: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission { op, path },
            _ => Self::Io { op, path, source },
        }
    }
}

/// `a, b` or `none`.
fn list_or_none(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
