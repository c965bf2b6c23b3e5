//! The buffers of a simulated device: what the `Device` trait says of memory.

use fqbert_contract::device::{Allocation, BufferId, DeviceError, MemoryInfo};
use fqbert_contract::region::Allocator;
use fqbert_contract::{Bytes, DeviceAddress};

use crate::ddr::Refusal;
use crate::dram::Dram;

/// Size of the device memory where nothing else is said: several times what BERT-base takes, and
/// pages cost nothing until they are written. Boards have less: device-tree/boards.toml reserves
/// 192 MiB on a ZCU102 and ZCU111.
pub const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;
/// Largest device memory: written to its end, its two page tables take 256 MiB.
pub const MAX_MEMORY_BYTES: u64 = 1 << 36;

/// Device address of the first byte: not 0, so that an address forgotten at 0 faults.
const BASE: DeviceAddress = DeviceAddress(0x1000_0000);

/// The memory of a simulated device with its allocator.
#[derive(Debug)]
pub struct DeviceMemory {
    dram: Dram,
    allocator: Allocator,
    /// What to do about a memory that is too small.
    remedy: &'static str,
}

/// Bytes of a buffer, from the start of the memory.
struct Located {
    start: u64,
    length: usize,
    /// Where the buffer ends.
    end: u64,
}

impl DeviceMemory {
    /// A memory of so many bytes, at most [`MAX_MEMORY_BYTES`]. `remedy` says what to do where it
    /// is too small.
    pub fn new(bytes: u64, remedy: &'static str) -> Self {
        let allocator = Allocator::new(BASE, bytes.min(MAX_MEMORY_BYTES));
        Self {
            dram: Dram::new(BASE.0, allocator.info().total.0),
            allocator,
            remedy,
        }
    }

    /// The memory as DMA reaches it.
    pub fn dma(&mut self) -> &mut Dram {
        &mut self.dram
    }

    /// Makes the memory refuse transfers of DMA: these and no others.
    pub fn refuse(&mut self, refusals: Vec<Refusal>) {
        self.dram.refuse(refusals);
    }

    /// Total and free bytes.
    pub fn info(&self) -> MemoryInfo {
        self.allocator.info()
    }

    /// Reserves a buffer.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`].
    pub fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        self.allocator.allocate(size, self.remedy)
    }

    /// Gives a buffer back.
    ///
    /// # Errors
    /// [`DeviceError::UnknownBuffer`].
    pub fn free(&mut self, buffer: BufferId) -> Result<(), DeviceError> {
        let block = self.allocator.free(buffer)?;
        self.dram.forget(block.start, block.occupied());
        Ok(())
    }

    /// Copies into the CPU's view of a buffer.
    ///
    /// # Errors
    /// As [`Allocator::covering`]; so of the calls below.
    pub fn write(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        data: &[u8],
    ) -> Result<(), DeviceError> {
        let at = self.locate(buffer, offset, data.len() as u64)?;
        self.dram.cpu.write(at.start, data);
        Ok(())
    }

    /// Copies out of the CPU's view of a buffer.
    pub fn read(
        &self,
        buffer: BufferId,
        offset: Bytes,
        data: &mut [u8],
    ) -> Result<(), DeviceError> {
        let at = self.locate(buffer, offset, data.len() as u64)?;
        self.dram.cpu.read(at.start, data);
        Ok(())
    }

    /// Makes the CPU's bytes of a range visible to DMA.
    pub fn sync_to_device(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        let at = self.locate(buffer, offset, length.0)?;
        self.dram.sync_to_device(at.start, at.length, at.end);
        Ok(())
    }

    /// Makes DMA's bytes of a range visible to the CPU.
    pub fn sync_to_cpu(
        &mut self,
        buffer: BufferId,
        offset: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        let at = self.locate(buffer, offset, length.0)?;
        self.dram.sync_to_cpu(at.start, at.length, at.end);
        Ok(())
    }

    /// Where bytes `offset..offset + length` of a buffer lie.
    fn locate(&self, buffer: BufferId, offset: Bytes, length: u64) -> Result<Located, DeviceError> {
        let block = self.allocator.covering(buffer, offset, length)?;
        match usize::try_from(length) {
            Ok(length) => Ok(Located {
                start: block.start + offset.0,
                length,
                end: block.start + block.size,
            }),
            Err(_) => Err(DeviceError::OutOfBounds {
                buffer,
                size: Bytes(block.size),
                offset,
                length: Bytes(length),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ddr::Ddr;

    #[test]
    fn buffers_are_stale_until_synced_and_forgotten_when_freed() {
        let mut memory = DeviceMemory::new(1 << 16, "ask for more");
        let buffer = memory.allocate(Bytes(100)).unwrap();
        let mut seen = [0; 4];
        memory.write(buffer.id, Bytes(96), &[1, 2, 3, 4]).unwrap();
        let at = buffer.address.0 + 96;
        memory.dma().read(at, &mut seen).unwrap();
        assert_ne!(seen, [1, 2, 3, 4]);
        memory
            .sync_to_device(buffer.id, Bytes(96), Bytes(4))
            .unwrap();
        memory.dma().read(at, &mut seen).unwrap();
        assert_eq!(seen, [1, 2, 3, 4]);
        memory.dma().write(at, &[9; 4]).unwrap();
        memory.read(buffer.id, Bytes(96), &mut seen).unwrap();
        assert_eq!(seen, [1, 2, 3, 4]);
        memory.sync_to_cpu(buffer.id, Bytes(96), Bytes(4)).unwrap();
        memory.read(buffer.id, Bytes(96), &mut seen).unwrap();
        assert_eq!(seen, [9; 4]);
        memory.free(buffer.id).unwrap();
        memory.dma().read(at, &mut seen).unwrap();
        assert_ne!(seen, [9; 4], "a freed page keeps nothing");
        assert_eq!(memory.info().free, memory.info().total);
    }

    #[test]
    fn what_is_no_buffer_is_refused() {
        let mut memory = DeviceMemory::new(1 << 16, "ask for more");
        let error = memory.allocate(Bytes(1 << 17)).unwrap_err();
        assert!(error.to_string().ends_with("; ask for more"), "{error}");
        let buffer = memory.allocate(Bytes(100)).unwrap();
        let error = memory.write(buffer.id, Bytes(97), &[0; 4]).unwrap_err();
        assert!(matches!(error, DeviceError::OutOfBounds { .. }), "{error}");
        memory.free(buffer.id).unwrap();
        for result in [
            memory.free(buffer.id),
            memory.sync_to_cpu(buffer.id, Bytes(0), Bytes(1)),
            memory.sync_to_device(buffer.id, Bytes(0), Bytes(1)),
        ] {
            assert!(matches!(result, Err(DeviceError::UnknownBuffer(_))));
        }
    }
}
