//! Results and errors, as text or as JSON: the one place that writes to standard output and to
//! standard error.
//!
//! What cannot be written to standard output is an error. What cannot be written to standard error
//! is lost, and nothing else: answers do not depend on it.

use std::fmt;
use std::io::{self, Write};

use anyhow::{Context, ensure};
use fqbert_host::Unknown;
use fqbert_names::message;
use serde::Serialize;

use crate::closed;

/// Writes one JSON object and a newline.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    write(&text)
}

/// Writes text.
pub fn text(s: &str) -> anyhow::Result<()> {
    write(s.as_bytes())
}

/// Refuses a standard output that is closed.
pub fn ensure_open() -> anyhow::Result<()> {
    ensure!(
        !closed::stdout(),
        "cannot write to standard output: it is closed"
    );
    Ok(())
}

fn write(bytes: &[u8]) -> anyhow::Result<()> {
    ensure_open()?;
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.context("cannot write to standard output")
}

/// Writes a line to standard error, if that can be done.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", message(line));
}

/// Says what is not as it should be, but goes on.
pub fn warn(what: &str) {
    say(&format!("warning: {what}"));
}

/// Says how many texts were cut, if any were.
pub fn warn_of_cuts(cut: usize, of: usize, longest: usize) {
    if cut > 0 {
        warn(&format!(
            "{cut} of {of} texts were cut to {longest} tokens, the longest sequence of this model \
             on this device"
        ));
    }
}

/// Says how much of the texts is not in the vocabulary, if it is much.
pub fn warn_of_unknown(unknown: Unknown) {
    if unknown.is_much() {
        warn(&format!(
            "{} of {} tokens ({:.0} %) are unknown to the model's tokenizer: it is not the one for \
             these texts, or the texts are not those that the model is for",
            unknown.unknown,
            unknown.tokens,
            100.0 * unknown.share()
        ));
    }
}

/// Standard error for a library that logs: what cannot be written is lost.
pub struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().lock().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error that standard output has told already, as a part of its JSON.
#[derive(Debug)]
pub struct Told(pub anyhow::Error);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Told {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// Whether the reader of our output has gone, which is no failure of ours.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause
            .downcast_ref::<serde_json::Error>()
            .and_then(|e| e.io_error_kind());
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}

/// What an error and each of its causes say. Errors that show their source in their own text would
/// be said twice.
pub fn causes(error: &anyhow::Error) -> Vec<String> {
    let mut causes: Vec<String> = error.chain().map(|e| message(&e.to_string())).collect();
    causes.dedup_by(|cause, before| before.contains(cause.as_str()));
    causes
}

/// An error as JSON has it.
#[derive(Serialize)]
pub struct ErrorObject {
    error: String,
    causes: Vec<String>,
}

impl ErrorObject {
    /// The error with its causes.
    pub fn of(error: &anyhow::Error) -> Self {
        let mut causes = causes(error);
        let error = causes.remove(0);
        Self { error, causes }
    }
}

/// Writes an error with its causes to standard error; with `--json` an object `{"error": ...,
/// "causes": [...]}` to standard output too.
pub fn report(error: &anyhow::Error, as_json: bool) {
    say(&format!("error: {}", causes(error).join(": ")));
    if as_json && !error.is::<Told>() {
        // Standard error has said it already if this cannot be written.
        let _ = json(&ErrorObject::of(error));
    }
}
