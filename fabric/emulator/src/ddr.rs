//! The memory a device's DMA reaches.

/// How a memory refuses a transfer (AXI4 response codes, Arm IHI 0022).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AxiFault {
    /// SLVERR: the memory was reached and failed.
    #[error("the memory answered SLVERR")]
    Slverr,
    /// DECERR: no memory has the address.
    #[error("the interconnect answered DECERR: no memory at the address")]
    Decerr,
}

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
