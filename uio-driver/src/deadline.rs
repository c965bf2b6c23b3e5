//! A point in time after which nobody waits any longer.

use std::time::{Duration, Instant};

/// An absolute deadline. Made once, passed down: the parts of a wait cannot add up to more.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    start: Instant,
    end: Instant,
}

/// Longest wait expressible; a longer one is cut to it so that no addition can overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

impl Deadline {
    /// `timeout` from now (cut to a year).
    pub fn after(timeout: Duration) -> Self {
        let start = Instant::now();
        let end = start.checked_add(timeout.min(LONGEST)).unwrap_or(start);
        Self { start, end }
    }

    /// Time left, zero when past.
    pub fn remaining(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether it is past.
    pub fn expired(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Time since it was set.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The point in time itself.
    pub fn instant(&self) -> Instant {
        self.end
    }
}
