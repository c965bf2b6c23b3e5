//! What the accelerator is, written once for every implementation of it.
//!
//! - [`generated`]: registers, instruction words, memories, faults and geometries, generated from
//!   `registers.rdl`, `isa.toml` and `geometry.toml` together with the SystemVerilog package, the
//!   C header and `docs/contract.md`.
//! - [`geometry`]: how large an accelerator is, and what follows from it.
//! - [`capability`]: the geometry as a device reports it, and whether a program fits it.
//! - [`operands`]: which memories the operands of a MATMUL lie in.
//! - [`layout`]: how matrices lie in the on-chip memories and in the images DMA copies there.
//! - [`program`]: a relocatable instruction stream and its binding to device addresses.
//! - [`verify`]: the checks a program must pass before a device sees it.
//! - [`timing`]: cycles of each instruction and of a program, as formulas of the geometry.
//! - [`region`]: the allocator of device memory that devices share.
//! - [`device`]: the calls through which a runtime drives any device.
//!
//! The meaning of every arithmetic operation is in `docs/numerics.md`, the micro-architecture in
//! `docs/accelerator.md`.

pub mod address;
pub mod capability;
pub mod device;
pub mod generated;
pub mod geometry;
pub mod layout;
pub mod operands;
pub mod program;
pub mod region;
pub mod timing;
pub mod verify;

pub use address::{Bytes, DeviceAddress, RegisterOffset};
pub use generated::digest::CONTRACT_SHA256;
pub use generated::isa;
pub use generated::registers;
pub use geometry::Geometry;
