//! Figures of merit. Fractions and correlations are plain numbers here, within -1..=1; reports give
//! them times 100.
//!
//! A figure that its data leave undefined is `None`, never a number that looks like a measurement.

pub mod classes;
pub mod correlation;
pub mod entities;
pub mod intervals;
pub mod noise;
pub mod significance;
mod times;

pub use times::median_min;

/// Index of the largest value, the first of equal ones; 0 of none.
pub fn argmax(values: &[f32]) -> usize {
    let better = |best: usize, (i, v): (usize, &f32)| if *v > values[best] { i } else { best };
    values.iter().enumerate().fold(0, better)
}
