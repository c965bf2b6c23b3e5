//! The figures of `accelerator/rtl/synth/resources.json`: what a geometry takes, by block and by
//! module.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::cells::Resources;
use super::netlist::Design;
use super::yosys::Mapped;

/// The whole file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Yosys' version.
    pub tool: String,
    /// Hash of the sources that this was made from.
    pub sources: String,
    /// DSP48E2 of one chain of the array, checked to be one cascade.
    pub cascade: usize,
    pub geometries: Vec<Geometry>,
}

/// One geometry of `fqbert_top`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    pub name: String,
    pub total: Resources,
    pub blocks: Vec<Block>,
    pub modules: Vec<Row>,
}

/// A part of the hierarchy with everything in it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// `fqbert_matrix/fqbert_array`: modules from below the top.
    pub path: String,
    pub instances: u64,
    pub resources: Resources,
}

/// All instances of a source module, without the modules below them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub module: String,
    pub instances: u64,
    pub resources: Resources,
}

/// Sums a design's mapped modules.
///
/// # Errors
/// A module of the design was not mapped.
pub fn geometry(
    name: &str,
    design: &Design,
    mapped: &BTreeMap<String, Mapped>,
) -> Result<Geometry> {
    let mut rows: BTreeMap<&str, (u64, Resources)> = BTreeMap::new();
    for (key, instances) in design.instances(&design.top) {
        let module = &design.modules[&key];
        if module.primitive {
            continue;
        }
        let own = mapped
            .get(&key)
            .with_context(|| format!("{key} was not mapped"))?
            .own;
        let row = rows.entry(&module.name).or_default();
        row.0 += instances as u64;
        row.1 += own * instances as u64;
    }
    let mut blocks = Vec::new();
    for (path, instances, key) in children(design, &design.top) {
        blocks.push(block(&path, &[(instances, key)], design, mapped));
        let mut below: BTreeMap<String, Vec<(u64, &str)>> = BTreeMap::new();
        for (name, count, child) in children(design, key) {
            below
                .entry(format!("{path}/{name}"))
                .or_default()
                .push((count * instances, child));
        }
        for (path, parts) in below {
            blocks.push(block(&path, &parts, design, mapped));
        }
    }
    Ok(Geometry {
        name: name.to_owned(),
        total: subtree(&design.top, design, mapped),
        blocks,
        modules: rows
            .into_iter()
            .map(|(module, (instances, resources))| Row {
                module: module.to_owned(),
                instances,
                resources,
            })
            .collect(),
    })
}

fn children<'a>(design: &'a Design, key: &str) -> Vec<(String, u64, &'a str)> {
    design.modules[key]
        .children
        .iter()
        .filter(|(child, _)| !design.modules[*child].primitive)
        .map(|(child, &n)| (design.modules[child].name.clone(), n as u64, child.as_str()))
        .collect()
}

fn block(
    path: &str,
    parts: &[(u64, &str)],
    design: &Design,
    mapped: &BTreeMap<String, Mapped>,
) -> Block {
    let mut resources = Resources::default();
    for &(count, key) in parts {
        resources += subtree(key, design, mapped) * count;
    }
    Block {
        path: path.to_owned(),
        instances: parts.iter().map(|(count, _)| count).sum(),
        resources,
    }
}

fn subtree(root: &str, design: &Design, mapped: &BTreeMap<String, Mapped>) -> Resources {
    let mut sum = Resources::default();
    for (key, instances) in design.instances(root) {
        if let Some(module) = mapped.get(&key) {
            sum += module.own * instances as u64;
        }
    }
    sum
}

impl Report {
    /// The first difference from another report, in words.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.tool != other.tool {
            return Some(format!("made by {:?}, now {:?}", self.tool, other.tool));
        }
        if self.cascade != other.cascade {
            return Some(format!(
                "a cascade has {} DSPs, now {}",
                self.cascade, other.cascade
            ));
        }
        for (old, new) in self.geometries.iter().zip(&other.geometries) {
            for row in &old.modules {
                if !new.modules.contains(row) {
                    let now = new.modules.iter().find(|r| r.module == row.module);
                    return Some(format!("{}: {row:?}, now {now:?}", old.name));
                }
            }
        }
        (self != other).then(|| "the sources have changed, or a module is new".to_owned())
    }
}
