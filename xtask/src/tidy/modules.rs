//! Import circles between the modules of a crate.
//!
//! **The rule.** A parent may use its children, and children what their parent has: that is how a
//! module is cut into files. Between modules that stand side by side, with all that is below them,
//! the imports run one way: if anything in `a` names anything in `b`, nothing in `b` names anything
//! in `a`, directly or through a third. A name that a module only re-exports counts as the name of
//! where it is defined. Tests (`#[cfg(test)]`) may use anything.
//!
//! Paths are read from the tokens of the sources: every `use`, and every path that begins with
//! `crate`, `super` or `self`.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Finding, Tree};
use source::{Import, Source};

mod source;

pub use source::{is_test, item};

/// A module of a crate.
#[derive(Default)]
struct Module {
    /// Names from the crate's root, which has none.
    path: Vec<String>,
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    source: Source,
}

/// The modules of one crate; the first is its root.
#[derive(Default)]
struct Modules(Vec<Module>);

/// Where a name leads before the search is given up: re-exports of re-exports.
const DEPTH: usize = 16;

/// Finds the circles in the crates with these root files.
pub fn check(tree: &Tree, roots: &BTreeSet<String>) -> Vec<Finding> {
    let circles = |root: &String| Modules::read(tree, root).circles();
    roots.iter().flat_map(circles).collect()
}

impl Modules {
    fn read(tree: &Tree, root: &str) -> Self {
        let mut modules = Self::default();
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        let source = Source::read(tree.text(root).unwrap_or_default());
        modules.add(tree, None, Vec::new(), root, folder, source);
        modules
    }

    /// Adds a module and those below it, whose files are in `folder`; gives its number.
    fn add(
        &mut self,
        tree: &Tree,
        parent: Option<usize>,
        path: Vec<String>,
        file: &str,
        folder: &str,
        mut source: Source,
    ) -> usize {
        let number = self.0.len();
        let inline = std::mem::take(&mut source.inline);
        let declared = std::mem::take(&mut source.declared);
        self.0.push(Module {
            path: path.clone(),
            file: file.to_owned(),
            parent,
            children: BTreeMap::new(),
            source,
        });
        let below = |name: &String| [path.clone(), vec![name.clone()]].concat();
        for (name, source) in inline {
            let folder = format!("{folder}/{name}");
            let child = self.add(tree, Some(number), below(&name), file, &folder, source);
            self.0[number].children.insert(name, child);
        }
        for name in declared {
            let inside = format!("{folder}/{name}");
            for file in [format!("{inside}.rs"), format!("{inside}/mod.rs")] {
                if let Some(text) = tree.text(&file) {
                    let source = Source::read(text);
                    let child = self.add(tree, Some(number), below(&name), &file, &inside, source);
                    self.0[number].children.insert(name.clone(), child);
                }
            }
        }
        number
    }

    /// The module where a path leads from module `at`; none if it leads out of the crate.
    fn resolve(&self, at: usize, path: &[String], depth: usize) -> Option<usize> {
        let (first, mut rest) = path.split_first()?;
        let mut here = match first.as_str() {
            "crate" => 0,
            "self" => at,
            "super" => self.0[at].parent?,
            name => *self.0[at].children.get(name)?,
        };
        while let Some((name, after)) = rest.split_first() {
            let next = match name.as_str() {
                "super" => self.0[here].parent,
                name => self.step(here, name, depth),
            };
            let Some(next) = next else { break };
            (here, rest) = (next, after);
        }
        Some(here)
    }

    /// The module where a name of module `at` is defined, or which it is; none if in `at` itself.
    fn step(&self, at: usize, name: &str, depth: usize) -> Option<usize> {
        let module = &self.0[at];
        if let Some(child) = module.children.get(name) {
            return Some(*child);
        }
        if depth == DEPTH || module.source.defined.contains(name) {
            return None;
        }
        for import in &module.source.imports {
            match import {
                Import::Name { name: n, path } if n == name => {
                    // In its own module a name may stand for a module of the same name.
                    return self.resolve(at, path, depth + 1).filter(|to| *to != at);
                }
                Import::All { path } => {
                    let Some(from) = self.resolve(at, path, depth + 1).filter(|to| *to != at)
                    else {
                        continue;
                    };
                    if self.0[from].source.defined.contains(name) {
                        return Some(from);
                    }
                    if let Some(to) = self.step(from, name, depth + 1) {
                        return Some(to);
                    }
                }
                Import::Name { .. } => {}
            }
        }
        None
    }

    /// Imports between modules side by side: from and to, with the file and the name that shows it.
    fn edges(&self) -> BTreeMap<(Vec<String>, Vec<String>), String> {
        let mut edges = BTreeMap::new();
        for (number, module) in self.0.iter().enumerate() {
            for path in &module.source.paths {
                let Some(to) = self.resolve(number, path, 0) else {
                    continue;
                };
                let to = &self.0[to].path;
                let same = module.path.iter().zip(to).take_while(|(a, b)| a == b);
                let same = same.count();
                if same < module.path.len().min(to.len()) {
                    let (from, to) = (&module.path[..=same], &to[..=same]);
                    let example = format!("{} has {}", module.file, path.join("::"));
                    edges.entry((from.to_vec(), to.to_vec())).or_insert(example);
                }
            }
        }
        edges
    }

    fn circles(&self) -> Vec<Finding> {
        let edges = self.edges();
        let mut below: BTreeMap<&[String], BTreeSet<&[String]>> = BTreeMap::new();
        for (from, to) in edges.keys() {
            below.entry(from).or_default().insert(to);
        }
        let reached = |from: &[String]| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(next) = open.pop() {
                for to in below.get(next).into_iter().flatten() {
                    if seen.insert(*to) {
                        open.push(to);
                    }
                }
            }
            seen
        };
        let reach: BTreeMap<&[String], BTreeSet<&[String]>> =
            below.keys().map(|from| (*from, reached(from))).collect();
        let mut done: BTreeSet<&[String]> = BTreeSet::new();
        let mut findings = Vec::new();
        for (from, all) in reach.iter().filter(|(from, all)| all.contains(*from)) {
            if done.contains(from) {
                continue;
            }
            let back = |to: &&&[String]| reach.get(**to).is_some_and(|r| r.contains(from));
            let circle: BTreeSet<&[String]> = all.iter().filter(back).copied().collect();
            done.extend(&circle);
            let inside = |(a, b): (&[String], &[String])| circle.contains(a) && circle.contains(b);
            let examples: Vec<String> = edges
                .iter()
                .filter(|((a, b), _)| inside((a, b)))
                .map(|((a, b), example)| format!("{} -> {} ({example})", name(a), name(b)))
                .collect();
            let what = format!("imports in a circle:\n    {}", examples.join("\n    "));
            findings.push(Finding::new("circle", self.file_of(from), None, what));
        }
        findings
    }

    fn file_of(&self, path: &[String]) -> String {
        let module = self.0.iter().find(|module| module.path == path);
        module.map_or_else(String::new, |module| module.file.clone())
    }
}

fn name(path: &[String]) -> String {
    path.join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::of(files);
        let roots = [files[0].0.to_owned()].into();
        check(&tree, &roots)
            .iter()
            .map(Finding::to_string)
            .collect()
    }

    #[test]
    fn a_circle_of_two_or_three_is_found() {
        let two = circles(&[
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "use crate::b::B; pub struct A;"),
            ("src/b.rs", "pub struct B; fn f() { let _ = super::a::A; }"),
        ]);
        assert_eq!(two.len(), 1);
        assert!(
            two[0].contains("a -> b (src/a.rs has crate::b::B)"),
            "{two:?}"
        );
        assert!(
            two[0].contains("b -> a (src/b.rs has super::a::A)"),
            "{two:?}"
        );
        let three = circles(&[
            ("src/main.rs", "mod a; mod b; mod c { use crate::a; }"),
            ("src/a/mod.rs", "mod deep;"),
            ("src/a/deep.rs", "use crate::b::{self, B as C};"),
            ("src/b.rs", "pub use super::c;"),
        ]);
        assert_eq!(three.len(), 1, "{three:?}");
    }

    #[test]
    fn one_way_is_no_circle() {
        let none = circles(&[
            (
                "src/lib.rs",
                "mod a; mod b; pub use a::A; use b::B; pub struct Root;",
            ),
            (
                "src/a.rs",
                "use crate::b::B; use std::fmt; use crate::Root; pub struct A;",
            ),
            (
                "src/b.rs",
                "pub struct B; #[cfg(test)] mod tests { use crate::a::A; } // crate::a",
            ),
        ]);
        assert_eq!(none, [""; 0]);
        let parent = circles(&[
            ("src/lib.rs", "mod a;"),
            ("src/a/mod.rs", "mod b; use b::B; pub struct A(B);"),
            ("src/a/b.rs", "use super::A; pub struct B; impl A {}"),
        ]);
        assert_eq!(parent, [""; 0]);
    }

    #[test]
    fn a_re_exported_name_is_where_it_is_defined() {
        for export in ["pub use a::A;", "pub use a::*;"] {
            let found = circles(&[
                ("src/lib.rs", &format!("mod a; mod b; {export}")),
                ("src/a.rs", "use crate::b::B; pub struct A;"),
                ("src/b.rs", "use crate::A; pub struct B;"),
            ]);
            assert_eq!(found.len(), 1, "{export}");
        }
    }
}
