//! `generated/geometry.rs`: the structure of a geometry, the table of its parameters, the presets.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::geometry_source::{Fit, Geometries, Parameter};
use super::peakrdl::{Register, RegisterField};

pub fn render(all: &Geometries, registers: &[Register]) -> Result<String> {
    let mut out = String::from(
        "//! The geometry of an accelerator: its parameters, and the presets that bitstreams and\n\
         //! emulated accelerators are built with.\n\n\
         use super::registers;\nuse crate::address::RegisterOffset;\n\n",
    );
    structure(&mut out, all)?;
    out.push_str(TYPES);
    table(&mut out, all, registers)?;
    presets(&mut out, all)?;
    Ok(out)
}

fn structure(out: &mut String, all: &Geometries) -> Result<()> {
    out.push_str(
        "/// The parameter set an accelerator is built with. Depths are in words of the memory;\n\
         /// [`Geometry::word_bytes`] gives each word's size. The presets come from \
         `geometry.toml`.\n\
         #[derive(Clone, Debug, PartialEq, Eq)]\npub struct Geometry {\n\
         /// Name of the preset, or `\"custom\"` for one read from capability registers.\n\
         pub name: &'static str,\n\
         /// What it is for.\npub doc: &'static str,\n\
         /// Xilinx part number it is sized for, `\"none\"` for simulation only.\n\
         pub part: &'static str,\n",
    );
    for parameter in &all.parameter {
        writeln!(out, "/// {}.\npub {}: u32,", parameter.doc, parameter.name)?;
    }
    writeln!(out, "}}\n")?;
    Ok(())
}

const TYPES: &str = "/// How a program depends on a parameter of the geometry it was compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The device must have the same number.
    Equal,
    /// The device must have as much or more.
    Least,
    /// Any device will do.
    Any,
}

/// A parameter of a geometry.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Name of the field of [`Geometry`].
    pub name: &'static str,
    /// Its name in a message.
    pub label: &'static str,
    /// The capability register that holds it.
    pub register: RegisterOffset,
    /// Lowest bit in the register.
    pub shift: u32,
    /// Bits in place.
    pub mask: u32,
    /// How a program depends on it.
    pub fit: Fit,
    /// Whether a device can have the value.
    pub is_possible: fn(u32) -> bool,
    /// What values a device can have.
    pub limit: &'static str,
    /// Its value in a geometry.
    pub get: fn(&Geometry) -> u32,
    /// Gives it a value in a geometry.
    pub set: fn(&mut Geometry, u32),
}

";

fn table(out: &mut String, all: &Geometries, registers: &[Register]) -> Result<()> {
    writeln!(
        out,
        "/// Every parameter, in the order of [`Geometry`].\n\
         pub static PARAMETERS: [Parameter; {}] = [",
        all.parameter.len()
    )?;
    for parameter in &all.parameter {
        let (register, field) = place(parameter, registers)?;
        let fit = match parameter.fit {
            Fit::Equal => "Equal",
            Fit::Least => "Least",
            Fit::Any => "Any",
        };
        writeln!(
            out,
            "Parameter {{ name: {name:?}, label: {label:?}, register: registers::{register}, \
             shift: {shift}, mask: {mask:#010x}, fit: Fit::{fit}, is_possible: |v| {possible}, \
             limit: {limit:?}, get: |g| g.{name}, set: |g, v| g.{name} = v }},",
            name = parameter.name,
            label = parameter.label,
            register = register.name,
            shift = field.lsb,
            mask = field.mask(),
            possible = parameter.rust_condition(),
            limit = parameter.limit(),
        )?;
    }
    writeln!(out, "];\n")?;
    Ok(())
}

/// The register field that holds a parameter.
fn place<'a>(
    parameter: &Parameter,
    registers: &'a [Register],
) -> Result<(&'a Register, &'a RegisterField)> {
    let (register, field) = parameter.place()?;
    let found = registers.iter().find(|r| r.name == register);
    let register = found.with_context(|| format!("registers.rdl has no register {register}"))?;
    let found = register.fields.iter().find(|f| f.name == field);
    let field = found.with_context(|| format!("{} has no field {field}", register.name))?;
    Ok((register, field))
}

fn presets(out: &mut String, all: &Geometries) -> Result<()> {
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
        for parameter in &all.parameter {
            let value = grouped(g.number(&parameter.name)?);
            writeln!(out, "{}: {value},", parameter.name)?;
        }
        writeln!(out, "}};\n")?;
    }
    let names: Vec<String> = all
        .geometry
        .iter()
        .map(|g| format!("&{}", g.name.to_uppercase()))
        .collect();
    writeln!(
        out,
        "/// Every preset, in the order of geometry.toml.\n\
         pub static ALL: &[&Geometry] = &[{}];",
        names.join(", ")
    )?;
    Ok(())
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
