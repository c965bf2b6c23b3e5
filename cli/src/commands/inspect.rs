//! `fqbert inspect`.

use std::fmt::{self, Write};
use std::sync::LazyLock;

use anyhow::anyhow;
use fqbert_compiler::{
    CompileOptions, MemoryPlan, MemoryUse, RegionUse, buckets, compile, program_sha256,
};
use fqbert_contract::CONTRACT_SHA256;
use fqbert_contract::geometry::Mode;
use fqbert_contract::verify::verify;
use fqbert_host::TextSettings;
use fqbert_model::{Linear, Provenance, Quantization, QuantizedModel};
use fqbert_names as names;
use serde::Serialize;

use super::subject;
use crate::args::{Cli, Inspect};
use crate::output;

#[derive(Serialize)]
struct Shape {
    family: String,
    task: String,
    layers: usize,
    hidden: usize,
    heads: usize,
    intermediate: usize,
    vocab: usize,
    longest: usize,
    labels: Vec<String>,
}

#[derive(Serialize)]
struct Compression {
    /// As the paper counts (Table I).
    ratio: f64,
    /// With everything the encoder keeps at run time.
    stored_ratio: f64,
    float_bytes: u64,
    weight_bytes: u64,
    matrices_of_4_bits: usize,
    matrices_of_8_bits: usize,
}

#[derive(Serialize)]
struct Memory {
    memory: &'static str,
    peak_words: u64,
    words: u64,
    word_bytes: u32,
}

#[derive(Serialize)]
struct Region {
    region: &'static str,
    bytes: u64,
    moved_bytes: u64,
}

#[derive(Serialize)]
struct Inspection {
    model: String,
    /// Of the model's file, as this version writes it.
    model_sha256: String,
    program_sha256: String,
    contract_sha256: &'static str,
    shape: Shape,
    quantization: Quantization,
    provenance: Provenance,
    /// Settings of the checkpoint's files that texts are read by.
    text: TextSettings,
    compression: Compression,
    geometry: &'static str,
    /// Sequence lengths that programs are compiled for.
    buckets: Vec<u32>,
    sequence: u32,
    memory: Vec<Memory>,
    regions: Vec<Region>,
    code_bytes: u64,
    alignment: u64,
    instructions: usize,
    instructions_per_layer: Vec<usize>,
    cycles: u64,
}

pub fn run(cli: &Cli, args: &Inspect) -> anyhow::Result<()> {
    let geometry = subject::geometry(&cli.device)?;
    let (name, model) = args.subject.load()?;
    let (_, bucket) = subject::bucket(&geometry, &model, args.subject.seq)?;
    let program = compile(&model, &geometry, bucket, &CompileOptions::default())?;
    let verified = verify(&program, &geometry).map_err(|violations| {
        anyhow!(
            "the program failed verification, which is a bug of the compiler: {}",
            listed(&violations, "; ")
        )
    })?;
    let plan = MemoryPlan::of(&program);
    let inspection = Inspection {
        shape: shape(&model),
        quantization: model.quantization.clone(),
        provenance: model.provenance.clone(),
        text: settings(&model).clone(),
        compression: compression(&model),
        geometry: geometry.name,
        buckets: buckets(&geometry, &model),
        sequence: program.sequence,
        memory: plan.memories.iter().map(memory).collect(),
        regions: plan.regions.iter().map(region).collect(),
        code_bytes: plan.code.0,
        alignment: plan.alignment,
        instructions: verified.instructions,
        instructions_per_layer: plan.instructions_per_layer.clone(),
        cycles: verified.cycles,
        model: name,
        model_sha256: model.sha256()?,
        program_sha256: program_sha256(&program)?,
        contract_sha256: CONTRACT_SHA256,
    };
    if cli.json {
        return output::json(&inspection);
    }
    output::text(&text(&inspection, &plan, verified.semaphores)?)
}

/// The longest sequence on this device, where it is less than the model's.
fn here(i: &Inspection) -> String {
    let longest = i.buckets.iter().max().copied().unwrap_or(0);
    if (longest as usize) < i.shape.longest {
        format!(", {longest} on this device")
    } else {
        String::new()
    }
}

fn text(i: &Inspection, plan: &MemoryPlan, semaphores: usize) -> Result<String, fmt::Error> {
    let (s, c) = (&i.shape, &i.compression);
    let mut out = String::new();
    writeln!(out, "{}", i.model)?;
    writeln!(out, "model sha256: {}", i.model_sha256)?;
    writeln!(
        out,
        "{}, {}: {} layers, hidden {}, {} heads, intermediate {}, vocabulary {}, up to {} \
         tokens{}",
        s.family,
        s.task,
        s.layers,
        s.hidden,
        s.heads,
        s.intermediate,
        s.vocab,
        s.longest,
        here(i)
    )?;
    if !s.labels.is_empty() {
        writeln!(out, "labels: {}", names::listed(&s.labels))?;
    }
    for setting in &i.text.applied {
        writeln!(out, "setting: {setting}")?;
    }
    for note in &i.text.notes {
        writeln!(out, "note: {}", names::said(note))?;
    }
    let (q, p) = (&i.quantization, &i.provenance);
    writeln!(
        out,
        "scheme {}; ranges: {}; weights: {}",
        q.scheme,
        names::said(&q.ranges),
        names::said(&q.weights)
    )?;
    for (key, value) in [
        ("from", &p.source),
        ("sha256", &p.source_sha256),
        ("calibration", &p.calibration),
        ("command", &p.command),
        ("licence", &p.license),
    ] {
        if !value.is_empty() {
            writeln!(out, "{key}: {}", names::said(value))?;
        }
    }
    writeln!(
        out,
        "encoder weights {:.2}x smaller as the paper counts, {:.2}x with all tables ({} bytes in \
         f32, {} of weight codes; {} matrices of 4 bits, {} of 8)",
        c.ratio,
        c.stored_ratio,
        c.float_bytes,
        c.weight_bytes,
        c.matrices_of_4_bits,
        c.matrices_of_8_bits
    )?;
    writeln!(
        out,
        "\nprogram for {} tokens on {} (buckets {})",
        i.sequence,
        i.geometry,
        listed(&i.buckets, ", ")
    )?;
    write!(out, "{plan}")?;
    writeln!(out, "program sha256: {}", i.program_sha256)?;
    writeln!(out, "contract sha256: {}", i.contract_sha256)?;
    writeln!(
        out,
        "verified: {} instructions, {semaphores} semaphores, {} cycles by the timing model",
        i.instructions, i.cycles
    )?;
    Ok(out)
}

/// Items one after the other.
fn listed<T: fmt::Display>(items: &[T], separator: &str) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    items.join(separator)
}

fn memory(m: &MemoryUse) -> Memory {
    Memory {
        memory: m.memory.name(),
        peak_words: m.peak_words,
        words: m.depth,
        word_bytes: m.word_bytes,
    }
}

fn region(r: &RegionUse) -> Region {
    Region {
        region: r.region.name(),
        bytes: r.size.0,
        moved_bytes: r.moved.0,
    }
}

fn shape(model: &QuantizedModel) -> Shape {
    let c = &model.config;
    Shape {
        family: c.family.to_string(),
        task: c.task.to_string(),
        layers: c.layers,
        hidden: c.hidden,
        heads: c.heads,
        intermediate: c.intermediate,
        vocab: c.vocab,
        longest: settings(model)
            .max_tokens
            .map_or(c.max_sequence(), |n| n.min(c.max_sequence())),
        labels: c.labels.clone(),
    }
}

/// Settings of texts; none for a model without a tokenizer.
fn settings(model: &QuantizedModel) -> &TextSettings {
    static NONE: LazyLock<TextSettings> = LazyLock::new(TextSettings::default);
    model.tokenizer.as_ref().map_or(&NONE, |t| t.settings())
}

fn compression(model: &QuantizedModel) -> Compression {
    let c = model.weight_compression();
    let matrices = model
        .layers
        .iter()
        .flat_map(|l| Linear::ALL.map(|w| l.linear(w).mode()));
    let wide = matrices.filter(|m| *m == Mode::W8).count();
    Compression {
        ratio: c.paper_ratio(),
        stored_ratio: c.stored_ratio(),
        float_bytes: c.float_bytes,
        weight_bytes: c.weight_bytes,
        matrices_of_4_bits: 6 * model.layers.len() - wide,
        matrices_of_8_bits: wide,
    }
}
