//! Results and errors, as text or as one JSON object.

use std::io::{self, Write};

use serde::Serialize;

/// Writes one JSON object and a newline.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// Writes text.
pub fn text(s: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(s.as_bytes())?;
    out.flush()?;
    Ok(())
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

/// What is wrong has been written to standard output: there is only the exit status left.
#[derive(Debug, thiserror::Error)]
#[error("see the output")]
pub struct Told;

/// Writes an error with its causes to standard error; with `--json` an object `{"error": ...,
/// "causes": [...]}` to standard output too.
pub fn report(error: &anyhow::Error, as_json: bool) {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    // Errors that show their source in their own text would be said twice.
    causes.dedup_by(|cause, before| before.contains(cause.as_str()));
    eprintln!("error: {}", causes.join(": "));
    if as_json {
        let (first, rest) = causes
            .split_first()
            .map_or(("", &[][..]), |(f, r)| (f.as_str(), r));
        // Standard error has said it already if this cannot be written.
        let _ = json(&serde_json::json!({ "error": first, "causes": rest }));
    }
}
