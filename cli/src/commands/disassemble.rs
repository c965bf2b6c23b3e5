//! `fqbert disassemble`.

use fqbert_compiler::CompileOptions;
use serde::Serialize;

use super::subject;
use crate::args::{Cli, Disassemble};
use crate::output;

#[derive(Serialize)]
struct Listing<'a> {
    model: &'a str,
    geometry: &'a str,
    sequence: u32,
    instructions: usize,
    lines: Vec<&'a str>,
}

pub fn run(cli: &Cli, args: &Disassemble) -> anyhow::Result<()> {
    let geometry = subject::geometry(&cli.device)?;
    let (name, model) = args.subject.load()?;
    let (_, bucket) = subject::bucket(&geometry, &model, args.subject.seq)?;
    let program = fqbert_compiler::compile(&model, &geometry, bucket, &CompileOptions::default())?;
    let listing = fqbert_compiler::disassemble(&program);
    if cli.json {
        return output::json(&Listing {
            model: &name,
            geometry: geometry.name,
            sequence: program.sequence,
            instructions: program.instructions.len(),
            lines: listing.lines().collect(),
        });
    }
    output::text(&listing)
}
