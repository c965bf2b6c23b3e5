//! `generated/geometry.rs`: the presets as values of the hand-written `crate::geometry::Geometry`.

use std::fmt::Write;

use anyhow::Result;

use super::model::{Geometries, PARAMETERS};

pub fn render(all: &Geometries) -> Result<String> {
    let mut out = String::from(
        "//! The geometries that bitstreams and emulated accelerators are built with.\n\n",
    );
    out.push_str("use crate::geometry::Geometry;\n\n");
    for g in &all.geometry {
        let name = g.name.to_uppercase();
        writeln!(
            out,
            "/// {}\npub static {name}: Geometry = Geometry {{",
            g.doc
        )?;
        writeln!(
            out,
            "name: {:?}, doc: {:?}, part: {:?},",
            g.name, g.doc, g.part
        )?;
        for parameter in PARAMETERS {
            writeln!(out, "{parameter}: {},", grouped(g.number(parameter)?))?;
        }
        writeln!(out, "}};\n")?;
    }
    let names: Vec<String> = all
        .geometry
        .iter()
        .map(|g| format!("&{}", g.name.to_uppercase()))
        .collect();
    writeln!(out, "/// Every preset, in the order of geometry.toml.")?;
    writeln!(
        out,
        "pub static ALL: &[&Geometry] = &[{}];",
        names.join(", ")
    )?;
    Ok(out)
}

/// `214000000` as `214_000_000`; short numbers as they are.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    if digits.len() < 6 {
        return digits;
    }
    let head = digits.len() % 3;
    let (first, rest) = digits.split_at(head);
    let groups = rest.as_bytes().chunks(3).map(String::from_utf8_lossy);
    let first = (!first.is_empty()).then(|| first.into());
    first
        .into_iter()
        .chain(groups)
        .collect::<Vec<_>>()
        .join("_")
}
