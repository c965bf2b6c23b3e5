//! Which regular expressions of a `tokenizer.json` are taken.
//!
//! They run in Oniguruma, as in Python's tokenizers, so that they mean the same. It backtracks, up
//! to ten million steps a match; what goes beyond is an error. Repetitions inside repetitions are
//! what makes such a search exponential; no tokenizer that we know has them. They are looked for in
//! the pattern itself, together with what calls, asks or leaves out parts of it.

use std::iter::Peekable;
use std::str::CharIndices;

use fqbert_names::shown;
use serde_json::Value;
use tokenizers::utils::SysRegex;

use super::fence::fenced;
use super::walk::all;
use crate::tokenizer::TokenizerError;

/// Bytes of a pattern. GPT-4's has 200.
const MAX_PATTERN: usize = 4096;
/// Groups inside groups.
const MAX_DEPTH: usize = 64;
/// Repetitions of repetitions, each without a bound counted as [`UNBOUNDED`].
const MAX_NESTED: usize = 100_000;
const UNBOUNDED: usize = 1000;

/// Checks every `{"Regex": ..}` of a part of the file.
pub(super) fn check(part: &Value) -> Result<(), TokenizerError> {
    for pattern in all(part, "Regex") {
        if let Some(pattern) = pattern.as_str() {
            check_one(pattern)?;
        }
    }
    Ok(())
}

fn check_one(pattern: &str) -> Result<(), TokenizerError> {
    let refuse = |reason: String| TokenizerError::Regex {
        pattern: shown(pattern).to_string(),
        reason,
    };
    if pattern.len() > MAX_PATTERN {
        let bytes = pattern.len();
        return Err(refuse(format!("{bytes} bytes, {MAX_PATTERN} at most")));
    }
    let mut scan = Scan {
        pattern,
        rest: pattern.char_indices().peekable(),
        depth: 0,
    };
    if scan.alternatives().map_err(refuse)? > MAX_NESTED {
        return Err(refuse(
            "it repeats what is itself repeated, which can take time without end".into(),
        ));
    }
    fenced(|| SysRegex::new(pattern)).map_err(refuse)?;
    Ok(())
}

/// A walk through a pattern, which the engine checks itself afterwards.
struct Scan<'p> {
    pattern: &'p str,
    rest: Peekable<CharIndices<'p>>,
    depth: usize,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<char> {
        self.rest.next().map(|(_, c)| c)
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().map(|(_, c)| *c)
    }

    fn take(&mut self, wanted: char) -> bool {
        self.rest.next_if(|(_, c)| *c == wanted).is_some()
    }

    /// What is left of the pattern.
    fn left(&mut self) -> &str {
        let at = self.rest.peek().map_or(self.pattern.len(), |(at, _)| *at);
        &self.pattern[at..]
    }

    /// The most repetitions of one part up to the end of the group, those around it multiplied.
    fn alternatives(&mut self) -> Result<usize, String> {
        let mut most = 1;
        while let Some(c) = self.peek().filter(|c| *c != ')') {
            self.next();
            let one = match c {
                '(' => self.group()?,
                '[' => {
                    self.class();
                    1
                }
                '\\' => {
                    if self.next() == Some('g') {
                        return Err("it calls a part of itself (\\g), which can repeat it \
                                    without end"
                            .into());
                    }
                    1
                }
                _ => 1,
            };
            most = most.max(one.saturating_mul(self.quantifiers()));
        }
        Ok(most)
    }

    /// A group behind its parenthesis.
    fn group(&mut self) -> Result<usize, String> {
        if self.left().starts_with("?#") {
            while self.next().is_some_and(|c| c != ')') {}
            return Ok(1);
        }
        for (start, what) in [
            ("?~", "what is left out"),
            ("?(", "a condition"),
            ("?{", "a call"),
            ("?@", "a history of captures"),
            ("*", "a call"),
        ] {
            if self.left().starts_with(start) {
                return Err(format!("({start} is {what}, which is not taken"));
            }
        }
        let flags = self.left().strip_prefix('?').map(|rest| {
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic() && c != '-');
            rest[..letters.unwrap_or(rest.len())].to_owned()
        });
        if flags.is_some_and(|flags| flags.contains('x')) {
            return Err("the flag x changes how it is read, and is not taken".into());
        }
        if self.depth >= MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} groups inside groups"));
        }
        // What stands before the group's own pattern, such as ?<=, has no repetitions.
        if self.take('?') {
            self.next();
        }
        self.depth += 1;
        let most = self.alternatives()?;
        self.depth -= 1;
        self.take(')');
        Ok(most)
    }

    /// A class of characters behind its bracket, those inside it included.
    fn class(&mut self) {
        let mut depth = 1;
        let mut first = true;
        self.take('^');
        while let Some(c) = self.next() {
            match c {
                '\\' => {
                    self.next();
                }
                '[' => {
                    depth += 1;
                    self.take('^');
                    first = true;
                    continue;
                }
                ']' if !first => depth -= 1,
                _ => {}
            }
            first = false;
            if depth == 0 {
                return;
            }
        }
    }

    /// How often what stands before is repeated.
    fn quantifiers(&mut self) -> usize {
        let mut times: usize = 1;
        let mut before = None;
        while let Some(c) = self.peek() {
            let this = match c {
                // Behind another one they say in which order it is tried, but not behind {n}.
                '?' => 1,
                '+' if matches!(before, Some('*' | '+' | '?')) => 1,
                '*' | '+' => UNBOUNDED,
                '{' => match self.bound() {
                    None => break,
                    Some(times) => times,
                },
                _ => break,
            };
            if c != '{' {
                self.next();
            }
            times = times.saturating_mul(this.max(1));
            before = Some(c);
        }
        times
    }

    /// `{n}`, `{n,}`, `{,n}` or `{n,m}`; a brace that begins none of these is a letter.
    fn bound(&mut self) -> Option<usize> {
        let inside = self.left().strip_prefix('{')?.split_once('}')?.0.to_owned();
        let (low, high) = inside.split_once(',').unwrap_or((&inside, &inside));
        let number = |text: &str| text.is_empty() || text.bytes().all(|b| b.is_ascii_digit());
        if !number(low) || !number(high) || (low.is_empty() && high.is_empty()) {
            return None;
        }
        for _ in 0..inside.len() + 2 {
            self.next();
        }
        Some(if high.is_empty() {
            UNBOUNDED
        } else {
            high.parse().unwrap_or(usize::MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use tokenizers::utils::SysRegex;

    use super::super::fence::fenced;
    use super::check_one;

    #[test]
    fn patterns_of_known_tokenizers_are_taken() {
        for pattern in [
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}]*[\p{Ll}\p{Lm}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+",
            " {2,}",
            r"(?:\d{1,3})+",
            r"[[:punct:]]|[^\]\[(+*]++|\X|[])]+|(?<=a)b|(?<n>c)\k<n>|(?#(a+)d{,3}|\{",
        ] {
            check_one(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
        }
    }

    #[test]
    fn nested_repetitions_are_refused() {
        for pattern in [
            r"(a+)+(?!b)",
            r"(?:\s*x?)*$",
            "((a{1,400}){1,400}){2}",
            r"(a\g<1>?)",
            r"([^)]*[)](b+))*",
            r"a{2,}{3,}{4}",
        ] {
            let said = check_one(pattern).unwrap_err().to_string();
            assert!(said.contains("repeat"), "{pattern}: {said}");
        }
        let long = "a".repeat(5000);
        let said = check_one(&long).unwrap_err().to_string();
        assert!(said.contains("5000 bytes") && said.len() < 300, "{said}");
        check_one(&"(".repeat(2000)).unwrap_err();
    }

    #[test]
    fn what_the_engine_refuses_is_named() {
        for (pattern, reason) in [
            ("a(b", "end pattern"),
            (r"\p{Nosuch}", "invalid character property name"),
            ("(?~abc)", "left out"),
            ("(?x: a # (b", "flag x"),
            ("(?(a)b|c)", "condition"),
        ] {
            let said = check_one(pattern).unwrap_err().to_string();
            assert!(said.contains(reason) && said.contains("regular"), "{said}");
        }
    }

    #[test]
    fn a_search_that_takes_too_long_is_an_error() {
        let pattern = SysRegex::new("a*a*a*a*a*a*b").unwrap();
        // Without the b at the end it sees that there is nothing to search for.
        let text = "a".repeat(2000) + "xb";
        let said = fenced(|| Ok(pattern.find_iter(&text).count())).unwrap_err();
        assert!(said.contains("retry"), "{said}");
    }
}
