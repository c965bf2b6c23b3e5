//! What to open and how.

use std::path::PathBuf;
use std::time::Duration;

/// Whether the FPGA manager is asked before the first register access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagerCheck {
    /// It must report `operating`.
    Operating,
    /// It is not asked: the user vouches that the logic is configured. For kernels without a
    /// manager.
    None,
}

/// What to open and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UioOptions {
    /// Name of the UIO device with the registers (`linux,uio-name` in the device tree).
    pub name: String,
    /// Name of the DMA memory: a UIO device or a `u-dma-buf`. The device trees of this project call
    /// it `NAME-dma`.
    pub memory: String,
    /// How long to wait for a process that holds the device; zero refuses at once.
    pub wait: Duration,
    /// How long a reset may take.
    pub deadline: Duration,
    /// Whether the FPGA manager is asked.
    pub manager: ManagerCheck,
    /// Map a `u-dma-buf` through the CPU's cache, with cache maintenance at each sync. A UIO region
    /// is never cached.
    pub cached: bool,
    /// A bitstream manifest whose identity the registers must have.
    pub manifest: Option<PathBuf>,
}

/// A reset drains outstanding bursts, which is microseconds; this is for a memory controller under
/// full load.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(1);

impl UioOptions {
    /// That device with everything else by default.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            memory: format!("{name}-dma"),
            wait: Duration::ZERO,
            deadline: DEFAULT_DEADLINE,
            manager: ManagerCheck::Operating,
            cached: true,
            manifest: None,
        }
    }
}
