//! The DMA memory by its name, whoever provides it.

use uio_driver::dma::{DmaMemory, UDmaBuf};
use uio_driver::{Error, LockWait, Roots, UioDevice};

use crate::BoardError;
use crate::options::UioOptions;

/// Less than a page holds no buffer. What a model needs is known later, and refused then with the
/// numbers.
const LEAST_BYTES: u64 = 4096;

/// Opens and locks the memory: a UIO region of that name, else a `u-dma-buf`.
pub fn open(
    roots: &Roots,
    options: &UioOptions,
    wait: LockWait,
) -> Result<Box<dyn DmaMemory>, BoardError> {
    let memory: Box<dyn DmaMemory> = match UioDevice::open_with(roots, &options.memory, wait) {
        Ok(device) => Box::new(device.memory(0, LEAST_BYTES)?),
        Err(uio @ (Error::NoSuchDevice { .. } | Error::ClassAbsent { .. })) => {
            match UDmaBuf::open(roots, &options.memory, LEAST_BYTES, options.cached) {
                Ok(buffer) => Box::new(buffer),
                Err(udmabuf @ (Error::NoSuchBuffer { .. } | Error::ClassAbsent { .. })) => {
                    return Err(BoardError::NoMemory { uio, udmabuf });
                }
                Err(other) => return Err(other.into()),
            }
        }
        Err(other) => return Err(other.into()),
    };
    Ok(memory)
}
