//! timing.
