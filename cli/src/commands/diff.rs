//! `fqbert diff`.

use std::fmt::Write;
use std::time::Duration;

use anyhow::Context;
use fqbert_recording::{
    At, Bytes, Comparison, Difference, Ending, Recording, What, WrongResult, compare,
};
use fqbert_runtime::open_device;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::{Cli, Diff};
use crate::output;

/// Recorded device and reference differ, as has been printed.
#[derive(Debug, thiserror::Error)]
#[error("recording and reference differ")]
pub struct Differs;

#[derive(Serialize)]
struct Result<'a> {
    equal: bool,
    recorded: &'a str,
    software: &'a str,
    /// Milliseconds since 1970.
    started_ms: u64,
    steps: bool,
    reference: &'a str,
    runs: u32,
    bytes: u64,
    /// How the recording ends; absent where the comparison ended before.
    ending: Option<String>,
    differences: Vec<Shown>,
}

/// A difference as it is printed.
#[derive(Serialize)]
struct Shown {
    kind: &'static str,
    run: u32,
    record: u64,
    /// What differs, in words.
    text: String,
    /// Lines of the listing with the instructions that it names, the first first.
    listing: Vec<String>,
    #[serde(flatten)]
    details: Value,
}

pub fn run(cli: &Cli, args: &Diff) -> anyhow::Result<()> {
    let recording = Recording::open(&args.file)?;
    let begin = recording.begin().clone();
    let uri = match &args.against {
        Some(uri) => uri.clone(),
        None => format!("emu:{}", recording.capabilities().geometry.name),
    };
    let reference = open_device(&uri).context("the reference (--against)")?;
    let found = compare(recording, reference, Duration::from_secs(args.deadline))
        .with_context(|| format!("comparing {}", args.file.display()))?;
    let result = Result {
        equal: found.differences.is_empty(),
        recorded: &begin.device,
        software: &begin.software,
        started_ms: begin.started_ms,
        steps: begin.steps,
        reference: &uri,
        runs: found.runs,
        bytes: found.bytes,
        ending: found.ending.map(|ending| ending.to_string()),
        differences: found.differences.iter().map(shown).collect(),
    };
    match cli.json {
        true => output::json(&result)?,
        false => output::text(&text(&result, &found)?)?,
    }
    match result.equal {
        true => Ok(()),
        false => Err(Differs.into()),
    }
}

fn text(r: &Result, found: &Comparison) -> std::result::Result<String, std::fmt::Error> {
    let mut out = String::new();
    let steps = if r.steps { ", step by step" } else { "" };
    writeln!(out, "recorded   {} by {}{steps}", r.recorded, r.software)?;
    writeln!(out, "reference  {}", r.reference)?;
    let (runs, bytes) = (r.runs, r.bytes);
    writeln!(
        out,
        "compared   {bytes} bytes of device memory in {runs} runs"
    )?;
    match found.ending {
        None | Some(Ending::Closed) => {}
        Some(ending) => writeln!(out, "ends       early: {ending}")?,
    }
    if r.equal {
        writeln!(out, "equal")?;
    }
    for d in &r.differences {
        writeln!(out, "\nrun {}, record {}: {}", d.run, d.record, d.text)?;
        for line in &d.listing {
            writeln!(out, "{line}")?;
        }
    }
    let first_result = r.differences.first().is_some_and(|d| d.kind == "result");
    if first_result && !r.steps {
        writeln!(
            out,
            "\nThis is where the difference leaves the accelerator. A recording made with \
             record:FILE?steps=yes,URI\nshows the first instruction whose result differs."
        )?;
    }
    Ok(out)
}

/// An instruction in words.
fn named(at: &At) -> String {
    let At {
        instruction,
        layer,
        computes,
    } = at;
    format!("instruction {instruction} of layer {layer} ({computes})")
}

/// A place in device memory in words.
fn place(bytes: &Bytes) -> String {
    let (offset, buffer) = (bytes.offset, bytes.read.buffer);
    format!("byte {offset} of buffer {buffer}")
}

fn shown(difference: &Difference) -> Shown {
    let (kind, text, mut details, instructions) = described(&difference.what);
    if let (Some(bytes), Value::Object(map)) = (bytes(&difference.what), &mut details) {
        map.insert("buffer".to_owned(), bytes.read.buffer.into());
        map.insert("offset".to_owned(), bytes.offset.into());
    }
    let listing = difference
        .program
        .as_ref()
        .map(fqbert_compiler::disassemble);
    let lines: Vec<&str> = listing.as_deref().unwrap_or_default().lines().collect();
    let line = |index: &u32| lines.get(*index as usize + 1).map(|l| (*l).to_owned());
    Shown {
        kind,
        run: difference.run,
        record: difference.record,
        text,
        listing: instructions.iter().filter_map(line).collect(),
        details,
    }
}

fn bytes(what: &What) -> Option<&Bytes> {
    match what {
        What::Code { bytes, .. } | What::Operand { bytes, .. } | What::Memory { bytes } => {
            Some(bytes)
        }
        What::Result(wrong) => Some(&wrong.bytes),
        What::Run { .. } | What::Program { .. } => None,
    }
}

/// Kind, words, details, and the instructions to list.
fn described(what: &What) -> (&'static str, String, Value, Vec<u32>) {
    match what {
        What::Code {
            at,
            word,
            recorded,
            written,
            bytes,
        } => (
            "code",
            format!(
                "word {word} of {} has changed in device memory: {written:#010x} was written, \
                 {recorded:#010x} was there ({})",
                named(at),
                place(bytes)
            ),
            json!({
                "instruction": at.instruction, "layer": at.layer, "computes": at.computes,
                "word": word, "recorded": recorded, "written": written,
            }),
            vec![at.instruction],
        ),
        What::Operand {
            load,
            memory,
            word,
            weight,
            bytes,
        } => operand(load, memory.name(), *word, weight.as_ref(), bytes),
        What::Result(wrong) => result(wrong),
        What::Memory { bytes } => (
            "memory",
            format!(
                "{} differs, which no program reads or writes: {:#04x} was there, the reference \
                 has {:#04x}",
                place(bytes),
                bytes.recorded,
                bytes.reference
            ),
            json!({ "recorded": bytes.recorded, "reference": bytes.reference }),
            Vec::new(),
        ),
        What::Run {
            recorded,
            reference,
        } => (
            "run",
            format!("the run ended otherwise: recorded, {recorded}; on the reference, {reference}"),
            json!({ "recorded": recorded.to_string(), "reference": reference.to_string() }),
            Vec::new(),
        ),
        What::Program { reason } => (
            "program",
            format!("the program cannot be carried out on the reference: {reason}"),
            json!({ "reason": reason.to_string() }),
            Vec::new(),
        ),
    }
}

fn operand(
    load: &At,
    memory: &str,
    word: u64,
    weight: Option<&(At, u64, u64)>,
    bytes: &Bytes,
) -> (&'static str, String, Value, Vec<u32>) {
    let (found, expected) = (bytes.recorded, bytes.reference);
    let mut text = format!(
        "{} have changed in device memory: {expected:#04x} was written, {found:#04x} was there \
         ({}); {} copies it to word {word} of {memory}",
        load.computes,
        place(bytes),
        named(load),
    );
    let mut details = json!({
        "instruction": load.instruction, "layer": load.layer, "computes": load.computes,
        "memory": memory, "word": word, "recorded": found, "written": expected,
    });
    let mut instructions = vec![load.instruction];
    if let Some((at, channel, term)) = weight {
        text += &format!(
            ", the weight of output channel {channel} and input channel {term} of {}",
            named(at)
        );
        details["used_by"] = json!({
            "instruction": at.instruction, "layer": at.layer, "computes": at.computes,
            "channel": channel, "term": term,
        });
        instructions.push(at.instruction);
    }
    ("operand", text, details, instructions)
}

fn result(wrong: &WrongResult) -> (&'static str, String, Value, Vec<u32>) {
    let WrongResult {
        at,
        store,
        memory,
        element,
        recorded,
        reference,
        differing,
        unseen,
        bytes,
    } = wrong;
    let element_text = match element {
        Some((token, channel)) => format!("[token {token}][channel {channel}]"),
        None => "a loaded byte".to_owned(),
    };
    let mut text = format!(
        "{} has another result in {}: {element_text} is {recorded} in the recording, {reference} \
         on the reference; stored by instruction {store}, {}; {differing} bytes of results differ",
        named(at),
        memory.name(),
        place(bytes),
    );
    if let (Some(first), Some(last)) = (unseen.first(), unseen.last()) {
        text += &format!(
            ". Its operands come through {} instructions whose results no STORE can read, from \
             instruction {} ({}) to {} ({}): one of these may be the cause",
            unseen.len(),
            first.instruction,
            first.computes,
            last.instruction,
            last.computes
        );
    }
    let unseen: Vec<u32> = unseen.iter().map(|at| at.instruction).collect();
    let details = json!({
        "instruction": at.instruction, "layer": at.layer, "computes": at.computes,
        "memory": memory.name(), "store": store,
        "token": element.map(|(token, _)| token), "channel": element.map(|(_, channel)| channel),
        "recorded": recorded, "reference": reference, "differing_bytes": differing,
        "through": unseen,
    });
    let mut instructions = vec![at.instruction];
    if *store != at.instruction {
        instructions.push(*store);
    }
    ("result", text, details, instructions)
}
