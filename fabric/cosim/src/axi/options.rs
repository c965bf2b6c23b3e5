//! How the simulated memory behaves.

/// Latency, bandwidth and back-pressure of the memory. The default is what the timing model assumes of a ZCU102's DDR behind its HP ports:
/// each port moves a beat a cycle, which is below what the DDR has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Cycles from a read burst's address until its first beat has arrived (`timing::READ_LATENCY`), 2 at least.
    pub read_latency: u64,
    /// Cycles from the last beat of a write burst until the fabric has booked its response (`timing::WRITE_LATENCY`), 4 at least.
    pub write_latency: u64,
    /// Beats that all ports together may move in 100 cycles; no bound if `None`.
    pub bandwidth: Option<u64>,
    /// Random back-pressure on every channel from this seed; none if `None`.
    pub seed: Option<u64>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            read_latency: fqbert_contract::timing::READ_LATENCY,
            write_latency: fqbert_contract::timing::WRITE_LATENCY,
            bandwidth: None,
            seed: None,
        }
    }
}

impl Memory {
    /// Cycles from the cycle of a read address to that of the first beat: the beat itself takes one.
    pub(crate) fn first_beat(&self) -> u64 {
        self.read_latency.saturating_sub(1).max(1)
    }

    /// Cycles from the last data beat to the response. The fabric takes two cycles of the latency: the data's buffer and the response's register.
    pub(crate) fn response(&self) -> u64 {
        self.write_latency.saturating_sub(2).max(1)
    }
}
