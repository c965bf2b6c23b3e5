//! The RTL of the accelerator (`accelerator/rtl/`), verilated.
//!
//! [`Verilated`] is one module of the RTL, named in `build/tops.rs`, with its ports by name. The
//! benches under `tests/` compare modules with the scalar reference (`fqbert-numerics`). Where no
//! Verilator was found at build time, [`Verilated::open`] fails with [`Unavailable`], and benches
//! say that they were skipped.

mod axi;
mod device;
mod ffi;
mod options;
mod system;
mod verilated;

pub use axi::{MemoryTiming, Traffic};
pub use device::{CosimDevice, CosimError};
pub use options::CosimOptions;
pub use system::BusFunctionalModel;
pub use verilated::{Port, TRACE, Unavailable, Verilated};

/// Opens a top for a bench, or prints why it is skipped and returns from the calling test.
#[macro_export]
macro_rules! open_or_skip {
    ($name:expr, $seed:expr) => {
        match $crate::Verilated::open($name, $seed) {
            Ok(model) => model,
            Err(error) => {
                let _ = std::io::Write::write_fmt(
                    &mut std::io::stderr(),
                    format_args!("SKIPPED: {error}\n"),
                );
                return;
            }
        }
    };
}
