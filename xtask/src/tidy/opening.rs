//! Files that are opened past `support/files`: without a bound, without a look at what they are, or
//! over something else.

use proc_macro2::{TokenStream, TokenTree};

use super::modules::{is_test, item};
use super::tree::{Finding, Tree};

/// What opens, reads or writes a file: a type or module, and its functions.
const OPENING: &[(&str, &[&str])] = &[
    ("File", &["open", "create", "create_new", "options"]),
    (
        "fs",
        &["read", "read_to_string", "write", "copy", "OpenOptions"],
    ),
    ("OpenOptions", &["new"]),
    ("Mmap", &["map"]),
    ("MmapMut", &["map_mut"]),
    ("MmapOptions", &["new"]),
    ("MmapRaw", &["map_raw", "from"]),
];

/// Folders and files of tests, build scripts and tools of the repository.
const EXCEPT: &[&str] = &[
    "tests", "tests.rs", "testing", "benches", "build", "build.rs",
];

/// What only developers run, on files of its own.
const DEVELOPERS: [&str; 2] = ["xtask/", "fuzz/"];

/// Checks all code that a user may run.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let code = tree.with_extension(&["rs"]).filter(|(path, _)| {
        !DEVELOPERS.iter().any(|folder| path.starts_with(folder))
            && !path.split('/').any(|part| EXCEPT.contains(&part))
    });
    let mut findings = Vec::new();
    for (path, text) in code {
        let Ok(tokens) = text.parse() else { continue };
        let mut found = Vec::new();
        walk(tokens, &mut found);
        found.dedup();
        findings.extend(found.into_iter().map(|what| {
            let what = format!("{what} opens a file past support/files: use its functions");
            Finding::new("file", path, None, what)
        }));
    }
    findings
}

fn walk(tokens: TokenStream, found: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let rest = &tokens[at..];
        match (token, rest.get(1)) {
            (TokenTree::Punct(hash), Some(TokenTree::Group(attribute)))
                if hash.as_char() == '#' && is_test(&attribute.stream()) =>
            {
                at += 2 + item(&rest[2..]);
                continue;
            }
            (TokenTree::Ident(owner), _) => opening(&owner.to_string(), rest, found),
            (TokenTree::Group(group), _) => walk(group.stream(), found),
            _ => {}
        }
        at += 1;
    }
}

/// `owner::function`, or `owner::{..., function, ...}` of an import.
fn opening(owner: &str, rest: &[TokenTree], found: &mut Vec<String>) {
    let Some((_, functions)) = OPENING.iter().find(|(name, _)| *name == owner) else {
        return;
    };
    let colon = |at: usize| matches!(rest.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    if !(colon(1) && colon(2)) {
        return;
    }
    let named: Vec<String> = match rest.get(3) {
        Some(TokenTree::Ident(name)) => vec![name.to_string()],
        Some(TokenTree::Group(group)) => {
            let names = group.stream().into_iter();
            names.map(|name| name.to_string()).collect()
        }
        _ => Vec::new(),
    };
    // The type alone does nothing; where it is imported, its `new` is found.
    let named = named.iter().filter(|name| *name != "OpenOptions");
    let named = named.filter(|name| functions.contains(&name.as_str()));
    found.extend(named.map(|name| format!("`{owner}::{name}`")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[(path, text)]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_file_opened_past_the_function_is_found() {
        for (text, what) in [
            ("fn f() { File::open(p)?; }", "`File::open`"),
            ("fn f() { std::fs::File::create(p)?; }", "`File::create`"),
            ("fn f() { g(|| fs::read(p)) }", "`fs::read`"),
            (
                "fn f() { std::fs::read_to_string(p) }",
                "`fs::read_to_string`",
            ),
            ("fn f() { fs::write(p, b) }", "`fs::write`"),
            ("use std::fs::{self, read, File};", "`fs::read`"),
            ("use std::fs::write;", "`fs::write`"),
            (
                "fn f() { fs::OpenOptions::new().open(p) }",
                "`OpenOptions::new`",
            ),
            ("fn f() { unsafe { Mmap::map(&f) } }", "`Mmap::map`"),
            (
                "fn f() { unsafe { MmapOptions::new().map(&f) } }",
                "`MmapOptions::new`",
            ),
            ("mod a { fn f() { m!(File::open(p)) } }", "`File::open`"),
        ] {
            let found = found("runtime/src/a.rs", text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(
                found[0].contains(what) && found[0].ends_with("[file]"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn tests_tools_and_words_are_not() {
        let opening = "fn f() { File::open(p) }";
        for path in [
            "cli/tests/cli/main.rs",
            "xtask/src/a.rs",
            "accelerator/cosim/build/main.rs",
            "support/files/src/tests.rs",
            "a/build.rs",
            "a.md",
        ] {
            assert_eq!(found(path, opening), [""; 0], "{path}");
        }
        for text in [
            "#[cfg(test)] mod tests { fn f() { File::open(p) } }",
            "// File::open\nconst A: &str = \"fs::read(p)\";",
            "use std::fs::{File, OpenOptions};",
            "fn f() { fs::metadata(p); fs::read_dir(p); fs::remove_file(p) }",
            "fn f() { sysfs::read(p); file.write(b) }",
        ] {
            assert_eq!(found("runtime/src/a.rs", text), [""; 0], "{text}");
        }
    }
}
