//! How the simulated memory behaves.

/// Bytes a second that a ZCU102's DDR4-2400 of 64 bits gives to long bursts: 80 % of its peak of
/// 19.2 GB/s, an assumption.
const DDR_BYTES_PER_SECOND: u64 = 15_360_000_000;

/// Latency, bandwidth and back-pressure of the memory. The default is the timing model's: no bound
/// but a beat a cycle on each port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryTiming {
    /// Cycles from a read burst's address until its first beat has arrived
    /// (`timing::READ_LATENCY`), 2 at least.
    pub read_latency: u64,
    /// Cycles from the last beat of a write burst until the accelerator has booked its response
    /// (`timing::WRITE_LATENCY`), 4 at least.
    pub write_latency: u64,
    /// Beats that all ports together may move in 100 cycles; no bound if `None`.
    pub bandwidth: Option<u64>,
    /// Random back-pressure on every channel from this seed; none if `None`.
    pub seed: Option<u64>,
}

impl Default for MemoryTiming {
    fn default() -> Self {
        Self {
            read_latency: fqbert_contract::timing::READ_LATENCY,
            write_latency: fqbert_contract::timing::WRITE_LATENCY,
            bandwidth: None,
            seed: None,
        }
    }
}

impl MemoryTiming {
    /// The DDR of a ZCU102 behind the HP ports of its processing system, in cycles of the
    /// accelerator's clock: the timing model's latencies, a beat of 16 bytes a cycle on a port in
    /// each direction, and all of them together no more than the DDR has. At 214 MHz that is 4.48
    /// beats a cycle, which four ports that only read cannot reach.
    pub(crate) fn of_zcu102(clock_hz: u64) -> Self {
        let beats = DDR_BYTES_PER_SECOND * 100
            / (fqbert_contract::isa::BEAT_BYTES as u64 * clock_hz.max(1));
        Self {
            bandwidth: Some(beats.max(1)),
            ..Self::default()
        }
    }

    /// Cycles from the cycle of a read address to that of the first beat: the beat itself takes
    /// one.
    pub(crate) fn first_beat(&self) -> u64 {
        self.read_latency.saturating_sub(1).max(1)
    }

    /// Cycles from the last data beat to the response. The accelerator takes two cycles of the
    /// latency: the data's buffer and the response's register.
    pub(crate) fn response(&self) -> u64 {
        self.write_latency.saturating_sub(2).max(1)
    }
}
