//! The accelerator as a bit-exact model on the CPU.
//!
//! Three layers, each usable without the next:
//! - `kernels`: the arithmetic on the contract's packed layouts, with a path per instruction set
//!   of the CPU ([`Kernel`]), every one equal to `fqbert-numerics` on every bit;
//! - [`Accelerator`]: registers, queues, on-chip memories and instruction semantics against any
//!   memory that implements [`Ddr`], with no threads and no clock of its own: a board model can put
//!   it behind its own bus;
//! - [`EmulatedDevice`]: a device with memory of its own behind the `Device` trait
//!   [`fqbert_contract::device::Device`], where the CPU's and the device's view of a buffer are
//!   different bytes until synced.
//!
//! ```
//! use fqbert_contract::{Geometry, device::Device, registers};
//! use fqbert_emulator::{EmulatedDevice, EmulatorOptions};
//!
//! let geometry = Geometry::by_name("tiny").ok_or("no such geometry")?;
//! let mut device = EmulatedDevice::new(EmulatorOptions::new(geometry))?;
//! assert_eq!(device.read32(registers::ID)?, fqbert_contract::isa::MAGIC);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accelerator;
mod device;
mod kernels;
mod measured;
mod memories;
mod options;

pub use accelerator::{Accelerator, RunState};
/// What [`Accelerator`] needs of a memory.
pub use fqbert_simulated::{AxiFault, Ddr};

pub use device::{EmulatedDevice, EmulatorError};
pub use kernels::{Kernel, KernelError};
pub use measured::{Cpus, Identity, MEASURED, Measurement};
pub use options::EmulatorOptions;
