//! The tables of `docs/performance.md`, from the committed ones.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

use super::survey::{NEAR, NEAR_ON, NEARLY};
use super::table::{Row, Table};
use super::target::Target;
use crate::host;

const PAGE: &str = "docs/performance.md";
const END: &str = "<!-- end -->";

/// Writes a target's tables into the page.
///
/// # Errors
/// The page cannot be read or written, or has no place for them.
pub fn write(target: Target, table: &Table) -> Result<()> {
    let filled = fill(&read()?, target, table)?;
    host::write_atomically(&host::root().join(PAGE), filled.as_bytes())
}

/// Whether the page has the tables of the committed loops.
///
/// # Errors
/// It has not.
pub fn check(target: Target) -> Result<()> {
    let page = read()?;
    ensure!(
        page == fill(&page, target, &Table::read(target)?)?,
        "{PAGE} is not what the committed loops give: \
         `cargo xtask hot-loops --bless --target {}`",
        target.name()
    );
    Ok(())
}

fn read() -> Result<String> {
    std::fs::read_to_string(host::root().join(PAGE)).with_context(|| format!("reading {PAGE}"))
}

/// The page with a target's tables made anew.
fn fill(page: &str, target: Target, table: &Table) -> Result<String> {
    let marker = format!("<!-- hot-loops: {} -->\n", target.name());
    let (before, marked) = page
        .split_once(&marker)
        .with_context(|| format!("no {} in {PAGE}", marker.trim()))?;
    let (_, after) = marked
        .split_once(END)
        .with_context(|| format!("no {END} behind {} in {PAGE}", marker.trim()))?;
    Ok(format!(
        "{before}{marker}{}{END}{after}",
        tables(target, table)
    ))
}

fn tables(target: Target, table: &Table) -> String {
    let cpus: BTreeSet<&str> = table
        .loops
        .iter()
        .flat_map(|row| row.cycles.keys().map(String::as_str))
        .collect();
    let heads: String = cpus.iter().map(|cpu| format!(" {cpu} |")).collect();
    let line: String = "---:|".repeat(cpus.len());
    let mut text = format!("Code of {}; models of {}.", table.compiler, table.model);
    if target == Target::X86_64 {
        let (kernel, widths) = NEAR;
        let cpus = NEAR_ON.map(|cpu| format!("`{cpu}`")).join(" and ");
        let _ = write!(
            text,
            " Of `{kernel}`, {widths}, the\nunits may take {NEARLY} times as long as for the \
             products alone, on {cpus}."
        );
    }
    text += "\n\n";
    let _ = writeln!(
        text,
        "| dot products | loop | products | additions | loads | other vector | scalar | \
         moves | stack |{heads}\n|---|---|---:|---:|---:|---:|---:|---:|---:|{line}"
    );
    for row in table.loops.iter().filter(|row| is_hot(table, row)) {
        let product = row.product.as_ref();
        let product = product.map(|p| format!("`{}`, {}", p.kernel, p.widths));
        let cells = cpus.iter().map(|cpu| cell(row, cpu));
        let i = &row.instructions;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |{}",
            product.unwrap_or_default(),
            name(row),
            i.multiply,
            i.add,
            i.load + i.broadcast,
            i.vector + i.store,
            i.scalar,
            i.moves,
            i.stack,
            cells.collect::<String>()
        );
    }
    let _ = writeln!(
        text,
        "\n| other loops | vector | scalar | moves | stack |{heads}\n\
         |---|---:|---:|---:|---:|{line}"
    );
    for row in table.loops.iter().filter(|row| row.product.is_none()) {
        let cells = cpus.iter().map(|cpu| cell(row, cpu));
        let i = &row.instructions;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |{}",
            name(row),
            i.vectors() - i.moves,
            i.scalar,
            i.moves,
            i.stack,
            cells.collect::<String>()
        );
    }
    text
}

/// Whether no loop of its function has more products.
fn is_hot(table: &Table, row: &Row) -> bool {
    let same = table.loops.iter().filter(|r| r.function == row.function);
    let most = same.map(|r| r.instructions.multiply).max();
    row.product.is_some() && most == Some(row.instructions.multiply)
}

fn name(row: &Row) -> String {
    format!("`{}` {}", row.function, row.number)
}

/// ` simulated / units / products alone |`.
fn cell(row: &Row, cpu: &str) -> String {
    let Some(cycles) = row.cycles.get(cpu) else {
        return " |".to_owned();
    };
    let mut cell = format!(" {:.1} / {:.1}", cycles.simulated, cycles.units);
    if let Some(bound) = row.bound.get(cpu) {
        let _ = write!(cell, " / {bound:.1}");
    }
    cell + " |"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_committed_loops() {
        for target in Target::ALL {
            check(target).unwrap();
        }
    }

    #[test]
    fn tables_replace_what_stands_between_their_marks() {
        let page = "a\n<!-- hot-loops: x86_64 -->\nold\n<!-- end -->\nb\n";
        let table = Table::read(Target::X86_64).unwrap();
        let filled = fill(page, Target::X86_64, &table).unwrap();
        assert!(filled.starts_with("a\n<!-- hot-loops: x86_64 -->\nCode of rustc"));
        assert!(filled.ends_with("|\n<!-- end -->\nb\n"));
        assert!(!filled.contains("old"));
        assert!(filled.contains("\n| `avx512-vnni`, 8x4, an octet | `"));
        assert!(fill(page, Target::Aarch64, &table).is_err());
    }
}
