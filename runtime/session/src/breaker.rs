//! When an accelerator that keeps failing is left alone.
//!
//! | state | a run | leaves by |
//! |---|---|---|
//! | closed | is tried, and tried again | too many resets within the time: open |
//! | open | is refused at once | the pause is over: trial; rearmed: closed |
//! | trial | is tried once | proven: closed; a reset: open |

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::error::SessionError;

/// When an accelerator is taken out: a hang costs its request the deadline, and one that hangs
/// again and again would cost every request its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerOptions {
    /// This many resets after a failure...
    pub resets: u32,
    /// ...within this time take the accelerator out.
    pub within: Duration,
    /// How long it is left alone before one run is tried.
    pub pause: Duration,
}

impl Default for BreakerOptions {
    /// 8 resets within 10 minutes: four requests in a row that hang twice, with the deadline of 60
    /// seconds. A minute's pause.
    fn default() -> Self {
        Self {
            resets: 8,
            within: Duration::from_secs(600),
            pause: Duration::from_secs(60),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    Trial,
}

/// Whether runs are let through.
pub(crate) struct Breaker {
    options: Option<BreakerOptions>,
    state: State,
    /// When the accelerator was reset after a failure, within the time.
    resets: VecDeque<Instant>,
    /// What failed last.
    cause: String,
    /// How often it opened.
    opened: u64,
}

impl Breaker {
    pub fn new(options: Option<BreakerOptions>) -> Self {
        Self {
            options,
            state: State::Closed,
            resets: VecDeque::new(),
            cause: String::new(),
            opened: 0,
        }
    }

    /// Lets a run through or not; `true` is the one that is tried after a pause.
    pub fn admit(&mut self, now: Instant) -> Result<bool, SessionError> {
        if let State::Open { until } = self.state {
            let left = until.saturating_duration_since(now);
            if !left.is_zero() {
                return Err(self.taken_out(left));
            }
            self.state = State::Trial;
        }
        Ok(self.state == State::Trial)
    }

    /// A run failed so that the accelerator has to be reset.
    pub fn failed(&mut self, now: Instant, cause: String) {
        let Some(options) = self.options else {
            return;
        };
        self.resets.push_back(now);
        let old = |at: &Instant| now.saturating_duration_since(*at) > options.within;
        while self.resets.front().is_some_and(old) || self.resets.len() > options.resets as usize {
            self.resets.pop_front();
        }
        self.cause = cause;
        let many = self.resets.len() >= options.resets as usize;
        if self.state == State::Trial || many {
            self.opened += 1;
            self.state = State::Open {
                until: now + options.pause,
            };
            warn!("{}", self.taken_out(options.pause));
        }
    }

    /// A run is proven to have happened.
    pub fn proven(&mut self) {
        if self.state == State::Trial {
            warn!("the accelerator that was taken out answers again: it is used again");
            self.rearm();
        }
    }

    /// Forgets what failed.
    pub fn rearm(&mut self) {
        self.state = State::Closed;
        self.resets.clear();
    }

    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    pub fn opened(&self) -> u64 {
        self.opened
    }

    fn taken_out(&self, left: Duration) -> SessionError {
        let ends = self.resets.front().zip(self.resets.back());
        SessionError::TakenOut {
            resets: self.resets.len(),
            within: ends.map_or(Duration::ZERO, |(first, last)| *last - *first),
            cause: self.cause.clone(),
            left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker(resets: u32) -> Breaker {
        Breaker::new(Some(BreakerOptions {
            resets,
            within: 10 * SECOND,
            pause: 5 * SECOND,
        }))
    }

    fn fails(b: &mut Breaker, now: Instant) {
        assert!(b.admit(now).is_ok());
        b.failed(now, "it hung".into());
    }

    #[test]
    fn resets_far_apart_take_nothing_out() {
        let (mut b, start) = (breaker(2), Instant::now());
        for i in 0..20 {
            fails(&mut b, start + i * 11 * SECOND);
        }
        assert!(!b.is_open());
        assert_eq!(b.opened(), 0);
        let mut off = Breaker::new(None);
        (0..100).for_each(|_| fails(&mut off, start));
    }

    #[test]
    fn it_opens_tries_once_and_closes_when_that_is_proven() {
        let (mut b, start) = (breaker(3), Instant::now());
        for i in 0..3 {
            fails(&mut b, start + i * SECOND);
        }
        // Open: refused, with what happened and when it is tried again.
        let error = b.admit(start + 4 * SECOND).unwrap_err();
        let SessionError::TakenOut {
            resets,
            within,
            cause,
            left,
        } = &error
        else {
            panic!("{error}")
        };
        assert_eq!((*resets, *within, *left), (3, 2 * SECOND, 3 * SECOND));
        assert_eq!(cause, "it hung");
        let text = error.to_string();
        for part in ["3 resets", "2.0 s", "it hung", "3.0 s", "rearm"] {
            assert!(text.contains(part), "{text}");
        }
        // The trial fails: open for a whole pause, though two resets are all there were.
        assert!(b.admit(start + 7 * SECOND).unwrap());
        b.failed(start + 30 * SECOND, "it hung again".into());
        assert!(b.admit(start + 34 * SECOND).is_err());
        // The trial is proven: closed, and as many resets are needed as before.
        assert!(b.admit(start + 35 * SECOND).unwrap());
        b.proven();
        assert!(!b.admit(start + 35 * SECOND).unwrap());
        fails(&mut b, start + 36 * SECOND);
        fails(&mut b, start + 36 * SECOND);
        assert!(!b.is_open());
        assert_eq!(b.opened(), 2);
    }

    #[test]
    fn rearming_closes_at_once() {
        let (mut b, now) = (breaker(1), Instant::now());
        fails(&mut b, now);
        assert!(b.admit(now).is_err());
        b.rearm();
        assert!(!b.admit(now).unwrap());
    }
}
