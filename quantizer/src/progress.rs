//! How far the work has come.

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
