//! AXI4 rules for what the accelerator drives (Arm IHI 0022, A3): what is valid stays as it is
//! until taken, and bursts are what AXI4 allows.

use super::shared::BEAT;

/// A channel that the accelerator drives: once valid, its payload stands until ready.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    waiting: Option<Vec<u8>>,
}

impl Channel {
    /// Looks at a cycle of an address channel, which has an address and a number of beats.
    pub(crate) fn address_cycle(
        &mut self,
        name: &str,
        address: Option<(u64, u64)>,
        ready: bool,
        found: &mut Vec<String>,
    ) {
        let mut payload = [0; 16];
        if let Some((address, beats)) = address {
            payload[..8].copy_from_slice(&address.to_le_bytes());
            payload[8..].copy_from_slice(&beats.to_le_bytes());
        }
        self.cycle(name, address.is_some(), ready, &payload, found);
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a channel says of cycles of (valid, ready, payload).
    fn channel(cycles: &[(bool, bool, u8)]) -> Vec<String> {
        let (mut channel, mut found) = (Channel::default(), Vec::new());
        for (valid, ready, payload) in cycles {
            channel.cycle("AR", *valid, *ready, &[*payload], &mut found);
        }
        found
    }

    #[test]
    fn what_is_valid_stands_until_it_is_taken() {
        // Taken at once, after a wait, back to back, and ready before valid.
        let legal = [
            (true, true, 1),
            (false, false, 0),
            (true, false, 2),
            (true, true, 2),
            (true, true, 3),
            (false, true, 9),
            (true, true, 4),
        ];
        assert_eq!(channel(&legal), Vec::<String>::new());
        let fell = channel(&[(true, false, 1), (false, true, 1)]);
        assert!(fell[0].contains("valid fell"), "{fell:?}");
        let changed = channel(&[(true, false, 1), (true, true, 2)]);
        assert!(changed[0].contains("payload changed"), "{changed:?}");
    }

    #[test]
    fn bursts_are_aligned_and_stay_in_4_kib() {
        let check = |address, beats| {
            let mut found = Vec::new();
            burst("AW", address, beats, &mut found);
            found
        };
        for (address, beats) in [(0, 256), (0x1ff0, 1), (0x1f00, 16), (u64::MAX - 15, 1)] {
            assert_eq!(check(address, beats), Vec::<String>::new(), "{address:#x}");
        }
        for (address, beats) in [(0x10, 256), (0x1ff0, 2), (u64::MAX - 15, 2)] {
            assert!(check(address, beats)[0].contains("4 KiB"), "{address:#x}");
        }
        assert!(check(8, 1)[0].contains("aligned"));
    }
}
