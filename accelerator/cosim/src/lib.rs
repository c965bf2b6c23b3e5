//! The RTL of the accelerator (`accelerator/rtl/`), verilated.
//!
//! [`Model`] is one module of the RTL, named in `build/tops.rs`, with its ports by name. The
//! benches under `tests/` compare modules with the scalar reference (`fqbert-numerics`). Where no
//! Verilator was found at build time, [`Model::open`] fails with [`Unavailable`], and benches say
//! that they were skipped.

mod axi;
mod device;
mod ffi;
mod model;
mod options;
mod system;

pub use axi::{Bus, Memory, Traffic};
pub use device::{CosimDevice, OpenError};
pub use model::{Model, Port, Unavailable};
pub use options::CosimOptions;
pub use system::{Companion, System};

/// Whether the crate was built with Verilator.
pub const AVAILABLE: bool = cfg!(not(no_verilator));

/// The format of waveforms that this build can write (`FQBERT_COSIM_TRACE`), if any.
pub const TRACE: Option<&str> = ffi::TRACE;

/// Opens a top for a bench, or prints why it is skipped and returns from the calling test.
#[macro_export]
macro_rules! open_or_skip {
    ($name:expr, $seed:expr) => {
        match $crate::Model::open($name, $seed) {
            Ok(model) => model,
            Err(error) => {
                eprintln!("SKIPPED: {error}");
                return;
            }
        }
    };
}
