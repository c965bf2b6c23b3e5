//! `cargo xtask synth`: what the RTL takes on the ZCU102's part, by Yosys, per module and per
//! geometry.
//!
//! The figures are in `accelerator/rtl/synth/resources.json`, and `docs/resources.md` is made of
//! them. Synthesis takes minutes of processor time from nothing; each module's result is kept under
//! `target/synth` until the module changes. It runs in `full-check`; the test command only compares
//! page and figures.

mod cascade;
mod cells;
mod netlist;
mod page;
mod report;
mod yosys;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use self::report::Report;
use self::yosys::Yosys;
pub use self::yosys::sources;
use crate::host::{note, root, write_atomically};

/// `cargo xtask synth`.
#[derive(clap::Args)]
pub struct Args {
    /// Compare with the files instead of writing them.
    #[arg(long)]
    check: bool,
    /// Only make the page from the figures, or compare it with them.
    #[arg(long)]
    page: bool,
}

const FIGURES: &str = "accelerator/rtl/synth/resources.json";
const PAGE: &str = "docs/resources.md";
const REMEDY: &str = "run `cargo xtask synth`";

/// Geometries by their number in `fqbert_system_pkg`, with the most DSPs, LUTs and BRAM36 that they
/// may take.
const GEOMETRIES: [(&str, Option<[u64; 3]>); 3] = [
    ("tiny", None),
    ("paper", Some([900, 274_080 * 8 / 10, 912])),
    ("zcu102", Some([2520, 274_080 * 8 / 10, 912])),
];

pub fn main(args: &Args) -> Result<ExitCode> {
    let root = root();
    match (args.page, args.check) {
        (true, true) => check_page(&root)?,
        (true, false) => {
            let page = page::page(&read(&root)?);
            write_atomically(&root.join(PAGE), page.as_bytes())?;
        }
        (false, check) => run(&root, check)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Synthesizes; then writes figures and page, or compares them.
///
/// # Errors
/// Synthesis fails, a geometry takes more than it may, or what is compared differs.
pub fn run(root: &Path, check: bool) -> Result<()> {
    let report = synthesize(root)?;
    for geometry in &report.geometries {
        let r = geometry.total;
        note(format!(
            "{}: {} DSP48E2, {} LUT, {} FF, {} BRAM36, {} URAM",
            geometry.name,
            r.dsp48e2,
            r.lut,
            r.ff,
            r.bram36(),
            r.uram
        ));
    }
    if check {
        if let Some(what) = read(root)?.difference(&report) {
            bail!("{FIGURES} is not what the sources give: {what}; {REMEDY}");
        }
        check_page(root)?;
    } else {
        let json = serde_json::to_string_pretty(&report)? + "\n";
        write_atomically(&root.join(FIGURES), json.as_bytes())?;
        write_atomically(&root.join(PAGE), page::page(&report).as_bytes())?;
    }
    within_bounds(&report)
}

fn synthesize(root: &Path) -> Result<Report> {
    let yosys = Yosys::new(root)?;
    let cascade = cascade::check(&yosys.cascade()?)?;
    let designs = (0..GEOMETRIES.len())
        .map(|preset| yosys.elaborate(preset))
        .collect::<Result<Vec<_>>>()?;
    let mapped = yosys.map(&designs)?;
    let creator = &mapped
        .values()
        .next()
        .context("nothing was mapped")?
        .creator;
    // Without the compiler that Yosys was built with.
    let tool = creator.split(" (").next().unwrap_or(creator).to_owned();
    let geometries = GEOMETRIES
        .iter()
        .zip(&designs)
        .map(|((name, _), design)| report::geometry(name, design, &mapped))
        .collect::<Result<Vec<_>>>()?;
    Ok(Report {
        tool,
        sources: yosys::sources_hash(&root.join("accelerator/rtl"))?,
        cascade,
        geometries,
    })
}

fn within_bounds(report: &Report) -> Result<()> {
    for (name, bounds) in GEOMETRIES {
        let Some([dsp, lut, bram]) = bounds else {
            continue;
        };
        let geometry = report.geometries.iter().find(|g| g.name == name);
        let total = geometry
            .with_context(|| format!("no geometry {name}"))?
            .total;
        ensure!(
            total.dsp48e2 <= dsp && total.lut <= lut && total.bram36() <= bram as f64,
            "{name} takes {total:?}; it may take {dsp} DSPs, {lut} LUTs and {bram} BRAM36"
        );
    }
    Ok(())
}

fn read(root: &Path) -> Result<Report> {
    let path = root.join(FIGURES);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {FIGURES}; {REMEDY}"))?;
    serde_json::from_str(&text).with_context(|| format!("in {FIGURES}; {REMEDY}"))
}

/// Whether the page is that of the figures and these keep the bounds. Says when the sources are
/// newer than the figures.
///
/// # Errors
/// The page differs, or a geometry takes more than it may.
pub fn check_page(root: &Path) -> Result<()> {
    let report = read(root)?;
    within_bounds(&report)?;
    let page = fs::read_to_string(root.join(PAGE)).with_context(|| format!("reading {PAGE}"))?;
    ensure!(
        page == page::page(&report),
        "{PAGE} is not what {FIGURES} gives; {REMEDY}"
    );
    if report.sources != yosys::sources_hash(&root.join("accelerator/rtl"))? {
        note(format!(
            "the RTL has changed since {FIGURES} was made: {REMEDY}"
        ));
    }
    Ok(())
}
