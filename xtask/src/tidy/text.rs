//! Widths of lines, lengths of files, and paths that are of one machine.

use super::tree::{Finding, Tree, is_generated};

const COLUMNS: usize = 100;
const LINES: usize = 500;

/// What is written by hand, beside Markdown.
const CODE: &[&str] = &[
    "rs", "toml", "sv", "v", "vlt", "c", "cc", "cpp", "h", "hpp", "rdl", "py", "sh", "tcl", "xdc",
    "dts", "dtsi", "dtso", "yaml", "yml", "css", "config",
];

/// Folders of homes, which nothing but one machine has. In pieces, so that this line is none.
const HOMES: [&str; 3] = [
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
];

/// Checks all files that are not generated.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension(CODE).filter(|(_, t)| !is_generated(t)) {
        for (number, line) in numbered(text) {
            let width = width(line);
            // A package's description is one line by Cargo's rule.
            if width > COLUMNS && !line.starts_with("description = ") {
                findings.push(wide(path, number, width));
            }
        }
        length(path, text, &mut findings);
    }
    for (path, text) in tree.with_extension(&["md"]) {
        homes(path, text, &mut findings);
        if !is_generated(text) {
            for (number, line) in prose(text) {
                let width = width(line);
                if width > COLUMNS && !is_one_sentence(line) {
                    findings.push(wide(path, number, width));
                }
            }
            length(path, text, &mut findings);
        }
    }
    for (path, text) in tree.with_extension(CODE) {
        homes(path, text, &mut findings);
    }
    findings
}

fn wide(path: &str, number: usize, width: usize) -> Finding {
    let what = format!("{width} columns, {COLUMNS} at most");
    Finding::new("width", path, Some(number), what)
}

fn length(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    if lines > LINES {
        let what = format!("{lines} lines, {LINES} at most");
        findings.push(Finding::new("length", path, None, what));
    }
}

fn homes(path: &str, text: &str, findings: &mut Vec<Finding>) {
    for (number, line) in numbered(text) {
        for home in HOMES {
            // Not within a path or an address: `a/home/` is nobody's.
            let found = line.match_indices(home).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                before.is_none_or(|c| !c.is_alphanumeric() && !"._-}".contains(c))
            });
            if found {
                let what = format!("a path below {home} is of one machine");
                findings.push(Finding::new("machine", path, Some(number), what));
            }
        }
    }
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

/// Columns of a line, without the web addresses in it, which nobody can break.
fn width(line: &str) -> usize {
    let address = |word: &str| match word.find("http") {
        Some(at) if word[at..].contains("://") => word[at..].chars().count(),
        _ => 0,
    };
    let addresses: usize = line.split_whitespace().map(address).sum();
    line.chars().count() - addresses
}

/// The lines of a Markdown text that are prose: no code, table or HTML comment.
pub fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let (mut fenced, mut blank) = (false, true);
    numbered(text).filter(move |(_, line)| {
        let trimmed = line.trim_start();
        let fence = trimmed.starts_with("```");
        fenced ^= fence;
        // A block of code by its indentation begins behind an empty line or another line of it.
        let indented = blank && line.starts_with("    ");
        blank = line.trim().is_empty() || indented;
        !(fenced || fence || indented || trimmed.starts_with('|') || trimmed.starts_with("<!--"))
    })
}

/// Whether no sentence ends before the line's end.
fn is_one_sentence(line: &str) -> bool {
    !line.match_indices(". ").any(|(at, _)| {
        let next = line[at + 2..].chars().next();
        // `e.g. Tcl` has no end of a sentence; a word of one letter is an abbreviation.
        let word = line[..at].rsplit([' ', '.', '(']).next().unwrap_or("");
        word.chars().count() > 1 && next.is_some_and(char::is_uppercase)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[(path, text)]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_wide_line_of_code_is_found() {
        let fits = format!("//{}\n", "x".repeat(98));
        assert!(found("a.rs", &fits).is_empty());
        let wide = format!("{fits}//{}\n", "ü".repeat(99));
        assert_eq!(
            found("a.rs", &wide),
            ["a.rs:2: 101 columns, 100 at most [width]"]
        );
        assert!(found("a.rs", &format!("// Generated by x\n{wide}")).is_empty());
        assert!(found("a.json", &wide).is_empty());
        let description = format!("description = \"{wide}");
        assert_eq!(
            found("Cargo.toml", &description).len(),
            1,
            "the second line"
        );
        let address = format!("// see https://example.org/{}\n", "x".repeat(99));
        assert!(found("a.rs", &address).is_empty());
    }

    #[test]
    fn prose_is_a_sentence_or_100_columns_a_line() {
        let word = "word ".repeat(25);
        assert!(
            found("a.md", &format!("{word}\n")).is_empty(),
            "one sentence"
        );
        let two = format!("{word}end. Then another.\n");
        assert_eq!(found("a.md", &two).len(), 1);
        assert_eq!(
            found("a.md", &format!("text\n    {two}")).len(),
            1,
            "no code"
        );
        for excepted in [
            format!("| {two}"),
            format!("```text\n{two}```\n"),
            format!("text\n\n    {two}    {two}"),
            format!("{word}e.g. Tcl\n"),
        ] {
            assert_eq!(found("a.md", &excepted), [""; 0], "{excepted}");
        }
        let after = format!("```text\n{two}```\n{two}");
        assert_eq!(found("a.md", &after).len(), 1, "behind the code");
    }

    #[test]
    fn a_long_file_is_found() {
        assert!(found("a.rs", &"\n".repeat(LINES)).is_empty());
        assert!(found("a.rs", &"\n".repeat(LINES + 1))[0].contains("501 lines"));
        assert!(found("a.md", &"\n".repeat(LINES + 1))[0].contains("501 lines"));
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let home = HOMES[0];
        assert_eq!(found("a.sh", &format!("cd {home}me\n")).len(), 1);
        assert_eq!(found("a.md", &format!("In `{home}me`.\n")).len(), 1);
        assert!(found("a.md", &format!("https://example.org{home}x\n")).is_empty());
    }
}
