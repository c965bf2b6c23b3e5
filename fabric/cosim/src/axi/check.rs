//! AXI4 rules for what the fabric drives (Arm IHI 0022, A3): what is valid stays as it is until taken, and bursts are what AXI4 allows.

use super::BEAT;

/// A channel that the fabric drives: once valid, its payload stands until ready.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    waiting: Option<Vec<u8>>,
}

impl Channel {
    /// Looks at a cycle; `payload` is every signal that must stand still.
    pub(crate) fn cycle(
        &mut self,
        name: &str,
        valid: bool,
        ready: bool,
        payload: &[u8],
        found: &mut Vec<String>,
    ) {
        if let Some(waiting) = &self.waiting {
            if !valid {
                found.push(format!("{name}: valid fell before ready"));
            } else if waiting != payload {
                found.push(format!("{name}: the payload changed before ready"));
            }
        }
        self.waiting = (valid && !ready).then(|| payload.to_vec());
    }
}

/// A burst's address: aligned, at most 256 beats (by its type), and not across 4 KiB.
pub(crate) fn burst(name: &str, address: u64, beats: u64, found: &mut Vec<String>) {
    if !address.is_multiple_of(BEAT as u64) {
        found.push(format!("{name}: address {address:#x} is not aligned"));
    }
    let last = address.wrapping_add(beats * BEAT as u64 - 1);
    if address >> 12 != last >> 12 {
        found.push(format!(
            "{name}: {beats} beats from {address:#x} cross 4 KiB"
        ));
    }
}
