//! Yosys over the RTL: elaboration of a geometry, and what each module maps to, kept by the hash of
//! what it was made from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::cells::{self, Resources};
use super::netlist::{self, Design};
use crate::host::{note, output, write_atomically};
use crate::python;

const DRIVER: &str = include_str!("driver.py");
/// Ports of the DSP48E2 for the frontend, which wants every module declared.
const PRIMITIVES: &str = "synth/dsp48e2.sv";

/// Yosys, the sources, and a folder for results.
pub struct Yosys {
    python: PathBuf,
    driver: PathBuf,
    rtl: PathBuf,
    sources: Vec<String>,
    results: PathBuf,
    /// Of the driver and the pinned packages.
    tool: String,
    /// Of the tool and all sources.
    input: String,
}

/// `stat -json` of Yosys, as far as it is of use here.
#[derive(Deserialize)]
struct Statistics {
    creator: String,
    modules: BTreeMap<String, ModuleStatistics>,
}

#[derive(Deserialize)]
struct ModuleStatistics {
    num_cells_by_type: BTreeMap<String, u64>,
}

/// A mapped module: what it takes without the modules below it, and which Yosys says so.
pub struct Mapped {
    pub own: Resources,
    pub creator: String,
}

impl Yosys {
    /// Brings Yosys and reads the list of sources.
    ///
    /// # Errors
    /// The package cannot be installed, or a source is missing.
    pub fn new(root: &Path) -> Result<Self> {
        let environment = python::environment(root, python::SYNTH)?;
        let rtl = root.join("accelerator/rtl");
        let results = root.join("target/synth");
        fs::create_dir_all(&results)?;
        let driver = results.join("driver.py");
        write_atomically(&driver, DRIVER.as_bytes())?;
        let sources = with_primitives(sources(&rtl)?);
        let tool = hash(&[DRIVER.as_bytes(), python::SYNTH.requirements().as_bytes()]);
        Ok(Self {
            python: environment.join("bin/python"),
            driver,
            input: hash(&[tool.as_bytes(), sources_hash(&rtl)?.as_bytes()]),
            rtl,
            sources,
            results,
            tool,
        })
    }

    fn driver(&self, task: &str, folder: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(&self.driver).arg(task).arg(folder);
        command
    }

    /// The design of a geometry by its number in `fqbert_top`, trimmed.
    ///
    /// # Errors
    /// A source is no SystemVerilog that Yosys reads; the log's path is in the error.
    pub fn elaborate(&self, preset: usize) -> Result<Design> {
        let name = |kind: &str| format!("{kind}{preset}-{}.netlist", &self.input[..16]);
        let whole = self.results.join(name("elaborated"));
        self.make(&whole, "elaborate", &self.rtl, |command, out| {
            command.arg(preset.to_string()).arg(out).args(&self.sources);
        })?;
        let design = read(&whole, "fqbert_top")?;
        let distinct = self.results.join(name("distinct"));
        write_atomically(&distinct, design.whole()?.as_bytes())?;
        let trimmed = self.results.join(name("trimmed"));
        self.make(&trimmed, "trim", &self.results, |command, out| {
            command.arg(&design.top).arg(&distinct).arg(out);
        })?;
        read(&trimmed, &design.top)
    }

    /// Makes a file by a task of the driver, unless it is there.
    fn make(
        &self,
        file: &Path,
        task: &str,
        folder: &Path,
        arguments: impl FnOnce(&mut Command, &Path),
    ) -> Result<()> {
        if !file.exists() {
            let unfinished = file.with_extension("part");
            let mut command = self.driver(task, folder);
            arguments(&mut command, &unfinished);
            output(&mut command)
                .with_context(|| format!("Yosys' log: {}.log", unfinished.display()))?;
            fs::rename(&unfinished, file)?;
        }
        Ok(())
    }

    /// What every module of these designs maps to, by key. Modules without a kept result are
    /// mapped, several at a time.
    ///
    /// # Errors
    /// A module cannot be mapped within the driver's bounds of time and memory, or not to the
    /// part's primitives.
    pub fn map(&self, designs: &[Design]) -> Result<BTreeMap<String, Mapped>> {
        let mut wanted = BTreeMap::new();
        for design in designs {
            for (key, module) in &design.modules {
                if !module.primitive && !wanted.contains_key(key) {
                    wanted.insert(key.clone(), design.alone(key)?);
                }
            }
        }
        let mut missing = Vec::new();
        for (key, text) in &wanted {
            let name = self.name(key, text);
            if !self.results.join(format!("{name}.json")).exists() {
                write_atomically(
                    &self.results.join(format!("{name}.netlist")),
                    text.as_bytes(),
                )?;
                missing.push((text.len(), name));
            }
        }
        if !missing.is_empty() {
            note(format!(
                "{} of {} modules to map; logs in {}",
                missing.len(),
                wanted.len(),
                self.results.display()
            ));
            // Long ones first, so that no worker is left with one at the end.
            missing.sort_unstable_by(|a, b| b.cmp(a));
            let workers = std::thread::available_parallelism().map_or(1, usize::from);
            output(
                self.driver("map", &self.results)
                    .arg(workers.to_string())
                    .args(missing.iter().map(|(_, name)| name)),
            )?;
        }
        wanted
            .iter()
            .map(|(key, text)| Ok((key.clone(), self.mapped(key, text)?)))
            .collect()
    }

    /// The file name of a module's result: its key, and a hash of all that the result depends on.
    fn name(&self, key: &str, text: &str) -> String {
        let input = hash(&[self.tool.as_bytes(), text.as_bytes()]);
        format!("{}-{}", key.replace('$', "-"), &input[..12])
    }

    fn mapped(&self, key: &str, text: &str) -> Result<Mapped> {
        let path = self.results.join(format!("{}.json", self.name(key, text)));
        let read = || -> Result<Mapped> {
            let statistics: Statistics = serde_json::from_str(&fs::read_to_string(&path)?)?;
            let module = statistics
                .modules
                .get(&format!("\\{key}"))
                .context("the module is not in it")?;
            let below = |kind: &String| kind.contains('$') && kind.starts_with("fqbert_");
            let cells = module
                .num_cells_by_type
                .iter()
                .filter(|(kind, _)| !below(kind));
            let cells = cells
                .map(|(kind, &number)| (kind.clone(), number))
                .collect();
            Ok(Mapped {
                own: cells::total(&cells)?,
                creator: statistics.creator,
            })
        };
        read().with_context(|| format!("in {}", path.display()))
    }

    /// One chain of the array, mapped, as Yosys' JSON netlist.
    ///
    /// # Errors
    /// As [`Self::elaborate`].
    pub fn cascade(&self) -> Result<serde_json::Value> {
        let out = self
            .results
            .join(format!("cascade-{}.json", &self.input[..16]));
        self.make(&out, "cascade", &self.rtl, |command, out| {
            command.arg(out).args(&self.sources);
        })?;
        Ok(serde_json::from_str(&fs::read_to_string(&out)?)?)
    }
}

fn read(path: &Path, top: &str) -> Result<Design> {
    let text = fs::read_to_string(path)?;
    netlist::parse(&text, top).with_context(|| format!("in {}", path.display()))
}

/// Of the parts, each behind its length.
fn hash(parts: &[&[u8]]) -> String {
    let lengths: Vec<[u8; 8]> = parts
        .iter()
        .map(|p| (p.len() as u64).to_le_bytes())
        .collect();
    let both = lengths.iter().zip(parts);
    fqbert_files::sha256_hex(both.flat_map(|(length, part)| [&length[..], *part]))
}

/// The synthesizable sources in order, as `fqbert.f` has them; paths from `rtl`.
///
/// # Errors
/// The list is missing or empty.
pub fn sources(rtl: &Path) -> Result<Vec<String>> {
    let list = rtl.join("fqbert.f");
    let text = fs::read_to_string(&list).with_context(|| format!("reading {}", list.display()))?;
    let files = text
        .lines()
        .map(str::trim)
        .filter(|line| line.ends_with(".sv") && !line.starts_with("//"))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    ensure!(!files.is_empty(), "no sources in {}", list.display());
    Ok(files)
}

/// A hash of all sources, to tell whether they have changed since.
///
/// # Errors
/// A source is missing.
pub fn sources_hash(rtl: &Path) -> Result<String> {
    let mut parts = Vec::new();
    for file in with_primitives(sources(rtl)?) {
        let path = rtl.join(&file);
        parts.push(fs::read(&path).with_context(|| format!("reading {}", path.display()))?);
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Ok(hash(&parts))
}

fn with_primitives(sources: Vec<String>) -> Vec<String> {
    std::iter::once(PRIMITIVES.to_owned())
        .chain(sources)
        .collect()
}
