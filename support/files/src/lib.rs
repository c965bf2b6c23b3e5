//! Files, as everything here reads and writes them.
//!
//! - Inputs ([`read`], [`Input`]) are regular files with a bound, read and not mapped; texts
//!   ([`TextInput`]) may come through a pipe or standard input.
//! - Outputs ([`Output`], [`write_atomically`]) are there as a whole or not at all, and never in
//!   the place of something else; [`Outputs`] keeps them off a command's inputs and off each other.
//! - The mark that some editors put before a text ([`without_bom`]).
//! - Digests as text ([`sha256_hex`]).

mod input;
mod kind;
mod output;
mod outputs;
#[cfg(test)]
mod tests;
mod text_input;

use std::io::{self, Write};

use sha2::{Digest, Sha256};

pub use input::{Input, InputError, read};
pub use kind::Kind;
pub use output::{Output, OutputError, is_temporary, write_atomically};
pub use outputs::Outputs;
pub use text_input::TextInput;

/// A text without the byte order mark that some editors put before it, which is no part of it.
pub fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// SHA-256 of the parts one after the other, as 64 lower-case hexadecimal digits.
pub fn sha256_hex<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut digest = Sha256::new();
    parts.into_iter().for_each(|part| digest.update(part));
    hex(&digest.finalize())
}

/// SHA-256 of what `write` writes, as 64 lower-case hexadecimal digits, without keeping it.
///
/// # Errors
/// What `write` returns; the digest itself refuses nothing.
pub fn sha256_of<E>(write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<String, E> {
    let mut sink = Sink(Sha256::new());
    write(&mut sink)?;
    Ok(hex(&sink.0.finalize()))
}

/// A writer into a digest.
struct Sink(Sha256);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes as lower-case hexadecimal digits, two a byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
