//! What `fqbert-peers --json` writes and the tables of docs/performance.md are made of.

use serde::{Deserialize, Serialize};

use crate::Limit;

/// Runtimes on one model, one length and one machine.
#[derive(Serialize, Deserialize)]
pub struct Comparison {
    /// The CPU's name.
    pub cpu: String,
    /// CPUs that the process may use.
    pub cpus: usize,
    /// Of the last minute before the report, this command included.
    pub load_average: Option<f64>,
    /// The model's shape.
    pub shape: String,
    /// Tokens of a request.
    pub sequence: usize,
    /// Threads of each runtime.
    pub threads: usize,
    /// Turns, each runtime once in each.
    pub runs: usize,
    /// Multiply-accumulates of an inference.
    pub macs: f64,
    /// What the CPU could do at most, where there is a probe for it.
    pub int8_limit: Option<Limit>,
    /// A line for each runtime.
    pub results: Vec<Line>,
}

/// One runtime's times, in milliseconds.
#[derive(Serialize, Deserialize)]
pub struct Line {
    /// The runtime.
    pub name: String,
    /// Its version and options.
    pub version: String,
    /// The median of all turns.
    pub median_ms: f64,
    /// The fastest turn.
    pub min_ms: f64,
    /// fqbert's median over this one's.
    pub ours_by_median: f64,
    /// fqbert's fastest turn over this one's.
    pub ours_by_min: f64,
    /// CPU of all threads, the median; none where the kernel does not count it.
    pub cpu_ms: Option<f64>,
    /// fqbert's CPU over this one's; none where the kernel does not count it.
    pub ours_by_cpu: Option<f64>,
    /// Multiply-accumulates a second at the median.
    pub macs_per_second: f64,
    /// Of the limit; above 1 is possible for one that computes in fewer operations than the probe's
    /// instruction.
    pub share_of_limit: Option<f64>,
}
