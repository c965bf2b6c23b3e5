//! The clock of the device, read here and nowhere else, so that a test can count.

use std::time::Instant;

/// Now.
pub fn now() -> Instant {
    #[cfg(test)]
    READS.with(|reads| reads.set(reads.get() + 1));
    Instant::now()
}

#[cfg(test)]
thread_local! {
    /// How often this thread has read the clock.
    pub static READS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}
