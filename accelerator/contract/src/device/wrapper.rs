//! A device around another.

use std::time::Instant;

use super::{Allocation, BufferId, Device, DeviceError, MemoryInfo};
use crate::address::{Bytes, RegisterOffset};
use crate::capability::Capabilities;

/// A device that does what the one inside it does, but for the calls that it has of its own. What
/// implements this is a [`Device`]: a call that a wrapper does not mention, such as one that is
/// added later, reaches the device inside.
pub trait Wrapper: Send {
    /// The device inside.
    fn inner(&self) -> &dyn Device;

    /// The device inside.
    fn inner_mut(&mut self) -> &mut dyn Device;

    /// [`Device::allocate`].
    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        self.inner_mut().allocate(size)
    }

    /// [`Device::free`].
    fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError> {
        self.inner_mut().free(buffer)
    }

    /// [`Device::write`].
    fn write(&mut self, buffer: BufferId, offset: Bytes, data: &[u8]) -> Result<(), DeviceError> {
        self.inner_mut().write(buffer, offset, data)
    }

    /// [`Device::read`].
    fn read(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        data: &mut [u8],
    ) -> Result<(), DeviceError> {
        self.inner_mut().read(buffer, offset, data)
    }

    /// [`Device::sync_to_device`].
    fn sync_to_device(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        self.inner_mut().sync_to_device(buffer, offset, length)
    }

    /// [`Device::sync_to_cpu`].
    fn sync_to_cpu(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        self.inner_mut().sync_to_cpu(buffer, offset, length)
    }

    /// [`Device::read32`].
    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        self.inner_mut().read32(register)
    }

    /// [`Device::write32`].
    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        self.inner_mut().write32(register, value)
    }

    /// [`Device::wait_interrupt`].
    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        self.inner_mut().wait_interrupt(deadline)
    }

    /// [`Device::reset`].
    fn reset(&mut self) -> Result<(), DeviceError> {
        self.inner_mut().reset()
    }
}

impl<W: Wrapper> Device for W {
    fn capabilities(&self) -> &Capabilities {
        self.inner().capabilities()
    }

    fn memory(&self) -> MemoryInfo {
        self.inner().memory()
    }

    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        Wrapper::allocate(self, size)
    }

    fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError> {
        Wrapper::free(self, buffer)
    }

    fn write(&mut self, buffer: BufferId, offset: Bytes, data: &[u8]) -> Result<(), DeviceError> {
        Wrapper::write(self, buffer, offset, data)
    }

    fn read(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        data: &mut [u8],
    ) -> Result<(), DeviceError> {
        Wrapper::read(self, buffer, offset, data)
    }

    fn sync_to_device(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        Wrapper::sync_to_device(self, buffer, offset, length)
    }

    fn sync_to_cpu(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        Wrapper::sync_to_cpu(self, buffer, offset, length)
    }

    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        Wrapper::read32(self, register)
    }

    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        Wrapper::write32(self, register, value)
    }

    fn now(&self) -> Instant {
        self.inner().now()
    }

    fn wait_interrupt(&mut self, deadline: Instant) -> Result<u32, DeviceError> {
        Wrapper::wait_interrupt(self, deadline)
    }

    fn reset(&mut self) -> Result<(), DeviceError> {
        Wrapper::reset(self)
    }
}
