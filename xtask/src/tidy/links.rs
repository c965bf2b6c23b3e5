//! Links between Markdown files, and the folders that ARCHITECTURE.md describes.

use std::collections::HashSet;

use super::text::prose;
use super::tree::{Finding, Tree};

/// Links to files, folders and headings that are not there.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension(&["md"]) {
        for (number, target) in links(text) {
            if let Some(what) = dead(tree, path, target) {
                findings.push(Finding::new("link", path, Some(number), what));
            }
        }
    }
    findings
}

/// Targets of `[text](target)` and `[name]: target`, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    // Tables have links too.
    let tables = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    let tables = tables.filter(|(_, line)| line.trim_start().starts_with('|'));
    for (number, line) in prose(text).chain(tables) {
        let mut code = false;
        for (index, piece) in line.split('`').enumerate() {
            code = index % 2 == 1;
            if code {
                continue;
            }
            let inline = piece.match_indices("](").filter_map(|(at, _)| {
                let target = &piece[at + 2..];
                target.find(')').map(|end| &target[..end])
            });
            found.extend(inline.map(|target| (number, target)));
        }
        // A link whose text is code: the brackets are in two pieces, but `](` follows the code.
        let definition = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
            .filter(|_| !code);
        found.extend(definition.map(|(_, target)| (number, target)));
    }
    found
}

fn dead(tree: &Tree, path: &str, target: &str) -> Option<String> {
    let target = target.split_whitespace().next().unwrap_or_default();
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let file = if file.is_empty() {
        path.to_owned()
    } else {
        joined(folder, file)
    };
    if !tree.exists(&file) {
        return Some(format!("a link to `{target}`, which is not there"));
    }
    let text = tree.text(&file).filter(|_| file.ends_with(".md"))?;
    let missing = !anchor.is_empty() && !anchors(text).contains(anchor);
    missing.then(|| format!("a link to `{target}`: {file} has no such heading"))
}

/// A path from the root, of one from a folder.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Anchors as GitHub makes them of headings, and those that stand as HTML.
fn anchors(text: &str) -> HashSet<String> {
    let mut anchors = HashSet::new();
    for (_, line) in prose(text) {
        if let Some(heading) = line.strip_prefix('#') {
            let slug: String = heading
                .trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let again = (1..).map(|n| format!("{slug}-{n}"));
            let free = std::iter::once(slug.clone())
                .chain(again)
                .find(|slug| !anchors.contains(slug));
            anchors.extend(free);
        }
        for mark in ["id=\"", "name=\""] {
            let named = line.split(mark).skip(1);
            anchors.extend(named.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    anchors
}

/// Paths in the first column of a file's tables that are not there.
pub fn folders(tree: &Tree, path: &str) -> Vec<Finding> {
    let text = tree.text(path).unwrap_or_default();
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(row) = line.strip_prefix('|') else {
            continue;
        };
        let first = row.split('|').next().unwrap_or_default();
        for named in first.split('`').skip(1).step_by(2) {
            if named.contains(['/', '.']) && !tree.exists(named) {
                let what = format!("`{named}` is not there");
                findings.push(Finding::new("path", path, Some(index + 1), what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(link: &str) -> Vec<String> {
        let text = format!("# Top\n\nSee [it]({link}).\n\n## The `Device` trait, twice\n");
        let tree = Tree::of(&[
            ("docs/a.md", &text),
            ("docs/b.md", "# B\n\n## Part one\n\n## Part one\n"),
            ("src/lib.rs", ""),
        ]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn live_links_are_left_alone() {
        for link in [
            "b.md",
            "../docs/b.md#part-one",
            "b.md#part-one-1",
            "#the-device-trait-twice",
            "../src",
            "../src/lib.rs",
            "https://example.org/none",
        ] {
            assert_eq!(found(link), [""; 0], "{link}");
        }
    }

    #[test]
    fn dead_links_are_found() {
        for link in [
            "c.md",
            "b.md#part-two",
            "#none",
            "src/lib.rs",
            "../docs/b.md#",
        ] {
            let dead = !link.ends_with('#');
            assert_eq!(found(link).len(), usize::from(dead), "{link}");
        }
    }

    #[test]
    fn links_are_found_where_they_stand() {
        let of = |text| links(text).into_iter().map(|(_, t)| t).collect::<Vec<_>>();
        assert_eq!(of("| a | [b](c) |\n"), ["c"]);
        assert_eq!(of("[`code`](c) and [d](e)\n"), ["c", "e"]);
        assert_eq!(of("[name]: c\n"), ["c"]);
        assert_eq!(of("`[a](b)`\n\n```text\n[a](b)\n```\n"), [""; 0]);
    }

    #[test]
    fn a_described_folder_that_is_not_there_is_found() {
        let text = "| Folder | x |\n|---|---|\n| `src/` | `no/thing` |\n| `gone/` | y |\n";
        let tree = Tree::of(&[("A.md", text), ("src/lib.rs", "")]);
        let findings = folders(&tree, "A.md");
        assert_eq!(findings.len(), 1);
        assert!(findings[0].to_string().contains("`gone/`"));
    }
}
