//! The configured programmable logic: is there one, which one, and how to load another.
//!
//! [`FpgaManager`] reads the state and loads a bitstream by firmware name (vendor kernels).
//! [`Overlay`] applies a device-tree overlay through configfs, where the kernel has that: with an
//! fpga-region as its target it loads the bitstream *and* makes the devices, the way mainline
//! wants it. [`Bitfile`] reads Vivado's `.bit`, [`Manifest`] says what a bitstream is supposed to
//! be, and [`compare`] what differs from what the loaded one says of itself.

mod bitfile;
mod error;
mod identity;
mod manager;
mod manifest;
mod overlay;
mod part;
mod state;

pub use bitfile::Bitfile;
pub use error::{FpgaError, ManifestError};
pub use identity::{Bounds, Expectation, Identity, Mask, Mismatch, Value, compare};
pub use manager::{FpgaManager, Load, install_firmware};
pub use manifest::{Board, Manifest, Status, Stream, sha256_hex};
pub use overlay::Overlay;
pub use part::Part;
pub use state::ManagerState;
