//! The `Device` trait: the calls through which a runtime drives any device.
//!
//! Emulator, verilated RTL, a board through UIO and the wrappers around them (recording, fault
//! injection) all implement [`Device`]; nothing above it knows which one it talks to. Device memory
//! is never lent out as a slice: on a board it may be uncached or owned by the device. The CPU
//! writes and reads it by copy, and every hand-over is an explicit sync, which [`CpuBuffer`] and
//! [`DeviceBuffer`] put into the types.

use std::fmt;
use std::time::Instant;

use crate::address::{Bytes, DeviceAddress, RegisterOffset};
use crate::capability::Capabilities;
use crate::registers;

mod wrapper;

pub use wrapper::Wrapper;

/// A buffer of device memory, as its device numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

impl fmt::Display for BufferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "buffer {}", self.0)
    }
}

/// What an allocation gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The handle for further calls.
    pub id: BufferId,
    /// Where DMA finds it.
    pub address: DeviceAddress,
    /// Its size, as asked for.
    pub size: Bytes,
}

/// Total and free device memory of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryInfo {
    /// First byte the accelerator may be given.
    pub base: DeviceAddress,
    /// All memory of the region.
    pub total: Bytes,
    /// Not allocated.
    pub free: Bytes,
    /// The largest allocation that can succeed now.
    pub largest_free: Bytes,
}

/// Why a call on a device failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The region holds no free block of that size.
    #[error(
        "device memory exhausted: {wanted} wanted, largest free block {largest_free} of {total}; \
         {remedy}"
    )]
    OutOfMemory {
        /// Bytes asked for.
        wanted: Bytes,
        /// The largest block that is free.
        largest_free: Bytes,
        /// Size of the region.
        total: Bytes,
        /// What to change.
        remedy: &'static str,
    },
    /// The handle is not (or no longer) allocated.
    #[error("{0} is not allocated on this device")]
    UnknownBuffer(BufferId),
    /// A copy or sync past the end of its buffer.
    #[error("{length} at offset {offset} lie outside {buffer} of {size}")]
    OutOfBounds {
        /// The buffer.
        buffer: BufferId,
        /// Its size.
        size: Bytes,
        /// First byte of the access.
        offset: Bytes,
        /// Length of the access.
        length: Bytes,
    },
    /// A register access that the bus would not carry out.
    #[error("register offset {0} is not a multiple of 4 inside the register block")]
    BadRegister(RegisterOffset),
    /// The interrupt did not come before the deadline.
    #[error("no interrupt within {waited_ms} ms")]
    Timeout {
        /// How long it was waited for, in milliseconds.
        waited_ms: u64,
    },
    /// Interrupts came that nobody waited for, or some were lost: the count is not one above the
    /// last.
    #[error("interrupt count went from {before} to {after}: {missed} lost or spurious")]
    InterruptCount {
        /// Count at the last wait.
        before: u32,
        /// Count now.
        after: u32,
        /// Difference from what was expected.
        missed: u32,
    },
    /// The accelerator is not there, not configured, or not ours.
    #[error("{what}; {remedy}")]
    Unavailable {
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// The backend's own error.
    #[error("{context}")]
    Backend {
        /// What was being done.
        context: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The byte offset of a register, if it is one of the register block.
///
/// # Errors
/// [`DeviceError::BadRegister`].
pub fn register_offset(register: RegisterOffset) -> Result<u32, DeviceError> {
    if register.0.is_multiple_of(4) && register.0 < registers::BLOCK_BYTES {
        Ok(register.0)
    } else {
        Err(DeviceError::BadRegister(register))
    }
}

/// A device: the accelerator with its registers, its interrupt and its memory.
///
/// Calls take `&mut self`: a device has one owner. None blocks without a bound; only
/// [`Device::wait_interrupt`] waits, until its deadline.
pub trait Device: Send {
    /// Geometry, contract version and features, read when the device was opened.
    fn capabilities(&self) -> &Capabilities;

    /// Total and free device memory.
    fn memory(&self) -> MemoryInfo;

    /// Reserves device memory, aligned to 4096 bytes, contents undefined. No handle is given out a
    /// second time.
    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError>;

    /// Gives a buffer back.
    fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError>;

    /// Copies into the CPU's view of a buffer. The device sees it after [`Device::sync_to_device`].
    fn write(&mut self, buffer: BufferId, offset: Bytes, data: &[u8]) -> Result<(), DeviceError>;

    /// Copies out of the CPU's view of a buffer. The device's writes are in it after
    /// [`Device::sync_to_cpu`].
    fn read(&mut self, buffer: BufferId, offset: Bytes, data: &mut [u8])
    -> Result<(), DeviceError>;

    /// Makes the CPU's writes in a range visible to the device (cache clean).
    fn sync_to_device(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError>;

    /// Makes the device's writes in a range visible to the CPU (cache invalidate).
    fn sync_to_cpu(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError>;

    /// Reads a register. An offset that is in the block but not in the contract reads 0.
    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError>;

    /// Writes a register. A write to a read-only register or outside the contract has no effect.
    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError>;

    /// The clock that deadlines are of: the process's, unless the device has a time of its own, as
    /// a simulated one has.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// Waits until the interrupt line has risen since the last wait, and returns how many
    /// interrupts were seen since the device was opened. The cause stays in `IRQ_STATUS`, which the
    /// caller clears.
    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError>;

    /// Stops whatever runs and returns every register to its reset value; memory contents stay.
    /// Bounded in time.
    fn reset(&mut self) -> Result<(), DeviceError>;
}

/// A buffer the CPU may touch and the device must not.
#[derive(Debug)]
pub struct CpuBuffer(Allocation);

/// A buffer handed to the device: the CPU can only take it back.
#[derive(Debug)]
pub struct DeviceBuffer(Allocation);

impl CpuBuffer {
    /// Allocates a buffer.
    pub fn allocate(device: &mut dyn Device, size: Bytes) -> Result<Self, DeviceError> {
        device.allocate(size).map(Self)
    }

    /// Where DMA will find it, and its size.
    pub fn allocation(&self) -> Allocation {
        self.0
    }

    /// Copies `data` to `offset`.
    pub fn write(
        &mut self,
        device: &mut dyn Device,
        offset: Bytes,
        data: &[u8],
    ) -> Result<(), DeviceError> {
        device.write(self.0.id, offset, data)
    }

    /// Copies from `offset` to `data`.
    pub fn read(
        &self,
        device: &mut dyn Device,
        offset: Bytes,
        data: &mut [u8],
    ) -> Result<(), DeviceError> {
        device.read(self.0.id, offset, data)
    }

    /// Hands the whole buffer to the device. Where that fails, the buffer is freed.
    pub fn into_device(self, device: &mut dyn Device) -> Result<DeviceBuffer, DeviceError> {
        match device.sync_to_device(self.0.id, Bytes(0), self.0.size) {
            Ok(()) => Ok(DeviceBuffer(self.0)),
            Err(error) => {
                // The error that matters is the first.
                let _ = device.free(self.0.id);
                Err(error)
            }
        }
    }

    /// Gives the memory back.
    pub fn free(self, device: &mut dyn Device) -> Result<(), DeviceError> {
        device.free(self.0.id)
    }
}

impl DeviceBuffer {
    /// Where DMA finds it, and its size.
    pub fn allocation(&self) -> Allocation {
        self.0
    }

    /// Takes the buffer back: the device's writes become visible. The device must have finished
    /// with it.
    pub fn into_cpu(self, device: &mut dyn Device) -> Result<CpuBuffer, DeviceError> {
        device.sync_to_cpu(self.0.id, Bytes(0), self.0.size)?;
        Ok(CpuBuffer(self.0))
    }

    /// Between two runs: copies each part to its offset and hands the buffer over again, with one
    /// sync of the whole.
    pub fn refill(
        &mut self,
        device: &mut dyn Device,
        parts: &[(Bytes, &[u8])],
    ) -> Result<(), DeviceError> {
        for (offset, data) in parts {
            device.write(self.0.id, *offset, data)?;
        }
        device.sync_to_device(self.0.id, Bytes(0), self.0.size)
    }

    /// Between two runs: copies `data` to `offset` and hands that range over again.
    pub fn put(
        &mut self,
        device: &mut dyn Device,
        offset: Bytes,
        data: &[u8],
    ) -> Result<(), DeviceError> {
        device.write(self.0.id, offset, data)?;
        device.sync_to_device(self.0.id, offset, Bytes(data.len() as u64))
    }

    /// Between two runs: takes over the range that `out` covers and copies it.
    pub fn fetch(
        &self,
        device: &mut dyn Device,
        offset: Bytes,
        out: &mut [u8],
    ) -> Result<(), DeviceError> {
        device.sync_to_cpu(self.0.id, offset, Bytes(out.len() as u64))?;
        device.read(self.0.id, offset, out)
    }

    /// Gives the memory back. The device must have finished with it.
    pub fn free(self, device: &mut dyn Device) -> Result<(), DeviceError> {
        device.free(self.0.id)
    }
}
