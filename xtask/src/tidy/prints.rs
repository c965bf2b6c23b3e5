//! Macros that print. They panic where standard output or standard error is closed or full, and
//! answers are lost for it; what ships writes with a result that it looks at.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::tree::{Finding, Tree};

const MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];
/// What is run by developers only: tasks, measurements, fuzzing, the plugin of the virtual board,
/// build scripts and tests.
const EXEMPT: [&str; 5] = [
    "xtask/",
    "bench/",
    "fuzz/",
    "simulation/",
    "accelerator/board-sim/",
];
const EXEMPT_PARTS: [&str; 4] = ["/tests/", "/benches/", "/build/", "/tests.rs"];

/// Finds them in libraries, programs and examples.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension(&["rs"]) {
        let exempt = EXEMPT.iter().any(|start| path.starts_with(start))
            || EXEMPT_PARTS.iter().any(|part| path.contains(part))
            || path.ends_with("build.rs");
        // Most files need no parsing to tell.
        if exempt || !MACROS.iter().any(|name| text.contains(name)) {
            continue;
        }
        let Ok(tokens) = text.parse() else { continue };
        for name in printing(tokens) {
            let what = format!(
                "`{name}!` panics where it cannot write: use `writeln!` and look at its result"
            );
            findings.push(Finding::new("print", path, None, what));
        }
    }
    findings
}

/// The printing macros of some code, without that of tests.
fn printing(tokens: TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    let mut of_tests = false;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) => {
                let is_macro = matches!(tokens.peek(), Some(TokenTree::Punct(p))
                    if p.as_char() == '!');
                if is_macro && MACROS.iter().any(|name| word == name) {
                    found.push(word.to_string());
                }
            }
            TokenTree::Group(group) => match group.delimiter() {
                Delimiter::Bracket if group.to_string() == "[cfg (test)]" => of_tests = true,
                Delimiter::Brace if of_tests => of_tests = false,
                _ => found.extend(printing(group.stream())),
            },
            TokenTree::Punct(p) if p.as_char() == ';' => of_tests = false,
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_found_outside_tests() {
        let tree = Tree::of(&[
            ("a/src/lib.rs", "fn f() { if x { println!(\"{x}\") } }"),
            ("a/examples/e.rs", "fn main() { std::eprintln!(); }"),
            (
                "a/src/m.rs",
                "#[cfg(test)]\nmod t;\n#[cfg(test)]\nmod tests { fn f() { println!() } }\n\
                 macro_rules! m { () => { dbg!(1) } }",
            ),
            (
                "a/src/doc.rs",
                "//! println!()\nconst A: &str = \"println!()\"; fn print() {}",
            ),
            ("a/tests/t.rs", "fn f() { println!() }"),
            ("xtask/src/main.rs", "fn f() { println!() }"),
        ]);
        let found: Vec<String> = check(&tree).iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        for (found, name) in found.iter().zip(["eprintln", "println", "dbg"]) {
            assert!(found.contains(&format!("`{name}!`")), "{found}");
        }
    }
}
