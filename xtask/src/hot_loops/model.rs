//! Cycles of an iteration by LLVM's models of CPUs (`llvm-mca`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::listing::Instruction;
use super::target::Target;
use crate::host;

const MODEL: &str = "llvm-mca-19";

/// Iterations of the two runs whose difference is the time of a loop in its stride.
const ITERATIONS: [u32; 2] = [100, 300];

/// CPUs that run a loop, by the instructions in it.
pub fn cpus(target: Target, body: &[Instruction]) -> &'static [&'static str] {
    let has = |text: &str| body.iter().any(|i| i.mnemonic.starts_with(text));
    let operand = |text: &str| body.iter().any(|i| i.operands.contains(text));
    match target {
        Target::X86_64 => {
            let upper = (16..32).any(|n| operand(&format!("mm{n}")));
            if upper || operand("%zmm") || operand("{%k") {
                &["znver4", "znver5", "icelake-server"]
            } else if body.iter().any(|i| i.prefix == "{vex} ") {
                &["znver5", "alderlake"]
            } else {
                &["znver4", "znver5", "icelake-server", "alderlake"]
            }
        }
        Target::Aarch64 if has("smmla") || has("ummla") => &["neoverse-n2"],
        Target::Aarch64 if has("sdot") || has("udot") => &["cortex-a55", "neoverse-n1"],
        Target::Aarch64 => &["cortex-a53", "neoverse-n1"],
    }
}

/// Cycles of an iteration by the model of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cycles {
    /// Simulated: in the order of the code, operations taken by the units as they come.
    pub simulated: f64,
    /// At least, by the units alone: as if operations were dealt out to them without waste.
    pub units: f64,
}

/// Cycles of an iteration, by CPU, of each body; none of an empty one.
///
/// # Errors
/// `llvm-mca` fails or does not know an instruction.
pub fn cycles(
    target: Target,
    bodies: &[Vec<Instruction>],
) -> Result<Vec<BTreeMap<String, Cycles>>> {
    let mut cycles = vec![BTreeMap::new(); bodies.len()];
    let mut by_cpu: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let bodies_with_code = bodies.iter().enumerate().filter(|(_, b)| !b.is_empty());
    for (number, body) in bodies_with_code {
        for cpu in cpus(target, body) {
            by_cpu.entry(cpu).or_default().push(number);
        }
    }
    for (cpu, numbers) in by_cpu {
        let these: Vec<&[Instruction]> = numbers.iter().map(|n| &*bodies[*n]).collect();
        let text = assembly(&these);
        let [few, many] = ITERATIONS;
        let (before, after) = (
            run(target, cpu, few, &text)?,
            run(target, cpu, many, &text)?,
        );
        ensure!(
            before.len() == these.len() && after.len() == these.len(),
            "{MODEL} gives {} of {} loops",
            before.len(),
            these.len()
        );
        for (number, (before, after)) in numbers.into_iter().zip(before.into_iter().zip(after)) {
            let difference = after.total_cycles - before.total_cycles;
            let cycles_of_one = Cycles {
                simulated: hundredths(difference / f64::from(many - few)),
                units: hundredths(after.block_throughput),
            };
            cycles[number].insert(cpu.to_owned(), cycles_of_one);
        }
    }
    Ok(cycles)
}

fn hundredths(cycles: f64) -> f64 {
    (100.0 * cycles).round() / 100.0
}

/// The bodies as regions, with their branches back to the beginning.
fn assembly(bodies: &[&[Instruction]]) -> String {
    let mut text = String::new();
    for (number, body) in bodies.iter().enumerate() {
        let _ = writeln!(text, "# LLVM-MCA-BEGIN\n.Lloop{number}:");
        for i in *body {
            let to = i.branch.map(|_| format!(".Lloop{number}"));
            let to = to.unwrap_or_default();
            let _ = writeln!(text, "{}{} {}{to}", i.prefix, i.mnemonic, i.operands);
        }
        let _ = writeln!(text, "# LLVM-MCA-END");
    }
    text
}

/// What we read of the model's report.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    code_regions: Vec<Region>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Region {
    summary_view: Summary,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    /// Of all iterations.
    total_cycles: f64,
    /// Of one.
    #[serde(rename = "BlockRThroughput")]
    block_throughput: f64,
}

/// The summary of each region.
fn run(target: Target, cpu: &str, iterations: u32, assembly: &str) -> Result<Vec<Summary>> {
    let file = tempfile::NamedTempFile::new().context("a temporary file")?;
    std::fs::write(file.path(), assembly)?;
    let json = host::output(
        Command::new(MODEL)
            .arg(format!("-mtriple={}", target.name()))
            .arg(format!("-mcpu={cpu}"))
            .arg(format!("-iterations={iterations}"))
            .args([
                "--json",
                "-instruction-info=false",
                "-resource-pressure=false",
            ])
            .arg(file.path()),
    )?;
    let report: Report =
        serde_json::from_str(&json).with_context(|| format!("{MODEL} printed something else"))?;
    let regions = report.code_regions.into_iter();
    Ok(regions.map(|r| r.summary_view).collect())
}

/// `LLVM 19.1.7`.
///
/// # Errors
/// There is no `llvm-mca`, or it does not tell its version.
pub fn version() -> Result<String> {
    let text = host::output(Command::new(MODEL).arg("--version"))?;
    let version = text.split("LLVM version ").nth(1);
    let version = version.and_then(|rest| rest.split_whitespace().next());
    Ok(format!(
        "LLVM {}",
        version.with_context(|| format!("no version in `{text}`"))?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hot_loops::listing;

    fn code(target: Target, lines: &str) -> Vec<Instruction> {
        let mut functions = listing::functions(target, &format!("0 <f>:\n{lines}"));
        functions.remove(0).code
    }

    #[test]
    fn a_loop_is_modelled_where_its_instructions_are() {
        let of = |target, line| cpus(target, &code(target, &format!("0: {line}\n")));
        assert!(of(Target::X86_64, "vpaddd %ymm1, %ymm2, %ymm3").contains(&"alderlake"));
        for line in ["vpaddd %ymm1, %ymm2, %ymm17", "vpaddd %zmm1, %zmm2, %zmm3"] {
            assert_eq!(
                of(Target::X86_64, line),
                ["znver4", "znver5", "icelake-server"]
            );
        }
        let vex = "{vex} vpdpbusd %ymm1, %ymm2, %ymm3";
        assert_eq!(of(Target::X86_64, vex), ["znver5", "alderlake"]);
        let sdot = "sdot v0.4s, v1.16b, v2.4b[0]";
        assert_eq!(of(Target::Aarch64, sdot), ["cortex-a55", "neoverse-n1"]);
    }

    #[test]
    fn a_body_becomes_a_region_that_branches_to_its_beginning() {
        let body = code(
            Target::Aarch64,
            "8: {vex} nop\nc: tbnz w8, #0x0, 0x8 <f+0x8>\n",
        );
        let text = assembly(&[&body]);
        let wanted = "# LLVM-MCA-BEGIN\n.Lloop0:\n{vex} nop \ntbnz w8, #0x0, .Lloop0\n\
                      # LLVM-MCA-END\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_report_is_read() {
        let json = r#"{"CodeRegions": [{"Name": "", "SummaryView": {"BlockRThroughput": 2,
            "TotalCycles": 811, "Iterations": 200}}], "TargetInfo": {}}"#;
        let report: Report = serde_json::from_str(json).unwrap();
        let summary = &report.code_regions[0].summary_view;
        assert_eq!(
            (summary.total_cycles, summary.block_throughput),
            (811.0, 2.0)
        );
    }
}
