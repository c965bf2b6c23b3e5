//! `cargo xtask tidy`: what no compiler checks. Widths and lengths, links, the two lists in
//! ARCHITECTURE.md that are facts of the sources (which crate depends on which, where `unsafe` is),
//! the layers of the crates, import circles between modules, macros that print, and files that are
//! opened past the functions for it.
//!
//! A rule is a function of the tree of files alone, so each has a test with a planted violation.
//! What a rule finds can be excepted in `exceptions.toml`, with a reason.

mod crates;
mod exceptions;
mod links;
mod modules;
mod opening;
mod prints;
mod text;
mod tree;
mod unsafety;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use self::crates::Crates;
use self::tree::{Finding, Tree};
use crate::host::{root, write_atomically};

/// `cargo xtask tidy`.
#[derive(clap::Args)]
pub struct Args {
    /// Write the lists in ARCHITECTURE.md from the sources.
    #[arg(long)]
    bless: bool,
}

/// The file with the lists.
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Runs the subcommand.
pub fn main(args: &Args) -> Result<ExitCode> {
    let root = root();
    if args.bless {
        bless(&root)?;
    }
    run(&root)?;
    Ok(ExitCode::SUCCESS)
}

/// All rules.
///
/// # Errors
/// Something is found: all of it, one a line.
pub fn run(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let crates = Crates::read(root)?;
    let mut findings = text::check(&tree);
    findings.extend(links::check(&tree));
    findings.extend(links::folders(&tree, ARCHITECTURE));
    for (name, lines) in lists(&tree, &crates) {
        findings.extend(check_list(&tree, name, &lines));
    }
    findings.extend(crates.upward());
    findings.extend(modules::check(&tree, &crates.roots));
    findings.extend(opening::check(&tree));
    findings.extend(prints::check(&tree));
    let findings = exceptions::apply(findings)?;
    let text: Vec<String> = findings.iter().map(Finding::to_string).collect();
    ensure!(
        findings.is_empty(),
        "{} untidy places:\n{}",
        findings.len(),
        text.join("\n")
    );
    Ok(())
}

/// The lists of [`ARCHITECTURE`] by the names of their markers.
fn lists(tree: &Tree, crates: &Crates) -> [(&'static str, Vec<String>); 2] {
    [
        ("dependencies", crates.lines()),
        ("unsafe", unsafety::files(tree)),
    ]
}

/// A list stands between two comments, in a block of code.
fn block(name: &str, lines: &[String]) -> String {
    format!(
        "<!-- {name}:begin -->\n```text\n{}\n```\n<!-- {name}:end -->",
        lines.join("\n")
    )
}

/// Where the list is in a text, with its markers.
fn place(text: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let end = format!("<!-- {name}:end -->");
    let from = text.find(&format!("<!-- {name}:begin -->"))?;
    let to = from + text[from..].find(&end)? + end.len();
    Some(from..to)
}

fn check_list(tree: &Tree, name: &str, lines: &[String]) -> Option<Finding> {
    let text = tree.text(ARCHITECTURE).unwrap_or_default();
    let found = place(text, name).map(|range| &text[range]);
    let why = match found {
        None => format!("no list between <!-- {name}:begin --> and <!-- {name}:end -->"),
        Some(have) if have == block(name, lines) => return None,
        Some(have) => {
            let have: Vec<&str> = have.lines().skip(2).collect();
            let new = lines.iter().find(|line| !have.contains(&line.as_str()));
            let gone = have
                .iter()
                .find(|line| !line.starts_with(['`', '<']) && !lines.iter().any(|l| l == *line));
            match (new, gone) {
                (Some(new), _) => format!("the list `{name}` lacks `{new}`"),
                (None, Some(gone)) => format!("the list `{name}` has `{gone}`, which is not so"),
                (None, None) => format!("the list `{name}` is in another order"),
            }
        }
    };
    let remedy = format!("{why}; run `cargo xtask tidy --bless`");
    Some(Finding::new("list", ARCHITECTURE, None, remedy))
}

fn bless(root: &Path) -> Result<()> {
    let (tree, crates) = (Tree::read(root)?, Crates::read(root)?);
    let mut text = tree
        .text(ARCHITECTURE)
        .with_context(|| format!("no {ARCHITECTURE}"))?
        .to_owned();
    for (name, lines) in lists(&tree, &crates) {
        let range = place(&text, name)
            .with_context(|| format!("{ARCHITECTURE} has no <!-- {name}:begin --> and :end"))?;
        text.replace_range(range, &block(name, &lines));
    }
    write_atomically(&root.join(ARCHITECTURE), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, lines: &[&str]) -> Option<String> {
        let lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
        let tree = Tree::of(&[(ARCHITECTURE, text)]);
        check_list(&tree, "unsafe", &lines).map(|f| f.to_string())
    }

    #[test]
    fn a_list_that_is_not_so_is_found() {
        let text = "# A\n<!-- unsafe:begin -->\n```text\na.rs\nb.rs\n```\n<!-- unsafe:end -->\n";
        assert_eq!(found(text, &["a.rs", "b.rs"]), None);
        assert!(found(text, &["a.rs"]).unwrap().contains("has `b.rs`"));
        let lacks = found(text, &["a.rs", "b.rs", "c.rs"]).unwrap();
        assert!(lacks.contains("lacks `c.rs`"), "{lacks}");
        assert!(found(text, &["b.rs", "a.rs"]).unwrap().contains("order"));
        assert!(found("# A\n", &[]).unwrap().contains("no list between"));
    }
}
