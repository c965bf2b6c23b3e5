//! What `startup --json` writes and a table of docs/performance.md is made of.

use serde::{Deserialize, Serialize};

/// What one process measures of itself, milliseconds and bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// Reading and checking the file.
    pub load_ms: f64,
    /// Device and session: constants packed and copied to device memory.
    pub open_ms: f64,
    /// Packing alone, done once more at the end.
    pub pack_ms: f64,
    /// Program compiled, verified, copied.
    pub compile_ms: f64,
    /// First inference, with what the emulator does once.
    pub first_ms: f64,
    /// All of the above.
    pub total_ms: f64,
    /// CPU of all threads of all of the above; none where the kernel does not count it.
    pub cpu_ms: Option<f64>,
    /// Another inference.
    pub second_ms: f64,
    /// Resident after the answers.
    pub resident: u64,
    /// Resident at most.
    pub peak: u64,
}

/// What all processes measured.
#[derive(Serialize, Deserialize)]
pub struct Report {
    /// The CPU's name.
    pub cpu: String,
    /// Threads of the emulator.
    pub threads: usize,
    /// Tokens of the request.
    pub sequence: usize,
    /// Size of the model file.
    pub file_bytes: u64,
    /// The process with the median total.
    pub median: Start,
    /// The least total of all.
    pub fastest_total_ms: f64,
    /// Resident afterwards, of the file's size.
    pub resident_by_file: f64,
    /// Resident at most, of the file's size.
    pub peak_by_file: f64,
}
