//! The memory a device's DMA reaches.

pub use fqbert_contract::simulated::{AxiFault, Refusal};

/// Memory behind the device's AXI ports, by physical address.
///
/// The device has checked its window before it calls: an implementation sees aligned transfers of whole beats only. A transfer that is
/// refused must leave memory as it was.
pub trait Ddr {
    /// Fills `out` with the bytes from `address` on.
    ///
    /// # Errors
    /// The response of the bus, if not OKAY.
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), AxiFault>;

    /// Writes `data` to the bytes from `address` on.
    ///
    /// # Errors
    /// The response of the bus, if not OKAY.
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), AxiFault>;
}
