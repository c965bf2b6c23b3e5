//! Names from files, made safe to show in a message.
//!
//! The name of a tensor, a label, a token or a field is whatever its file says: it may be megabytes
//! long, or move a terminal's cursor. Whatever is put into a message from a file goes through
//! [`shown`].

use std::fmt::{self, Write};
use std::path::Path;

/// Characters of a name that are shown.
const SHOWN: usize = 120;
/// Characters of a message.
const SAID: usize = 400;
/// Characters of a whole message.
const MESSAGE: usize = 4000;

/// A name as a message shows it: at most 120 characters, followed by the length if there are more;
/// control characters and those that hide or turn text are written as `\u{..}`.
pub fn shown(name: &str) -> Shown<'_> {
    Shown {
        text: name,
        most: SHOWN,
    }
}

/// A longer message from elsewhere, such as a library's error: at most 400 characters, otherwise as
/// [`shown`].
pub fn said(message: &str) -> Shown<'_> {
    Shown {
        text: message,
        most: SAID,
    }
}

/// Several names as a message shows them: the first 20, with commas between.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    const LISTED: usize = 20;
    let first = names.iter().take(LISTED);
    let mut text: Vec<String> = first.map(|name| shown(name.as_ref()).to_string()).collect();
    if names.len() > LISTED {
        text.push(format!("... ({} in all)", names.len()));
    }
    text.join(", ")
}

/// A path as a message shows it.
pub fn path(path: &Path) -> String {
    said(&path.to_string_lossy()).to_string()
}

/// A whole message of which some part may be from elsewhere: at most 4,000 characters, without
/// control characters but for line feeds.
pub fn message(text: &str) -> String {
    let mut out = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == MESSAGE {
            out += &format!("... ({} bytes)", text.len());
            break;
        }
        if c == '\n' {
            out.push(c);
        } else {
            // A string takes every character.
            let _ = write(&mut out, c);
        }
    }
    out
}

/// What [`shown`] gives.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    text: &'a str,
    most: usize,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.text.chars();
        for c in chars.by_ref().take(self.most) {
            write(f, c)?;
        }
        if chars.next().is_some() {
            write!(f, "... ({} bytes)", self.text.len())?;
        }
        Ok(())
    }
}

fn write(out: &mut impl Write, c: char) -> fmt::Result {
    if c.is_control() || hides(c) {
        write!(out, "\\u{{{:x}}}", c as u32)
    } else {
        out.write_char(c)
    }
}

/// Marks of no width, and those that turn the direction of what follows.
fn hides(c: char) -> bool {
    let ranges = ['\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}'];
    ranges.iter().any(|r| r.contains(&c)) || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay() {
        assert_eq!(shown("layer.0.q.weight").to_string(), "layer.0.q.weight");
        assert_eq!(shown("größe 日本").to_string(), "größe 日本");
    }

    #[test]
    fn long_names_are_cut_and_say_how_long_they_are() {
        let name = "x".repeat(100_000);
        let said = shown(&name).to_string();
        assert_eq!(said, format!("{}... (100000 bytes)", "x".repeat(SHOWN)));
        assert_eq!(shown(&name[..SHOWN]).to_string(), name[..SHOWN]);
        assert!(message(&name).ends_with("x... (100000 bytes)"));
        assert!(message(&name).len() < 4100 && path(Path::new(&name)).len() < 500);
    }

    #[test]
    fn what_moves_or_hides_is_escaped() {
        let said = shown("a\x1b[31m\r\n\u{202e}b\u{200b}").to_string();
        assert_eq!(said, "a\\u{1b}[31m\\u{d}\\u{a}\\u{202e}b\\u{200b}");
        assert_eq!(message("one\ntwo\x07"), "one\ntwo\\u{7}");
    }

    #[test]
    fn lists_end() {
        assert_eq!(listed(&["a", "b\t"]), "a, b\\u{9}");
        let many = vec!["n"; 21];
        assert!(listed(&many).ends_with("n, ... (21 in all)"));
    }
}
