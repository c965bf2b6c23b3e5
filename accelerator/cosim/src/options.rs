//! How a simulated accelerator is built.

use std::path::PathBuf;

use fqbert_contract::Geometry;
use fqbert_simulated::DEFAULT_MEMORY_BYTES;

use crate::axi::Memory;

/// How a simulated accelerator is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosimOptions {
    /// Its geometry.
    pub geometry: Geometry,
    /// Size of its device memory.
    pub memory_bytes: u64,
    /// Latency, bandwidth and back-pressure of that memory.
    pub memory: Memory,
    /// Where to write waveforms, in the format that the crate was built for.
    pub trace: Option<PathBuf>,
}

impl CosimOptions {
    /// A device of that geometry with everything else by default: the memory of a ZCU102.
    pub fn new(geometry: &Geometry) -> Self {
        Self {
            geometry: geometry.clone(),
            memory_bytes: DEFAULT_MEMORY_BYTES,
            memory: Memory::of_zcu102(u64::from(geometry.clock_hz)),
            trace: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_bandwidth_is_that_of_a_zcu102() {
        let tiny = Geometry::by_name("tiny").unwrap();
        // 15.36 GB/s at 214 MHz.
        assert_eq!(CosimOptions::new(tiny).memory.bandwidth, Some(448));
    }
}
