//! What a test may do to a device that is not hardware.

use fqbert_contract::device::Device;

use crate::ddr::Refusal;

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
