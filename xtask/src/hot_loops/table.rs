//! The committed table: instructions and modelled cycles of each loop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::class::Counts;
use super::model::Cycles;
use super::target::Target;
use crate::host;

/// All loops of a target.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The compiler that made them.
    pub compiler: String,
    /// What has the models.
    pub model: String,
    pub loops: Vec<Row>,
}

/// A loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The function's path below `kernels::vector`.
    pub function: String,
    /// Among the function's loops that differ, those with most products first.
    pub number: usize,
    /// Of a loop of dot products: the kernel and what it multiplies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Product>,
    pub instructions: Counts,
    /// Cycles of an iteration by CPU.
    pub cycles: BTreeMap<String, Cycles>,
    /// At least, by the units alone, for its products and additions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bound: BTreeMap<String, f64>,
}

/// What a loop multiplies: widths in bits of activations and weights, or how many octets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Product {
    pub kernel: String,
    pub widths: String,
}

impl Row {
    fn name(&self) -> (&str, usize) {
        (&self.function, self.number)
    }
}

/// Where a target's table is.
pub fn path(target: Target) -> PathBuf {
    let folder = Path::new("accelerator/emulator/hot-loops");
    folder.join(format!("{}.json", target.name()))
}

/// What writes it.
fn remedy(target: Target) -> String {
    format!(
        "`cargo xtask hot-loops --bless --target {}` writes them anew",
        target.name()
    )
}

impl Table {
    /// The committed one.
    ///
    /// # Errors
    /// There is none that can be read.
    pub fn read(target: Target) -> Result<Self> {
        let path = path(target);
        let text = std::fs::read_to_string(host::root().join(&path))
            .with_context(|| format!("reading {}: {}", path.display(), remedy(target)))?;
        serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Commits it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, target: Target) -> Result<()> {
        let path = path(target);
        let text = serde_json::to_string_pretty(self)? + "\n";
        host::write_atomically(&host::root().join(path), text.as_bytes())
    }

    /// Compares with what was found now.
    ///
    /// # Errors
    /// Each difference, in a line.
    pub fn compare(&self, target: Target, found: &Self) -> Result<()> {
        let rows = |table: &Self| -> BTreeMap<(String, usize), Row> {
            let rows = table.loops.iter().cloned();
            rows.map(|row| ((row.function.clone(), row.number), row))
                .collect()
        };
        let (committed, now) = (rows(self), rows(found));
        let mut differences = Vec::new();
        for ((function, number), row) in &committed {
            match now.get(&(function.clone(), *number)) {
                None => differences.push(format!("{function}, loop {number}: gone")),
                Some(other) if other != row => differences.push(difference(row, other)),
                Some(_) => {}
            }
        }
        for row in found.loops.iter().filter(|row| {
            let (function, number) = row.name();
            !committed.contains_key(&(function.to_owned(), number))
        }) {
            differences.push(format!("{}, loop {}: new", row.function, row.number));
        }
        if differences.is_empty() {
            return Ok(());
        }
        bail!(
            "{} of {} loops of {} are not as committed; where that is meant, {}\n{}",
            differences.len(),
            found.loops.len(),
            path(target).display(),
            remedy(target),
            differences.join("\n")
        )
    }
}

/// What differs between a committed loop and the same one now.
fn difference(committed: &Row, now: &Row) -> String {
    let (function, number) = committed.name();
    let mut text = format!("{function}, loop {number}:");
    if committed.instructions != now.instructions {
        let (old, new) = (&committed.instructions, &now.instructions);
        for (name, old, new) in [
            ("multiply", old.multiply, new.multiply),
            ("add", old.add, new.add),
            ("load", old.load, new.load),
            ("broadcast", old.broadcast, new.broadcast),
            ("store", old.store, new.store),
            ("moves", old.moves, new.moves),
            ("stack", old.stack, new.stack),
            ("vector", old.vector, new.vector),
            ("scalar", old.scalar, new.scalar),
        ] {
            if old != new {
                text += &format!(" {name} {old} -> {new}");
            }
        }
    }
    for (cpu, cycles) in &now.cycles {
        let (now, old) = (cycles.simulated, committed.cycles.get(cpu));
        if let Some(old) = old.map(|old| old.simulated).filter(|old| *old != now) {
            text += &format!(" {cpu} {old} -> {now} cycles");
        }
    }
    if text.ends_with(':') {
        text += " its products, CPUs or what its units take";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(stack: usize) -> Table {
        let instructions = Counts {
            multiply: 16,
            stack,
            ..Counts::default()
        };
        Table {
            loops: vec![Row {
                function: "vnni::dot4".into(),
                number: 1,
                product: None,
                instructions,
                cycles: BTreeMap::from([(
                    "znver4".into(),
                    Cycles {
                        simulated: 16.5,
                        units: 16.0,
                    },
                )]),
                bound: BTreeMap::new(),
            }],
            ..Table::default()
        }
    }

    #[test]
    fn a_difference_is_told_by_function_and_class() {
        let committed = table(0);
        committed.compare(Target::X86_64, &table(0)).unwrap();
        let why = committed.compare(Target::X86_64, &table(3)).unwrap_err();
        let why = why.to_string();
        assert!(why.contains("vnni::dot4, loop 1: stack 0 -> 3"), "{why}");
        let empty = Table::default();
        let why = committed.compare(Target::X86_64, &empty).unwrap_err();
        assert!(why.to_string().contains("loop 1: gone"));
        let why = empty.compare(Target::X86_64, &committed).unwrap_err();
        assert!(why.to_string().contains("loop 1: new"));
    }

    #[test]
    fn what_is_written_is_read() {
        let text = serde_json::to_string(&table(1)).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table(1));
    }
}
