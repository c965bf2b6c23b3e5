//! `geometry.toml`, parsed and checked: the parameters of a geometry and the geometries.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::text::unique;

/// `geometry.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometries {
    /// In the order of the generated structures.
    pub parameter: Vec<Parameter>,
    pub geometry: Vec<Geometry>,
}

/// A number that an accelerator is built with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    pub name: String,
    /// Stands for it in formulas, besides the name.
    #[serde(default)]
    pub symbol: Option<String>,
    pub doc: String,
    /// Its name in a message.
    pub label: String,
    /// `REGISTER.FIELD`.
    pub register: String,
    pub fit: Fit,
    /// The possible values, if they are few.
    #[serde(default)]
    values: Vec<u32>,
    #[serde(default)]
    minimum: Option<u32>,
    #[serde(default)]
    maximum: Option<u32>,
    #[serde(default)]
    form: Option<Form>,
    #[serde(default)]
    limit: Option<String>,
}

/// How a program depends on a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    Equal,
    Least,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Form {
    #[serde(rename = "even")]
    Even,
    #[serde(rename = "power of two")]
    PowerOfTwo,
}

#[derive(Debug, Deserialize)]
pub struct Geometry {
    pub name: String,
    pub doc: String,
    pub part: String,
    /// Every other key: one for each parameter.
    #[serde(flatten)]
    numbers: BTreeMap<String, u32>,
}

impl Parameter {
    /// Register and field.
    pub fn place(&self) -> Result<(&str, &str)> {
        self.register
            .split_once('.')
            .with_context(|| format!("{}: `{}` is not REGISTER.FIELD", self.name, self.register))
    }

    /// Whether an accelerator can have the value.
    fn is_possible(&self, value: u32) -> bool {
        if !self.values.is_empty() {
            return self.values.contains(&value);
        }
        let form = match self.form {
            None => true,
            Some(Form::Even) => value.is_multiple_of(2),
            Some(Form::PowerOfTwo) => value.is_power_of_two(),
        };
        form && self.minimum.is_none_or(|least| value >= least)
            && self.maximum.is_none_or(|most| value <= most)
    }

    /// The same as a Rust expression of `v`.
    pub fn rust_condition(&self) -> String {
        if !self.values.is_empty() {
            let values: Vec<String> = self.values.iter().map(u32::to_string).collect();
            return format!("matches!(v, {})", values.join(" | "));
        }
        let range = match (self.minimum, self.maximum) {
            (Some(least), Some(most)) => format!("({least}..={most}).contains(&v)"),
            (Some(least), None) => format!("v >= {least}"),
            (None, Some(most)) => format!("v <= {most}"),
            (None, None) => "true".into(),
        };
        match self.form {
            None => range,
            Some(Form::Even) => format!("v.is_multiple_of(2) && {range}"),
            Some(Form::PowerOfTwo) => format!("v.is_power_of_two() && {range}"),
        }
    }

    /// The same in words.
    pub fn limit(&self) -> String {
        if let Some(limit) = &self.limit {
            return limit.clone();
        }
        if let Some((last, others)) = self.values.split_last() {
            let others: Vec<String> = others.iter().map(u32::to_string).collect();
            return match others.as_slice() {
                [] => last.to_string(),
                others => format!("{} or {last}", others.join(", ")),
            };
        }
        let number = |limit: Option<u32>| limit.map_or(String::new(), |n| n.to_string());
        let (least, most) = (number(self.minimum), number(self.maximum));
        let range = format!("{least}..={most}");
        match self.form {
            None => range,
            Some(Form::Even) => format!("even, {range}"),
            Some(Form::PowerOfTwo) => format!("a power of two, {range}"),
        }
    }

    fn check(&self) -> Result<()> {
        self.place()?;
        let numbers = self.minimum.is_some() || self.maximum.is_some();
        ensure!(
            self.values.is_empty() == numbers,
            "{}: either `values`, or `minimum` and `maximum`",
            self.name
        );
        Ok(())
    }
}

impl Geometries {
    pub fn parse(text: &str) -> Result<Self> {
        let all: Geometries = toml::from_str(text).context("geometry.toml does not parse")?;
        all.check().context("geometry.toml is inconsistent")?;
        Ok(all)
    }

    /// The parameter with this name or symbol.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        let named = |p: &&Parameter| p.name == name || p.symbol.as_deref() == Some(name);
        self.parameter.iter().find(named)
    }

    fn check(&self) -> Result<()> {
        unique("parameter", self.parameter.iter().map(|p| &p.name))?;
        unique("register field", self.parameter.iter().map(|p| &p.register))?;
        unique("geometry", self.geometry.iter().map(|g| &g.name))?;
        self.parameter.iter().try_for_each(Parameter::check)?;
        for geometry in &self.geometry {
            let have: BTreeSet<&str> = geometry.numbers.keys().map(String::as_str).collect();
            let want: BTreeSet<&str> = self.parameter.iter().map(|p| p.name.as_str()).collect();
            ensure!(
                have == want,
                "geometry {}: missing [{}], unknown [{}]",
                geometry.name,
                list(want.difference(&have)),
                list(have.difference(&want))
            );
            for parameter in &self.parameter {
                let value = geometry.number(&parameter.name)?;
                if !parameter.is_possible(value) {
                    let (name, limit) = (&parameter.name, parameter.limit());
                    bail!("geometry {}: {name} is {value}, not {limit}", geometry.name);
                }
            }
        }
        Ok(())
    }
}

fn list<'a>(names: impl Iterator<Item = &'a &'a str>) -> String {
    names.copied().collect::<Vec<_>>().join(", ")
}

impl Geometry {
    /// A parameter by name; `parse` made sure that every one is there.
    pub fn number(&self, name: &str) -> Result<u32> {
        self.numbers
            .get(name)
            .copied()
            .with_context(|| format!("geometry {} has no {name}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: &str = include_str!("../../../accelerator/contract/geometry.toml");

    #[test]
    fn mistakes_in_a_geometry_are_named() {
        Geometries::parse(GEOMETRY).expect("geometry.toml");
        for (from, to, message) in [
            ("\nlanes = 8\n", "\n", "missing [lanes], unknown []"),
            (
                "\nlanes = 8\n",
                "\nlanes = 8\nlines = 8\n",
                "missing [], unknown [lines]",
            ),
            (
                "\nlanes = 8\n",
                "\nlanes = 16\n",
                "geometry tiny: lanes is 16, not 8",
            ),
            (
                "\nrows = 4\n",
                "\nrows = 12\n",
                "rows is 12, not a power of two, 4..=64",
            ),
            (
                "\npairs = 4\n",
                "\npairs = 5\n",
                "pairs is 5, not even, 2..=64",
            ),
            (
                "\nports = 1\n",
                "\nports = 3\n",
                "ports is 3, not 1, 2 or 4",
            ),
            (
                "\nclock_hz = 214_000_000\n",
                "\nclock_hz = 1\n",
                "clock_hz is 1, not at least 1 MHz",
            ),
            ("values = [8]\n", "", "lanes: either `values`"),
            (
                "CLOCK_HZ.HZ",
                "CLOCK_HZ",
                "clock_hz: `CLOCK_HZ` is not REGISTER.FIELD",
            ),
        ] {
            let text = GEOMETRY.replacen(from, to, 1);
            assert_ne!(text, GEOMETRY, "`{from}` is not in geometry.toml");
            let error = format!("{:#}", Geometries::parse(&text).expect_err("inconsistent"));
            assert!(error.contains(message), "{to}: {error}");
        }
    }
}
