//! The workspace's crates: which depends on which, and in which layer they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::tree::Finding;
use crate::host::output;

/// Layers from the lowest: a crate uses crates of its own group and of lower layers. A crate is of
/// the group with the longest prefix of its folder.
const LAYERS: &[&[&str]] = &[
    // Files and random numbers, for whoever needs them.
    &["support/"],
    // Each stands alone: what they know is not of this project.
    &["uio-driver", "evaluation"],
    &["accelerator/numerics"],
    &["accelerator/contract"],
    // Devices and programs know the contract, and not each other.
    &["accelerator/", "runtime/"],
    &["runtime"],
    &["quantizer"],
    &["cli", "bench/", "examples/", "fuzz", "simulation", "xtask"],
];

/// `cargo metadata`, as far as it is of use here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev` or `build`; none for what the crate itself uses.
    kind: Option<String>,
    optional: bool,
}

#[derive(Deserialize)]
struct Target {
    src_path: String,
}

/// A crate.
struct Crate {
    folder: String,
    /// Its dependencies within the workspace, and whether only a feature brings them.
    uses: BTreeMap<String, bool>,
}

/// The workspace's crates.
pub struct Crates {
    crates: BTreeMap<String, Crate>,
    /// The root files of all targets: libraries, programs, tests.
    pub roots: BTreeSet<String>,
}

impl Crates {
    /// Asks cargo.
    ///
    /// # Errors
    /// A manifest is broken.
    pub fn read(root: &Path) -> Result<Self> {
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(root)
            .args(["metadata", "--locked", "--no-deps", "--format-version=1"]);
        let metadata: Metadata = serde_json::from_str(&output(&mut cargo)?)?;
        let relative = |path: &str| -> Result<String> {
            let path = Path::new(path).strip_prefix(root);
            Ok(path.context("a crate outside")?.display().to_string())
        };
        let names: BTreeSet<String> = metadata.packages.iter().map(|p| p.name.clone()).collect();
        let (mut crates, mut roots) = (BTreeMap::new(), BTreeSet::new());
        for package in metadata.packages {
            for target in &package.targets {
                roots.insert(relative(&target.src_path)?);
            }
            let manifest = relative(&package.manifest_path)?;
            let folder = manifest.trim_end_matches("/Cargo.toml").to_owned();
            let uses = package.dependencies.into_iter();
            let uses = uses.filter(|d| d.kind.is_none() && names.contains(&d.name));
            let uses = uses.map(|d| (d.name, d.optional)).collect();
            crates.insert(package.name, Crate { folder, uses });
        }
        Ok(Self { crates, roots })
    }

    /// One line for each crate, those that depend on nothing first; `?` is behind what only a
    /// feature brings.
    pub fn lines(&self) -> Vec<String> {
        let mut names: Vec<&str> = self.crates.keys().map(String::as_str).collect();
        names.sort_by_key(|name| (self.height(name), *name));
        let line = |name: &str| {
            let uses = self.crates[name].uses.iter();
            let uses: Vec<String> = uses
                .map(|(name, optional)| format!("{name}{}", if *optional { "?" } else { "" }))
                .collect();
            if uses.is_empty() {
                name.to_owned()
            } else {
                format!("{name} -> {}", uses.join(", "))
            }
        };
        names.into_iter().map(line).collect()
    }

    /// The longest way down. Cargo allows no circle.
    fn height(&self, name: &str) -> usize {
        let below = self.crates[name].uses.keys();
        below.map(|name| self.height(name) + 1).max().unwrap_or(0)
    }

    /// Dependencies that do not run down.
    pub fn upward(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, part) in &self.crates {
            let manifest = format!("{}/Cargo.toml", part.folder);
            let Some((layer, group)) = layer(&part.folder) else {
                let what =
                    format!("{name} is in no layer: give it one in xtask/src/tidy/crates.rs");
                findings.push(Finding::new("layer", manifest, None, what));
                continue;
            };
            for used in part.uses.keys() {
                let below = layer_of(&self.crates, used);
                if below.is_some_and(|(below, of)| below > layer || below == layer && of != group) {
                    let what = format!("{name} depends on {used}, which is not below it");
                    findings.push(Finding::new("layer", manifest.clone(), None, what));
                }
            }
        }
        findings
    }
}

fn layer_of(crates: &BTreeMap<String, Crate>, name: &str) -> Option<(usize, &'static str)> {
    layer(&crates.get(name)?.folder)
}

/// A folder's layer and group.
fn layer(folder: &str) -> Option<(usize, &'static str)> {
    let groups = LAYERS.iter().enumerate();
    let groups = groups.flat_map(|(layer, groups)| groups.iter().map(move |group| (layer, *group)));
    groups
        .filter(|(_, group)| folder.starts_with(group))
        .max_by_key(|(_, group)| group.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crates(list: &[(&str, &str, &[&str])]) -> Crates {
        let part = |(name, folder, uses): &(&str, &str, &[&str])| {
            let uses = uses.iter().map(|name| match name.strip_suffix('?') {
                Some(name) => (name.to_owned(), true),
                None => ((*name).to_owned(), false),
            });
            let (folder, uses) = ((*folder).to_owned(), uses.collect());
            ((*name).to_owned(), Crate { folder, uses })
        };
        Crates {
            crates: list.iter().map(part).collect(),
            roots: BTreeSet::new(),
        }
    }

    #[test]
    fn lines_go_up() {
        let crates = crates(&[
            ("a", "cli", &["b", "c?"]),
            ("b", "runtime", &["c"]),
            ("c", "support/c", &[]),
        ]);
        assert_eq!(crates.lines(), ["c", "b -> c", "a -> b, c?"]);
        assert!(crates.upward().is_empty());
    }

    #[test]
    fn a_dependency_upwards_or_across_is_found() {
        for (user, used) in [
            ("accelerator/contract", "accelerator/emulator"),
            ("runtime/compiler", "accelerator/emulator"),
            ("accelerator/emulator", "runtime/model"),
            ("runtime", "quantizer"),
            ("support/a", "accelerator/numerics"),
        ] {
            let crates = crates(&[("a", user, &["b"]), ("b", used, &[])]);
            let findings = crates.upward();
            assert_eq!(findings.len(), 1, "{user} on {used}");
            assert!(findings[0].to_string().contains("a depends on b"));
        }
        assert_eq!(crates(&[("a", "new/a", &[])]).upward().len(), 1);
    }
}
