//! One run of the accelerator: attempts until one is proven.

use tracing::{info_span, warn};

use super::Session;
use super::attempt::Failed;
use super::ends::Input;
use crate::batch::{Extent, Run};
use crate::error::{SessionError, with_causes};

impl Session {
    /// One run of an input: the bytes of its output.
    pub(super) fn run_input(&mut self, run: &Run, input: &Input) -> Result<Vec<u8>, SessionError> {
        let Extent { tokens, block } = input.extent;
        let span = info_span!("run", rows = tokens, block, sequences = run.sequences.len());
        let _span = span.enter();
        let output = self.answer(input.extent, &input.images)?;
        for length in input.places.lengths() {
            self.statistics.sequences += 1;
            self.statistics.tokens += length as u64;
        }
        Ok(output)
    }

    /// Attempts until one is proven to have run, at most [`SessionOptions::retries`] times more.
    ///
    /// [`SessionOptions::retries`]: super::SessionOptions::retries
    fn answer(&mut self, extent: Extent, images: &[Vec<u8>; 3]) -> Result<Vec<u8>, SessionError> {
        let trial = self.breaker.admit(self.device.now())?;
        let retries = if trial { 0 } else { self.options.retries };
        let mut attempts = 0;
        loop {
            self.scrub_if_unchecked()?;
            attempts += 1;
            self.record.attempts += 1;
            let (why, waited, post_mortem) = match self.attempt(extent, images) {
                Ok(bytes) => {
                    self.breaker.proven();
                    let Some(damage) = self.damage_after(extent, images)? else {
                        self.note(extent)?;
                        return Ok(bytes);
                    };
                    if attempts > retries {
                        return Err(SessionError::Damaged { attempts, damage });
                    }
                    continue;
                }
                Err(Failed::Again {
                    why,
                    waited,
                    post_mortem,
                }) => (why, waited, post_mortem),
                Err(Failed::Final(error)) => {
                    if self.mended_after(&error) && attempts <= retries {
                        continue;
                    }
                    return Err(error);
                }
            };
            self.breaker.failed(self.device.now(), why.to_string());
            // A flipped word of the program can be what it hangs in. Before the reset, which may
            // fail: memory is looked at all the same before the next attempt.
            self.unchecked = true;
            self.recover()?;
            self.statistics.recoveries += 1;
            if attempts > retries || self.breaker.is_open() {
                return Err(SessionError::Hang {
                    why,
                    waited,
                    deadline: self.options.deadline,
                    attempts,
                    post_mortem,
                });
            }
            warn!(%why, %post_mortem, attempts, "no proof of a run: reset and replay");
        }
    }

    /// Resets after an error that ended an attempt, if it is needed. Whether the error was a fault
    /// that came from damaged code or constants, which have been written again: what is verified
    /// does not fault.
    fn mended_after(&mut self, error: &SessionError) -> bool {
        if !self.unsettled {
            return false;
        }
        if error.is_device_fault() {
            self.breaker.failed(self.device.now(), with_causes(error));
        }
        self.unchecked = true;
        // The error that is told is the first. A reset or a scrub that fails now is tried again
        // before the next attempt.
        if let Err(error) = self.recover() {
            warn!(%error, "the accelerator could not be reset after a failure");
            return false;
        }
        if !matches!(error, SessionError::Fault { .. }) || self.breaker.is_open() {
            return false;
        }
        match self.scrub() {
            Ok(report) => !report.damage.is_empty(),
            Err(error) => {
                warn!(%error, "device memory could not be read back after a fault");
                false
            }
        }
    }

    /// Notes a run that gave an answer.
    fn note(&mut self, extent: Extent) -> Result<(), SessionError> {
        let device = self.device.as_mut();
        let loaded = self
            .programs
            .get(device, &self.model, &self.geometry, extent)?;
        self.record.programs.insert(loaded.sha256.clone());
        self.record.runs += 1;
        Ok(())
    }
}
