//! An elaborated design in Yosys' JSON, with copies of a module recognised as one.
//!
//! The frontend elaborates every instance into a module of its own, named by its path. Two of them
//! are the same hardware when their JSON is the same once attributes of origin are dropped and the
//! modules below are named by their content. Generated names do not tell them apart: the driver
//! has numbered them anew in each module (`rename -enumerate`). So a module is known here by a hash
//! of its JSON: the one key for counting instances and for keeping results.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The file that `write_json` writes and `read_json` reads.
#[derive(Serialize, Deserialize)]
struct File {
    modules: BTreeMap<String, Body>,
}

/// A module as it stands in the file. Nets are numbered within it.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Body {
    attributes: BTreeMap<String, Value>,
    #[serde(default)]
    parameter_default_values: BTreeMap<String, Value>,
    #[serde(default)]
    ports: BTreeMap<String, Value>,
    #[serde(default)]
    cells: BTreeMap<String, Cell>,
    #[serde(default)]
    memories: BTreeMap<String, Named>,
    #[serde(default)]
    netnames: BTreeMap<String, Named>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Cell {
    r#type: String,
    parameters: BTreeMap<String, Value>,
    attributes: BTreeMap<String, Value>,
    port_directions: BTreeMap<String, Value>,
    connections: BTreeMap<String, Value>,
}

/// A net's name or a memory, with what else is said of it.
#[derive(Clone, Serialize, Deserialize)]
struct Named {
    attributes: BTreeMap<String, Value>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// One distinct module.
pub struct Module {
    /// Its name in the sources.
    pub name: String,
    /// What is in it, with the modules below named by their keys.
    body: Body,
    /// Keys of the modules below, with how often each is instantiated.
    pub children: BTreeMap<String, usize>,
    /// A primitive: it has ports and parameters but nothing inside.
    pub primitive: bool,
}

/// Modules by key.
pub struct Design {
    pub modules: BTreeMap<String, Module>,
    pub top: String,
}

/// Attributes that say where something came from, not what it is.
const ORIGINS: [&str; 4] = ["src", "hdlname", "scopename", "top"];

/// What the driver's `rename -enumerate` puts before a number.
const GENERATED: &str = "generated";

/// The attribute of a module without an inside, and how Yosys writes that it is set.
const BLACKBOX: &str = "blackbox";
const SET: &str = "00000000000000000000000000000001";

/// Reads what `write_json` wrote.
///
/// # Errors
/// The text is no such JSON, or has no `top`.
pub fn parse(text: &str, top: &str) -> Result<Design> {
    let file: File = serde_json::from_str(text)?;
    let mut names = Names {
        bodies: &file.modules,
        keys: BTreeMap::new(),
        modules: BTreeMap::new(),
    };
    let top = names.key_of(top, 0)?;
    Ok(Design {
        modules: names.modules,
        top,
    })
}

struct Names<'a> {
    bodies: &'a BTreeMap<String, Body>,
    /// Path to key, of the modules that are done.
    keys: BTreeMap<String, String>,
    modules: BTreeMap<String, Module>,
}

impl Names<'_> {
    fn key_of(&mut self, path: &str, depth: usize) -> Result<String> {
        if let Some(key) = self.keys.get(path) {
            return Ok(key.clone());
        }
        ensure!(depth < 100, "{path}: modules within modules without end");
        let found = self.bodies.get(path);
        let mut body = found
            .with_context(|| format!("no module {path}"))?
            .without_origins();
        let primitive = body.attributes.contains_key(BLACKBOX);
        let mut children = BTreeMap::new();
        for cell in body.cells.values_mut() {
            if self.bodies.contains_key(&cell.r#type) {
                cell.r#type = self.key_of(&cell.r#type, depth + 1)?;
                *children.entry(cell.r#type.clone()).or_insert(0) += 1;
            }
        }
        // A path follows the source name after a `$`.
        let name = path.split('$').next().unwrap_or(path).to_owned();
        let key = if primitive {
            name.clone()
        } else {
            let json = serde_json::to_vec(&body)?;
            let digest = fqbert_files::sha256_hex([name.as_bytes(), b"\n", &json]);
            format!("{name}${}", &digest[..12])
        };
        self.keys.insert(path.to_owned(), key.clone());
        self.modules.insert(
            key.clone(),
            Module {
                name,
                body,
                children,
                primitive,
            },
        );
        Ok(key)
    }
}

impl Body {
    /// Without attributes of origin, generated names as Yosys has its own, and without the names of
    /// nets that tell nothing: a generated one, of a net that has no attribute.
    fn without_origins(&self) -> Self {
        let mut body = self.clone();
        let strip = |attributes: &mut BTreeMap<String, Value>| {
            attributes.retain(|name, _| !ORIGINS.contains(&name.as_str()));
        };
        strip(&mut body.attributes);
        body.memories
            .values_mut()
            .for_each(|m| strip(&mut m.attributes));
        body.netnames
            .values_mut()
            .for_each(|n| strip(&mut n.attributes));
        body.netnames
            .retain(|name, net| !(is_generated(name) && net.attributes.is_empty()));
        let cells = std::mem::take(&mut body.cells);
        body.cells = cells
            .into_iter()
            .map(|(name, mut cell)| {
                strip(&mut cell.attributes);
                let name = if is_generated(&name) {
                    format!("${name}")
                } else {
                    name
                };
                (name, cell)
            })
            .collect();
        body
    }

    /// Its outside, for a module above.
    fn boxed(&self) -> Self {
        Self {
            attributes: BTreeMap::from([(BLACKBOX.to_owned(), Value::from(SET))]),
            ports: self.ports.clone(),
            ..Self::default()
        }
    }
}

fn is_generated(name: &str) -> bool {
    name.strip_prefix(GENERATED)
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Design {
    /// All modules, each once, under their keys.
    pub fn whole(&self) -> Result<String> {
        let bodies = self
            .modules
            .iter()
            .map(|(k, m)| (k.clone(), m.body.clone()));
        write(bodies.collect())
    }

    /// The text of one module, with those below it as boxes, for a run of its own.
    pub fn alone(&self, key: &str) -> Result<String> {
        let module = &self.modules[key];
        let below = module
            .children
            .keys()
            .map(|child| (child, &self.modules[child]));
        // The cell library has the primitives.
        let boxes = below.filter(|(_, child)| !child.primitive);
        let boxes = boxes.map(|(child, module)| (child.clone(), module.body.boxed()));
        let itself = (key.to_owned(), module.body.clone());
        write(boxes.chain([itself]).collect())
    }

    /// How often each module stands in `root`, itself included.
    pub fn instances(&self, root: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        self.count(root, 1, &mut counts);
        counts
    }

    fn count(&self, key: &str, times: usize, counts: &mut BTreeMap<String, usize>) {
        *counts.entry(key.to_owned()).or_insert(0) += times;
        for (child, &number) in &self.modules[key].children {
            self.count(child, times * number, counts);
        }
    }
}

fn write(modules: BTreeMap<String, Body>) -> Result<String> {
    Ok(serde_json::to_string(&File { modules })?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cell(kind: &str, a: u32, y: u32) -> Value {
        json!({
            "hide_name": 0, "type": kind, "parameters": {}, "attributes": {"src": kind},
            "port_directions": {"A": "input", "Y": "output"},
            "connections": {"A": [a], "Y": [y]},
        })
    }

    fn net(bits: u32, attributes: &Value) -> Value {
        json!({"hide_name": 0, "bits": [bits], "attributes": attributes})
    }

    /// A copy of a module whose inverter was at another place in the file.
    fn copy(kind: &str, line: u32) -> Value {
        json!({
            "attributes": {"src": format!("a.sv:{line}")},
            "ports": {"x": {"direction": "input", "bits": [2]}},
            "cells": {"generated0": cell(kind, 2, 3)},
            "netnames": {"generated1": net(3, &json!({"src": format!("a.sv:{line}")}))},
        })
    }

    fn two_copies(second: &str) -> String {
        json!({"creator": "a test", "modules": {
            "top": {
                "attributes": {"top": SET},
                "ports": {},
                "cells": {
                    "u": cell("unit$top.u", 2, 3),
                    "v": cell("unit$top.v", 3, 4),
                    "d": cell("DSP48E2", 4, 5),
                },
                "netnames": {"a": net(2, &json!({})), "generated0": net(3, &json!({"init": "1"}))},
            },
            "unit$top.u": copy("$not", 7),
            "unit$top.v": copy(second, 8),
            "DSP48E2": {"attributes": {"blackbox": SET}, "ports": {}, "cells": {}, "netnames": {}},
        }})
        .to_string()
    }

    #[test]
    fn copies_are_one_module() {
        let design = parse(&two_copies("$not"), "top").unwrap();
        assert_eq!(design.modules.len(), 3);
        let instances = design.instances(&design.top);
        let of = |name: &str| -> usize {
            let named = |key: &&String| design.modules[*key].name == name;
            let keys = instances.keys().filter(named);
            keys.map(|key| instances[key]).sum()
        };
        assert_eq!((of("top"), of("unit"), of("DSP48E2")), (1, 2, 1));
    }

    #[test]
    fn one_module_stands_alone_with_boxes_below_it() {
        let design = parse(&two_copies("$not"), "top").unwrap();
        let text = design.alone(&design.top).unwrap();
        assert_eq!(text.matches("\"blackbox\"").count(), 1, "{text}");
        assert!(!text.contains("$not") && !text.contains("a.sv"), "{text}");
        // The cell stays, its net is as good without the generated name; one with an attribute is
        // not.
        let unit = design
            .modules
            .keys()
            .find(|k| k.starts_with("unit"))
            .unwrap();
        let text = design.alone(unit).unwrap();
        assert!(text.contains("\"$generated0\""), "{text}");
        assert!(!text.contains("generated1"), "{text}");
        assert!(design.whole().unwrap().contains("\"init\":\"1\""));
    }

    #[test]
    fn the_whole_reads_as_itself() {
        let design = parse(&two_copies("$not"), "top").unwrap();
        let again = parse(&design.whole().unwrap(), &design.top).unwrap();
        let names = |design: &Design| -> Vec<String> {
            design.modules.values().map(|m| m.name.clone()).collect()
        };
        assert_eq!(names(&design), names(&again));
        assert_eq!(again.modules.len(), 3);
    }

    #[test]
    fn what_differs_inside_has_another_key() {
        assert_eq!(parse(&two_copies("$pos"), "top").unwrap().modules.len(), 4);
    }

    #[test]
    fn a_missing_top_or_a_cut_file_is_an_error() {
        let text = two_copies("$not");
        assert!(parse(&text, "bottom").is_err());
        assert!(parse(&text[..text.len() - 1], "top").is_err());
    }
}
