//! What a fuzzer calls: for each kind of input that comes from outside one function that takes any
//! bytes, and seeds to begin with.
//!
//! A target must return for all bytes: no panic, no wait, no allocation beyond what the input's
//! size allows. Beyond that each asserts what must hold for what was accepted, so that a wrong
//! answer is found and not only a crash.
//!
//! `cargo xtask fuzz` runs them under libFuzzer; the test of this crate runs each on its seeds and
//! on some thousand mutations of them, with any compiler and in seconds.

mod bitstream;
mod checkpoint;
mod files;
mod model;
mod mutate;
mod program;
mod recording;
mod sysfs;
mod table;
mod tokenizer;
mod uri;

pub use mutate::mutate;

/// A kind of input.
pub struct Target {
    /// Its name, as `cargo xtask fuzz` takes it.
    pub name: &'static str,
    /// What it reads, in a line.
    pub about: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Inputs that are accepted, or nearly so.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "model",
        about: "a quantized model file; what is accepted is written and read again",
        run: model::run,
        seeds: model::seeds,
    },
    Target {
        name: "checkpoint",
        about: "a Hugging Face folder: config.json, model.safetensors, tokenizer files",
        run: checkpoint::run,
        seeds: checkpoint::seeds,
    },
    Target {
        name: "tokenizer",
        about: "tokenizer.json and a text",
        run: tokenizer::run,
        seeds: tokenizer::seeds,
    },
    Target {
        name: "program",
        about: "a program's instructions; what the verifier passes runs on the emulator to its end",
        run: program::run,
        seeds: program::seeds,
    },
    Target {
        name: "recording",
        about: "a recording",
        run: recording::run,
        seeds: recording::seeds,
    },
    Target {
        name: "bitstream",
        about: "a .bit file",
        run: bitstream::run,
        seeds: bitstream::seeds,
    },
    Target {
        name: "manifest",
        about: "a bitstream's manifest",
        run: bitstream::run_manifest,
        seeds: bitstream::seeds_manifest,
    },
    Target {
        name: "sysfs",
        about: "a UIO device as sysfs describes it",
        run: sysfs::run,
        seeds: sysfs::seeds,
    },
    Target {
        name: "table",
        about: "a TSV file",
        run: table::run,
        seeds: table::seeds,
    },
    Target {
        name: "uri",
        about: "a device's URI",
        run: uri::run,
        seeds: uri::seeds,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Runs a target on an input, for libFuzzer's programs.
///
/// # Panics
/// There is no such target, or the input is a finding.
pub fn call(name: &str, input: &[u8]) {
    let target = target(name).unwrap_or_else(|| panic!("no target is called {name}"));
    (target.run)(input);
}
