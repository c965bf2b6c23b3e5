//! What an answer was computed by.

use std::collections::BTreeSet;
use std::sync::Arc;

/// What the last call of a session did, or what answered a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunRecord {
    /// Name of the accelerator's geometry.
    pub geometry: &'static str,
    /// Build number of its bitstream, 0 for emulation.
    pub build: u32,
    /// SHA-256 of each program that ran, wherever it is bound
    /// ([`fqbert_compiler::program_sha256`]).
    pub programs: BTreeSet<Arc<str>>,
    /// Runs that gave the answers.
    pub runs: u64,
    /// Attempts at them: more than `runs` where one was repeated.
    pub attempts: u64,
    /// Of these runs, those after which code, constants and input were found intact in device
    /// memory before the answer was given.
    pub scrubbed: u64,
    /// Why the fallback device answered, and not the first; `None` if it did not.
    pub fallback: Option<Arc<str>>,
}
