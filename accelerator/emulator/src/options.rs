//! How an emulated accelerator is built.

use fqbert_contract::Geometry;
use fqbert_contract::timing::Policy;
use fqbert_simulated::DEFAULT_MEMORY_BYTES;

use crate::kernels::Kernel;

/// How an emulated accelerator is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmulatorOptions {
    /// Its geometry.
    pub geometry: Geometry,
    /// Size of its device memory; pages are allocated when they are written.
    pub memory_bytes: u64,
    /// Threads of its kernels; `None` for one per CPU.
    pub threads: Option<usize>,
    /// Path through the arithmetic; `None` for the variable `FQBERT_KERNEL`, else the fastest of
    /// this CPU.
    pub kernel: Option<Kernel>,
    /// In which order ready queues are served: no order changes a result of a legal program.
    pub schedule: Policy,
}

impl EmulatorOptions {
    /// A device of that geometry with everything else by default.
    pub fn new(geometry: &Geometry) -> Self {
        Self {
            geometry: geometry.clone(),
            memory_bytes: DEFAULT_MEMORY_BYTES,
            threads: None,
            kernel: None,
            schedule: Policy::Earliest,
        }
    }
}
