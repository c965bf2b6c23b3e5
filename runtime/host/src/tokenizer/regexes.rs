//! Which regular expressions of a `tokenizer.json` are taken.
//!
//! The engine (fancy-regex) backtracks where a pattern looks around or refers back, up to a million
//! steps a match. Repetitions inside repetitions are what makes such a search exponential; no
//! tokenizer that we know has them.

use fancy_regex::Expr;
use fqbert_names::shown;
use serde_json::Value;

use super::walk::all;
use crate::tokenizer::TokenizerError;

/// Bytes of a pattern. GPT-4's has 200.
const MAX_PATTERN: usize = 4096;
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
    let tree = Expr::parse_tree(pattern).map_err(|e| refuse(e.to_string()))?;
    let nested = repetitions(&tree.expr);
    if nested > MAX_NESTED {
        return Err(refuse(
            "it repeats what is itself repeated, which can take time without end".into(),
        ));
    }
    Ok(())
}

/// The most repetitions of one part of an expression, those around it multiplied.
fn repetitions(e: &Expr) -> usize {
    let most = |all: &[Expr]| all.iter().map(repetitions).max().unwrap_or(1);
    match e {
        Expr::Concat(all) | Expr::Alt(all) => most(all),
        Expr::Group(one) | Expr::AtomicGroup(one) | Expr::LookAround(one, _) => repetitions(one),
        Expr::Repeat { child, hi, .. } => {
            let times = if *hi == usize::MAX { UNBOUNDED } else { *hi };
            times.max(1).saturating_mul(repetitions(child))
        }
        Expr::Conditional {
            condition,
            true_branch,
            false_branch,
        } => [condition, true_branch, false_branch]
            .map(|e| repetitions(e))
            .into_iter()
            .max()
            .unwrap_or(1),
        // A pattern that calls itself repeats without a bound.
        Expr::SubroutineCall(_) | Expr::UnresolvedNamedSubroutineCall { .. } => usize::MAX,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::check_one;

    #[test]
    fn patterns_of_known_tokenizers_are_taken() {
        for pattern in [
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}]*[\p{Ll}\p{Lm}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+",
            " {2,}",
            r"(?:\d{1,3})+",
        ] {
            check_one(pattern).unwrap();
        }
    }

    #[test]
    fn nested_repetitions_are_refused() {
        for pattern in [
            r"(a+)+(?!b)",
            r"(?:\s*x?)*$",
            "((a{1,400}){1,400}){2}",
            r"(a\g<1>?)",
        ] {
            let said = check_one(pattern).unwrap_err().to_string();
            assert!(said.contains("repeat"), "{pattern}: {said}");
        }
        let long = "a".repeat(5000);
        let said = check_one(&long).unwrap_err().to_string();
        assert!(said.contains("5000 bytes") && said.len() < 300, "{said}");
    }
}
