//! `docs/contract.md`: the contract as tables.

use std::fmt::Write;

use anyhow::Result;

use super::formula::Formula;
use super::geometry_source::Geometries;
use super::isa_source::{Field, Isa};
use super::peakrdl::{ADDRESS_WIDTH, Register};
use super::text::capital;

pub fn render(isa: &Isa, geometries: &Geometries, registers: &[Register]) -> Result<String> {
    let mut out = String::new();
    let o = &mut out;
    let c = &isa.contract;
    writeln!(
        o,
        "# The contract, version {}.{}\n\n\
         What the accelerator and its software agree on: registers, instruction words, on-chip memories, faults and geometries. \
         The arithmetic behind the instructions is in [numerics.md](numerics.md). Sources: `accelerator/contract/registers.rdl`, `isa.toml` and `geometry.toml`; \
         Rust (`fqbert-contract`), SystemVerilog (`accelerator/rtl/generated/`), C (`accelerator/contract/include/fqbert_contract.h`) and this page are \
         generated from them.\n",
        c.major, c.minor
    )?;
    register_tables(o, isa, registers)?;
    features(o, isa)?;
    memories(o, isa, geometries)?;
    instructions(o, isa)?;
    faults(o, isa)?;
    geometry_table(o, geometries)?;
    Ok(out)
}

/// A Markdown table; cells are plain text but for code spans.
fn table(o: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<()> {
    writeln!(o, "| {} |", head.join(" | "))?;
    writeln!(o, "|{}", "---|".repeat(head.len()))?;
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| cell.replace('|', "\\|").replace('*', "\\*"))
            .collect();
        writeln!(o, "| {} |", cells.join(" | "))?;
    }
    writeln!(o)?;
    Ok(())
}

fn register_tables(o: &mut String, isa: &Isa, registers: &[Register]) -> Result<()> {
    writeln!(
        o,
        "## Registers\n\n32-bit, AXI4-Lite, a block of {} bytes. Offsets that no register takes read 0 and ignore writes. \
         `ro` read-only, `rw` read and write, `wo` write-only (reads 0), `w1c` a written 1 clears the bit. Reset: \
         the value after power-up and after a soft reset; a dash where it is what the bitstream or the run makes it.\n",
        1 << ADDRESS_WIDTH
    )?;
    let head = ["Offset", "Register", "Access", "Reset", "Meaning"];
    table(
        o,
        &head,
        registers.iter().map(|r| {
            let (mut offset, mut name) = (format!("`{:#05x}`", r.offset), format!("`{}`", r.name));
            if let (Some(count), Some(stride)) = (r.count, r.stride) {
                offset = format!("`{:#05x}` + {stride}i", r.offset);
                name = format!("`{}[{count}]`", r.name);
            }
            let reset = r.reset().map_or("-".into(), |v| match v {
                0 => "0".into(),
                v => format!("`{v:#010x}`"),
            });
            vec![offset, name, r.access().to_string(), reset, r.doc.clone()]
        }),
    )?;
    for r in registers.iter().filter(|r| !r.is_number()) {
        writeln!(o, "### {}\n\n{}\n", r.name, r.doc)?;
        let rows = r
            .fields
            .iter()
            .map(|f| vec![f.bits(), format!("`{}`", f.name), f.doc.clone()]);
        table(o, &["Bits", "Field", "Meaning"], rows)?;
    }
    writeln!(
        o,
        "### Units\n\nIndex of the `BUSY`, `STALL` and `RETIRED` registers.\n"
    )?;
    let rows = isa
        .unit
        .iter()
        .map(|u| vec![u.id.to_string(), u.name.clone(), u.doc.clone()]);
    table(o, &["Index", "Unit", "Meaning"], rows)
}

fn features(o: &mut String, isa: &Isa) -> Result<()> {
    writeln!(o, "## Features\n")?;
    let rows = isa
        .feature
        .iter()
        .map(|f| vec![f.bit.to_string(), format!("`{}`", f.name), f.doc.clone()]);
    table(o, &["Bit", "Feature", "Meaning"], rows)
}

fn memories(o: &mut String, isa: &Isa, geometries: &Geometries) -> Result<()> {
    writeln!(
        o,
        "## On-chip memories\n\nAddressed in words. R rows, C pairs and L lanes of the geometry; K the terms of a dot product. Values of more than one byte are little endian.\n"
    )?;
    let rows = isa.memory.iter().map(|m| {
        vec![
            m.id.to_string(),
            format!("`{}`", m.name),
            m.word.replace('*', " * "),
            m.doc.clone(),
        ]
    });
    table(o, &["Id", "Memory", "Word bytes", "Contents"], rows)?;
    writeln!(o, "### Sizes\n\nWords x bytes of a word, per geometry.\n")?;
    let mut head = vec!["Memory"];
    head.extend(geometries.geometry.iter().map(|g| g.name.as_str()));
    let mut rows = Vec::new();
    let mut totals = vec![0u64; geometries.geometry.len()];
    for memory in &isa.memory {
        let (depth, word) = (
            Formula::parse(&memory.depth, geometries)?,
            Formula::parse(&memory.word, geometries)?,
        );
        let mut row = vec![format!("`{}`", memory.name)];
        for (geometry, total) in geometries.geometry.iter().zip(&mut totals) {
            let (depth, word) = (depth.value(geometry)?, word.value(geometry)?);
            *total += u64::from(depth) * u64::from(word);
            row.push(format!("{depth} x {word}"));
        }
        rows.push(row);
    }
    let mut last = vec!["all, KiB".to_owned()];
    last.extend(totals.iter().map(|t| t.div_ceil(1024).to_string()));
    rows.push(last);
    table(o, &head, rows.into_iter())
}

fn instructions(o: &mut String, isa: &Isa) -> Result<()> {
    let c = &isa.contract;
    writeln!(
        o,
        "## Instructions\n\n{} bytes, eight little-endian 32-bit words; a program has at most {}. Fetch gives each to the queue of its engine ({} instructions deep), in program order. \
         Between engines only semaphores order: {} of them, ids 1 to {}, counts 0 to {}. Bits that no field takes are reserved and must be 0.\n",
        c.instruction_bytes,
        c.program_max,
        c.queue_depth,
        c.semaphores - 1,
        c.semaphores - 1,
        c.semaphore_max
    )?;
    table(
        o,
        &["Engine", "Id", "Work"],
        isa.engine
            .iter()
            .map(|e| vec![e.name.clone(), e.id.to_string(), e.doc.clone()]),
    )?;
    writeln!(o, "Every instruction has:\n")?;
    let head = ["Word", "Bits", "Field", "Meaning"];
    table(o, &head, isa.common.iter().map(field))?;
    for i in &isa.instruction {
        let engine = if i.engine == "by flags" {
            "named by its field"
        } else {
            &i.engine
        };
        writeln!(
            o,
            "### {} (`{:#04x}`)\n\nEngine: {engine}. {}.\n",
            i.name,
            i.opcode,
            capital(&i.doc)
        )?;
        if !i.fields.is_empty() {
            table(o, &head, i.fields.iter().map(field))?;
        }
    }
    Ok(())
}

fn field(f: &Field) -> Vec<String> {
    let bits = match f.width {
        1 => f.lsb.to_string(),
        width => format!("{}:{}", f.lsb + width - 1, f.lsb),
    };
    let doc = match (f.name.as_str(), f.doc.as_str()) {
        ("flags", "") => "fields of the instruction",
        (_, doc) => doc,
    };
    vec![
        f.word.to_string(),
        bits,
        format!("`{}`", f.name),
        doc.to_owned(),
    ]
}

fn faults(o: &mut String, isa: &Isa) -> Result<()> {
    writeln!(o, "## Faults\n\nValues of `FAULT_CAUSE`.\n")?;
    let rows = isa
        .fault
        .iter()
        .map(|f| vec![f.code.to_string(), format!("`{}`", f.name), f.doc.clone()]);
    table(o, &["Code", "Fault", "Meaning"], rows)
}

fn geometry_table(o: &mut String, geometries: &Geometries) -> Result<()> {
    writeln!(o, "## Geometries\n")?;
    for g in &geometries.geometry {
        writeln!(
            o,
            "- `{}`: {}{}",
            g.name,
            g.doc,
            match g.part.as_str() {
                "none" => String::new(),
                part => format!(" Part: {part}."),
            }
        )?;
    }
    writeln!(o)?;
    let mut head = vec!["Parameter"];
    head.extend(geometries.geometry.iter().map(|g| g.name.as_str()));
    let mut rows = Vec::new();
    for parameter in &geometries.parameter {
        let mut row = vec![format!("`{}`", parameter.name)];
        for g in &geometries.geometry {
            row.push(g.number(&parameter.name)?.to_string());
        }
        rows.push(row);
    }
    table(o, &head, rows.into_iter())?;
    // One blank line at the end of the file is one too many.
    o.truncate(o.trim_end().len());
    o.push('\n');
    Ok(())
}
