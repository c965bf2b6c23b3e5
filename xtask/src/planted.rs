//! `cargo xtask planted`: bugs put into a copy of the tree, which the simulation must find.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::host::{lock, note, output, root};

/// `cargo xtask planted`.
#[derive(clap::Args)]
pub struct Args {
    /// Only the bugs whose names contain this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// The list, from the root.
const LIST: &str = "simulation/planted.toml";
/// Histories within which each must be found.
const HISTORIES: u64 = 20_000;

#[derive(Deserialize)]
struct List {
    bug: Vec<Bug>,
}

/// A bug, as edits of sources.
#[derive(Deserialize)]
struct Bug {
    name: String,
    about: String,
    edit: Vec<Edit>,
}

/// A text that its file has exactly once, and what takes its place.
#[derive(Deserialize)]
struct Edit {
    file: PathBuf,
    before: String,
    after: String,
}

impl List {
    fn read(root: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join(LIST)).context(LIST)?;
        toml::from_str(&text).context(LIST)
    }
}

impl Edit {
    fn apply(&self, text: &str) -> Result<String> {
        let count = text.matches(&self.before).count();
        let file = self.file.display();
        ensure!(
            count == 1,
            "{file} has {count} times, and not once:\n{}",
            self.before
        );
        Ok(text.replacen(&self.before, &self.after, 1))
    }
}

impl Bug {
    /// The files it changes, whole.
    fn files(&self, root: &Path) -> Result<Vec<(PathBuf, String)>> {
        let mut files: Vec<(PathBuf, String)> = Vec::new();
        for edit in &self.edit {
            let known = files.iter_mut().find(|(file, _)| *file == edit.file);
            let text = match &known {
                Some((_, text)) => text.clone(),
                None => fs::read_to_string(root.join(&edit.file))?,
            };
            let text = edit.apply(&text)?;
            match known {
                Some((_, old)) => *old = text,
                None => files.push((edit.file.clone(), text)),
            }
        }
        Ok(files)
    }
}

pub fn main(args: &Args) -> Result<ExitCode> {
    run(&root(), args.only.as_deref().unwrap_or_default())?;
    Ok(ExitCode::SUCCESS)
}

/// Plants each bug whose name contains `only`, and lets the simulation find it.
///
/// # Errors
/// A bug that cannot be planted or is not found.
pub fn run(root: &Path, only: &str) -> Result<()> {
    let list = List::read(root)?;
    let bugs: Vec<&Bug> = list.bug.iter().filter(|b| b.name.contains(only)).collect();
    ensure!(
        !bugs.is_empty(),
        "no bug's name contains `{only}`; see {LIST}"
    );
    let _lock = lock("planted")?;
    let tree = root.join("target/planted/tree");
    copy(root, &tree)?;
    let mut missed = Vec::new();
    for bug in bugs {
        note(format!("== {}: {}", bug.name, bug.about));
        let files = bug.files(root)?;
        for (file, text) in &files {
            fs::write(tree.join(file), text)?;
        }
        let found = simulate(root, &tree);
        for (file, _) in &files {
            fs::copy(root.join(file), tree.join(file))?;
        }
        match found.with_context(|| format!("with the bug `{}`", bug.name))? {
            Some(line) => println!("{:30} {line}", bug.name),
            None => missed.push(bug.name.as_str()),
        }
    }
    if !missed.is_empty() {
        bail!("not found in {HISTORIES} histories: {}", missed.join(", "));
    }
    Ok(())
}

/// The line that says at which seed the simulation of a tree found what, if it did.
fn simulate(root: &Path, tree: &Path) -> Result<Option<String>> {
    let target = root.join("target/planted/build");
    output(
        Command::new("cargo")
            .current_dir(tree)
            .args(["build", "--locked", "--quiet", "-p", "fqbert-simulation"])
            .env("CARGO_TARGET_DIR", &target),
    )?;
    let out = Command::new(target.join("debug/fqbert-simulate"))
        .arg(format!("--seeds=0..{HISTORIES}"))
        .output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let line = text.lines().find(|line| line.starts_with("seed "));
    ensure!(
        line.is_some() || out.status.success(),
        "the simulation failed: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(line.map(|line| line.chars().take(160).collect()))
}

/// Copies what git tracks or would track; what is there and equal stays, so that little is built
/// again.
fn copy(root: &Path, tree: &Path) -> Result<()> {
    let list = output(Command::new("git").current_dir(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    for name in list.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root.join(name), tree.join(name));
        // Deleted and not yet committed, or a link to a folder.
        if !from.is_file() {
            continue;
        }
        let bytes = fs::read(&from)?;
        if fs::read(&to).is_ok_and(|have| have == bytes) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&to, bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_can_be_planted_and_has_its_own_name() {
        let list = List::read(&root()).unwrap();
        assert!(list.bug.len() >= 12, "{} bugs", list.bug.len());
        for (i, bug) in list.bug.iter().enumerate() {
            assert!(
                list.bug[..i].iter().all(|b| b.name != bug.name),
                "{}",
                bug.name
            );
            assert!(!bug.about.is_empty());
            let files = bug.files(&root());
            let files = files.unwrap_or_else(|e| panic!("{}: {e}", bug.name));
            for (file, text) in files {
                assert_ne!(text, fs::read_to_string(root().join(file)).unwrap());
            }
        }
    }
}
