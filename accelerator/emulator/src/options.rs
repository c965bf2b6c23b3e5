//! How an emulated accelerator is built.

use fqbert_contract::Geometry;
use fqbert_contract::timing::Policy;

use crate::kernels::Kernel;

/// Size of the device memory where nothing else is said: several times what BERT-base takes, and
/// pages cost nothing until they are written. Boards have less: device-tree/boards.toml reserves 192
/// MiB on a ZCU102 and ZCU111.
const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;
/// Largest device memory: the page table of an emulated accelerator stays below 64 MiB.
pub const MAX_MEMORY_BYTES: u64 = 1 << 36;

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
