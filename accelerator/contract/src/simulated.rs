//! What a simulated accelerator lets a test do beyond the `Device` trait: make the bus fail, stop
//! the clock in the middle of a program, see open bursts.

use crate::device::Device;

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

/// Bytes that a memory refuses to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Device addresses.
    pub range: std::ops::Range<u64>,
    /// The response of a transfer that touches them.
    pub fault: AxiFault,
    /// Whether reads are refused, or writes.
    pub reads: bool,
}

impl Refusal {
    /// Whether it refuses a transfer of `length` bytes from `address` on.
    pub fn hits(&self, address: u64, length: usize, reads: bool) -> bool {
        let end = address.saturating_add(length as u64);
        self.reads == reads && self.range.start < end && address < self.range.end
    }
}

/// A device that is not hardware.
pub trait Simulated: Device {
    /// Makes the memory refuse transfers of the accelerator: these and no others.
    fn refuse(&mut self, refusals: Vec<Refusal>);

    /// Lets so many cycles pass; where whole instructions are simulated, instructions until their
    /// cycles have passed.
    fn advance(&mut self, cycles: u32);

    /// AXI bursts that are open now; `None` where transfers are moved as a whole.
    fn open_bursts(&self) -> Option<usize>;
}
