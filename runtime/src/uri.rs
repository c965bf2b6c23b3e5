//! A device by its URI.

pub use fqbert_open::{DEVICES, EmulatorKernels, OpenError, emulator_kernels, open_device};
