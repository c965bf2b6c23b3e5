//! `fqbert verify`: the programs of a model, held against what the verifier promises. Nothing is
//! opened and nothing is run.

use std::fmt::{self, Write};

use anyhow::{Context, anyhow, bail};
use fqbert_compiler::{CompileOptions, buckets, choose_bucket, compile, most_blocks};
use fqbert_contract::Geometry;
use fqbert_contract::program::Program;
use fqbert_contract::verify::{self, VerifyReport, Violation};
use fqbert_model::QuantizedModel;
use fqbert_runtime::SessionOptions;
use serde::Serialize;

use super::subject;
use crate::args::{Cli, Verify};
use crate::output::{self, Told};

#[derive(Serialize)]
struct Found {
    /// None where the program is at fault as a whole.
    instruction: Option<u32>,
    obligation: u8,
    name: &'static str,
    violation: String,
    remedy: &'static str,
}

#[derive(Serialize)]
struct Verdict {
    geometry: &'static str,
    tokens: u32,
    /// Tokens of a block of attention; less than `tokens` in programs that texts are packed into.
    block: u32,
    instructions: usize,
    semaphores: Option<usize>,
    cycles: Option<u64>,
    violations: Vec<Found>,
}

#[derive(Serialize)]
struct Verification {
    model: String,
    /// What a geometry does not hold, with the reason.
    unfit: Vec<Unfit>,
    programs: Vec<Verdict>,
}

#[derive(Serialize)]
struct Unfit {
    geometry: &'static str,
    reason: String,
}

pub fn run(cli: &Cli, args: &Verify) -> anyhow::Result<()> {
    let (name, model) = subject::load(args.model.as_ref(), args.shape.as_deref())?;
    let geometries = geometries(args.geometry.as_deref())?;
    let mut verification = Verification {
        model: name,
        unfit: Vec::new(),
        programs: Vec::new(),
    };
    for geometry in geometries {
        let mut unfit = |reason: anyhow::Error| {
            verification.unfit.push(Unfit {
                geometry: geometry.name,
                reason: format!("{reason:#}"),
            });
        };
        match extents(geometry, &model, args.seq) {
            Ok(extents) => {
                for (tokens, block) in extents {
                    match verdict(geometry, &model, tokens, block) {
                        Ok(verdict) => verification.programs.push(verdict),
                        Err(reason) => unfit(reason),
                    }
                }
            }
            Err(reason) => unfit(reason),
        }
    }
    if verification.programs.is_empty() {
        let reasons = verification.unfit.iter().map(|u| u.reason.as_str());
        bail!("no program: {}", reasons.collect::<Vec<_>>().join("; "));
    }
    if cli.json {
        output::json(&verification)?;
    } else {
        output::text(&verification.to_string())?;
    }
    let programs = verification.programs.iter();
    let broken = programs.filter(|p| !p.violations.is_empty()).count();
    if broken > 0 {
        let what = anyhow!("{broken} programs break an obligation, as the output says");
        return Err(Told(what).into());
    }
    Ok(())
}

/// The preset of that name, or all.
fn geometries(name: Option<&str>) -> anyhow::Result<Vec<&'static Geometry>> {
    let presets = Geometry::presets();
    let Some(name) = name else {
        return Ok(presets.to_vec());
    };
    let found = Geometry::by_name(name).with_context(|| {
        let names: Vec<&str> = presets.iter().map(|g| g.name).collect();
        format!("no geometry \"{name}\"; there are {}", names.join(", "))
    })?;
    Ok(vec![found])
}

/// Tokens and tokens of a block, of the programs to verify: that of `seq` tokens, or every bucket's
/// and for each bucket the longest into which texts are packed in blocks of it.
fn extents(
    g: &Geometry,
    model: &QuantizedModel,
    seq: Option<usize>,
) -> anyhow::Result<Vec<(u32, u32)>> {
    let buckets = buckets(g, model);
    let Some(longest) = buckets.last() else {
        // The reason is what the compiler says of the shortest.
        let shortest = g.rows.max(g.lanes);
        compile(model, g, shortest, &CompileOptions::default())?;
        bail!("{} holds no bucket of this model", g.name);
    };
    if let Some(seq) = seq {
        let bucket = choose_bucket(&buckets, seq).with_context(|| {
            format!(
                "--seq {seq}: the longest sequence of this model on {} is {longest} tokens",
                g.name
            )
        })?;
        return Ok(vec![(bucket, bucket)]);
    }
    let whole = buckets.iter().map(|tokens| (*tokens, *tokens));
    let pack = SessionOptions::default().pack.unwrap_or(0);
    let packed = buckets.iter().filter_map(|block| {
        let blocks = most_blocks(g, model, *block, pack);
        (blocks > 1).then_some((blocks * block, *block))
    });
    Ok(whole.chain(packed).collect())
}

fn verdict(
    geometry: &'static Geometry,
    model: &QuantizedModel,
    tokens: u32,
    block: u32,
) -> anyhow::Result<Verdict> {
    let options = CompileOptions {
        block: Some(block),
        ..CompileOptions::default()
    };
    let program = compile(model, geometry, tokens, &options)
        .with_context(|| format!("{tokens} tokens in blocks of {block}"))?;
    Ok(judge(geometry, &program, block))
}

fn judge(geometry: &'static Geometry, program: &Program, block: u32) -> Verdict {
    let (report, violations) = match verify::verify(program, geometry) {
        Ok(report) => (Some(report), Vec::new()),
        Err(violations) => (None, violations),
    };
    let report = report.as_ref();
    Verdict {
        geometry: geometry.name,
        tokens: program.sequence,
        block,
        instructions: program.instructions.len(),
        semaphores: report.map(|r: &VerifyReport| r.semaphores),
        cycles: report.map(|r| r.cycles),
        violations: violations.iter().map(found).collect(),
    }
}

fn found(violation: &Violation) -> Found {
    let obligation = violation.obligation();
    Found {
        instruction: violation.instruction(),
        obligation: obligation.number(),
        name: obligation.name(),
        violation: violation.to_string(),
        remedy: obligation.remedy(),
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.model)?;
        for unfit in &self.unfit {
            writeln!(f, "{:<8} not verified: {}", unfit.geometry, unfit.reason)?;
        }
        for program in &self.programs {
            write!(f, "{program}")?;
        }
        let (all, obligations) = (self.programs.len(), verify::Obligation::ALL.len());
        let broken = self.programs.iter().filter(|p| !p.violations.is_empty());
        match broken.count() {
            0 => writeln!(f, "{all} programs keep all {obligations} obligations"),
            broken => writeln!(
                f,
                "{broken} of {all} programs are refused; each obligation: docs/verifier.md"
            ),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut length = format!("{} tokens", self.tokens);
        if self.block != self.tokens {
            write!(length, " in blocks of {}", self.block)?;
        }
        write!(f, "{:<8} {length:<26} ", self.geometry)?;
        let (Some(semaphores), Some(cycles)) = (self.semaphores, self.cycles) else {
            writeln!(f, "refused: {} violations", self.violations.len())?;
            return self.violations.iter().try_for_each(|v| write!(f, "{v}"));
        };
        let count = self.instructions;
        writeln!(
            f,
            "verified: {count} instructions, {semaphores} semaphores, {cycles} cycles"
        )
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.instruction {
            Some(index) => format!("instruction {index}"),
            None => "the program".to_owned(),
        };
        writeln!(
            f,
            "  {place}, obligation {} ({}):",
            self.obligation, self.name
        )?;
        writeln!(f, "    {}", self.violation)?;
        writeln!(f, "    remedy: {}", self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use fqbert_contract::isa::Operation;
    use fqbert_model::testing::{Shape, random_model};

    use super::*;

    /// The program of a small model with its first LOAD moved by 8 bytes.
    fn unaligned() -> (&'static Geometry, Program) {
        let g = Geometry::by_name("tiny").unwrap();
        let model = random_model(Shape::SMALL, 1);
        let mut program = compile(&model, g, 8, &CompileOptions::default()).unwrap();
        if let Operation::Load(l) = &mut program.instructions[0].operation {
            l.address += 8;
        }
        (g, program)
    }

    #[test]
    fn a_violation_names_instruction_obligation_and_remedy() {
        let (g, program) = unaligned();
        let verdict = judge(g, &program, 8);
        let text = verdict.to_string();
        assert!(
            text.starts_with("tiny     8 tokens                   refused: 1 violations\n"),
            "{text}"
        );
        assert!(
            text.contains("  instruction 0, obligation 5 (alignment):\n"),
            "{text}"
        );
        assert!(
            text.contains("    remedy: place what is copied at a multiple of 16 bytes\n"),
            "{text}"
        );
        let json = serde_json::to_value(&verdict).unwrap();
        let first = &json["violations"][0];
        assert_eq!(
            (&first["instruction"], &first["obligation"]),
            (&0.into(), &5.into())
        );
        assert!(json["cycles"].is_null());
    }

    #[test]
    fn every_program_of_a_model_is_verified() {
        let model = random_model(Shape::SMALL, 1);
        for g in Geometry::presets() {
            let extents = extents(g, &model, None).unwrap();
            assert!(extents.iter().any(|(tokens, block)| tokens > block));
            for (tokens, block) in extents {
                let verdict = verdict(g, &model, tokens, block).unwrap();
                assert!(verdict.violations.is_empty(), "{verdict}");
            }
        }
    }
}
