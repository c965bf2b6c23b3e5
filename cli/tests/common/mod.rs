//! The program as a user runs it, and what it must never do.

use std::path::Path;
use std::process::{Command, Output, Stdio};

pub fn s(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The program on the smallest accelerator, with nothing of the caller's environment that it would
/// listen to.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fqbert"));
    command
        .args(args)
        .env("FQBERT_DEVICE", "emu:tiny")
        .env_remove("FQBERT_FALLBACK")
        .env_remove("FQBERT_MODEL");
    command
}

pub fn fqbert(args: &[&str]) -> Output {
    command(args).stdin(Stdio::null()).output().unwrap()
}

pub fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[track_caller]
pub fn json(out: &Output) -> serde_json::Value {
    assert!(out.status.success(), "{}", stderr(out));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Refused with status 1, without a panic, and with all of `words` in what is said.
#[track_caller]
pub fn refused(out: &Output, words: &[&str]) {
    let said = stderr(out);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "\"{word}\" is not in: {said}");
    }
}
