//! An elaborated design as Yosys writes it (RTLIL), with copies of a module recognised as one.
//!
//! The frontend elaborates every instance into a module of its own, named by its path. Two of them
//! are the same hardware when their text is the same once file positions are dropped, generated
//! names are numbered anew, and the modules below are named by their content. So a module is known
//! here by a hash of that text: the one key for counting instances and for keeping results.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

/// One distinct module.
pub struct Module {
    /// Its name in the sources.
    pub name: String,
    /// Declarations of its ports, for a box of it.
    ports: String,
    /// Its body, with the modules below named by their keys.
    body: String,
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

/// A module as it stands in the file.
struct Raw<'a> {
    path: &'a str,
    lines: Vec<&'a str>,
    primitive: bool,
}

/// Attributes that say where something came from, not what it is.
const ORIGINS: [&str; 4] = ["\\src", "\\hdlname", "\\scopename", "\\top"];

/// Reads the text that `write_rtlil` writes.
///
/// # Errors
/// The text is not RTLIL as it is known here, or has no `top`.
pub fn parse(text: &str, top: &str) -> Result<Design> {
    let raw = split(text)?;
    let by_path: HashMap<&str, &Raw> = raw.iter().map(|m| (m.path, m)).collect();
    let mut names = Names {
        by_path: &by_path,
        keys: HashMap::new(),
        modules: BTreeMap::new(),
    };
    let top = names.key_of(&format!("\\{top}"), 0)?;
    Ok(Design {
        modules: names.modules,
        top,
    })
}

fn split(text: &str) -> Result<Vec<Raw<'_>>> {
    let mut modules = Vec::new();
    let mut primitive = false;
    let mut open: Option<Raw> = None;
    for line in text.lines() {
        match &mut open {
            Some(_) if line == "end" => modules.extend(open.take()),
            Some(module) => module.lines.push(line),
            None => {
                if let Some(path) = line.strip_prefix("module ") {
                    open = Some(Raw {
                        path: path.trim(),
                        lines: Vec::new(),
                        primitive,
                    });
                    primitive = false;
                } else if line.starts_with("attribute \\blackbox") {
                    primitive = true;
                }
            }
        }
    }
    ensure!(open.is_none(), "the last module has no end");
    Ok(modules)
}

struct Names<'a> {
    by_path: &'a HashMap<&'a str, &'a Raw<'a>>,
    /// Path to key, of the modules that are done.
    keys: HashMap<&'a str, String>,
    modules: BTreeMap<String, Module>,
}

impl<'a> Names<'a> {
    fn key_of(&mut self, path: &str, depth: usize) -> Result<String> {
        if let Some(key) = self.keys.get(path) {
            return Ok(key.clone());
        }
        ensure!(depth < 100, "{path}: modules within modules without end");
        let raw = *self
            .by_path
            .get(path)
            .with_context(|| format!("no module {path}"))?;
        // A path follows the source name after a `$`.
        let plain = raw.path.trim_start_matches('\\');
        let name = plain.split('$').next().unwrap_or(plain).to_owned();
        let local = local_names(&raw.lines);
        let mut children = BTreeMap::new();
        let (mut body, mut ports) = (String::new(), String::new());
        for line in &raw.lines {
            let mut words = line.split_whitespace();
            let line = match words.next() {
                Some("attribute") if words.next().is_some_and(|a| ORIGINS.contains(&a)) => continue,
                Some("cell") => {
                    let (kind, instance) = (
                        words.next().unwrap_or_default(),
                        words.next().unwrap_or_default(),
                    );
                    let kind = if self.by_path.contains_key(kind) {
                        let key = self.key_of(kind, depth + 1)?;
                        *children.entry(key.clone()).or_insert(0) += 1;
                        format!("\\{key}")
                    } else {
                        kind.to_owned()
                    };
                    format!("  cell {kind} {}", renamed(instance, &local))
                }
                _ => renamed_line(line, &local),
            };
            body.push_str(&line);
            body.push('\n');
            let port = |word| matches!(word, "input" | "output" | "inout");
            if line.starts_with("  wire ") && line.split_whitespace().any(port) {
                ports.push_str(&line);
                ports.push('\n');
            }
        }
        let key = if raw.primitive {
            name.clone()
        } else {
            let digest = fqbert_files::sha256_hex([format!("{name}\n{body}").as_bytes()]);
            format!("{name}${}", &digest[..12])
        };
        self.keys.insert(raw.path, key.clone());
        self.modules.insert(
            key.clone(),
            Module {
                name,
                ports,
                body,
                children,
                primitive: raw.primitive,
            },
        );
        Ok(key)
    }
}

/// The generated names of a module's wires, cells and memories, numbered in the order of their
/// declaration.
fn local_names<'a>(lines: &[&'a str]) -> HashMap<&'a str, String> {
    let mut names = HashMap::new();
    for line in lines {
        let mut words = line.split_whitespace();
        if let Some("wire" | "cell" | "memory") = words.next()
            && let Some(name) = words.next_back()
            && name.starts_with('$')
        {
            let next = names.len();
            names
                .entry(name)
                .or_insert_with(|| format!("$local${next}"));
        }
    }
    names
}

fn renamed<'a>(word: &'a str, names: &'a HashMap<&str, String>) -> &'a str {
    names.get(word).map_or(word, String::as_str)
}

/// A line with its names exchanged; a memory's name is also the value of a string parameter.
fn renamed_line(line: &str, names: &HashMap<&str, String>) -> String {
    let mut text = String::with_capacity(line.len());
    for piece in line.split_inclusive(' ') {
        let word = piece.trim_end_matches(' ');
        let blank = &piece[word.len()..];
        match word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
            Some(quoted) => write!(text, "\"{}\"", renamed(quoted, names)),
            None => write!(text, "{}", renamed(word, names)),
        }
        .expect("writing to a String");
        text.push_str(blank);
    }
    text
}

impl Design {
    /// All modules, each once, under their keys.
    pub fn whole(&self) -> String {
        let mut text = String::from("autoidx 1\n");
        for (key, module) in &self.modules {
            if module.primitive {
                text.push_str("attribute \\blackbox 1\n");
            }
            write!(text, "module \\{key}\n{}end\n", module.body).expect("writing to a String");
        }
        text
    }

    /// The text of one module, with those below it as boxes, for a run of its own.
    pub fn alone(&self, key: &str) -> String {
        let mut text = String::from("autoidx 1\n");
        let module = &self.modules[key];
        for child in module.children.keys() {
            let child_module = &self.modules[child];
            let inside = if child_module.primitive {
                &child_module.body
            } else {
                &child_module.ports
            };
            // The cell library has the primitives.
            if !child_module.primitive {
                write!(
                    text,
                    "attribute \\blackbox 1\nmodule \\{child}\n{inside}end\n"
                )
                .expect("writing to a String");
            }
        }
        write!(text, "module \\{key}\n{}end\n", module.body).expect("writing to a String");
        text
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

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_COPIES: &str = "\
autoidx 9
attribute \\src \"a.sv:1\"
module \\top
  attribute \\src \"a.sv:2\"
  wire input 1 \\a
  wire $4
  cell \\unit$top.u \\u
    connect \\x \\a
    connect \\y $4
  end
  cell \\unit$top.v \\v
    connect \\x $4
  end
  cell \\odd$top.w \\w
  end
end
module \\unit$top.u
  wire input 1 \\x
  wire output 2 \\y
  cell $not $7
    connect \\A \\x
    connect \\Y \\y
  end
end
module \\unit$top.v
  wire input 1 \\x
  wire output 2 \\y
  cell $not $12
    connect \\A \\x
    connect \\Y \\y
  end
end
module \\odd$top.w
  memory width 8 size 4 $rom$3
  cell $memrd $5
    parameter \\MEMID \"$rom$3\"
  end
end
";

    #[test]
    fn copies_are_one_module() {
        let design = parse(TWO_COPIES, "top").unwrap();
        assert_eq!(design.modules.len(), 3);
        let instances = design.instances(&design.top);
        let of = |name: &str| -> usize {
            let named = |key: &&String| design.modules[*key].name == name;
            instances
                .keys()
                .filter(named)
                .map(|key| instances[key])
                .sum()
        };
        assert_eq!((of("top"), of("unit"), of("odd")), (1, 2, 1));
    }

    #[test]
    fn one_module_stands_alone_with_boxes_below_it() {
        let design = parse(TWO_COPIES, "top").unwrap();
        let text = design.alone(&design.top);
        assert_eq!(text.matches("attribute \\blackbox 1").count(), 2);
        assert!(!text.contains("$not"), "{text}");
        assert!(!text.contains("a.sv"), "{text}");
        let odd = design
            .modules
            .keys()
            .find(|k| k.starts_with("odd"))
            .unwrap();
        let text = design.alone(odd);
        assert!(
            text.contains("size 4 $local$0") && text.contains("\"$local$0\""),
            "{text}"
        );
    }

    #[test]
    fn the_whole_reads_as_itself() {
        let design = parse(TWO_COPIES, "top").unwrap();
        let again = parse(&design.whole(), &design.top).unwrap();
        assert_eq!(
            design.modules.keys().collect::<Vec<_>>(),
            again.modules.keys().collect::<Vec<_>>()
        );
    }

    #[test]
    fn what_differs_inside_has_another_key() {
        let other = TWO_COPIES.replacen("cell $not $12", "cell $pos $12", 1);
        assert_eq!(parse(&other, "top").unwrap().modules.len(), 4);
    }

    #[test]
    fn a_missing_top_or_a_cut_file_is_an_error() {
        assert!(parse(TWO_COPIES, "bottom").is_err());
        let cut = TWO_COPIES.trim_end().trim_end_matches("end");
        assert!(parse(cut, "top").is_err());
    }
}
