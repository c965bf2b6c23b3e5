//! How far the work has come.

use crate::error::QuantizeError;

/// Receives progress; a command-line program draws a bar from it.
pub trait Progress {
    /// A phase of `steps` steps begins, such as "layer 3 of 12".
    fn phase(&mut self, name: &str, steps: usize);
    /// One step of the phase is done. Returning false stops the work with
    /// [`QuantizeError::Cancelled`](crate::QuantizeError::Cancelled).
    fn step(&mut self) -> bool;
}

/// Shows nothing and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn phase(&mut self, _: &str, _: usize) {}

    fn step(&mut self) -> bool {
        true
    }
}

/// Puts a word before the name of each phase.
pub(crate) struct Prefixed<'a>(pub(crate) &'a str, pub(crate) &'a mut dyn Progress);

impl Progress for Prefixed<'_> {
    fn phase(&mut self, name: &str, steps: usize) {
        self.1.phase(&format!("{}: {name}", self.0), steps);
    }

    fn step(&mut self) -> bool {
        self.1.step()
    }
}

/// One step, or the error that stops the work.
pub(crate) fn step(progress: &mut dyn Progress) -> Result<(), QuantizeError> {
    if progress.step() {
        Ok(())
    } else {
        Err(QuantizeError::Cancelled)
    }
}
