//! DDR: which bytes of which region a program reads and writes.
//!
//! [`Program::bind`] checks relocations, bounds and alignment; here are the directions, the parts
//! of input and output that the host uses, and that these are read where they are written and
//! written where they are read.

use super::violation::{Place, Violation};
use crate::DeviceAddress;
use crate::isa::Operation;
use crate::program::{PerRegion, Placement, Program, Region, Span};

/// A part of the input or output region that the host uses.
struct Part {
    name: &'static str,
    region: Region,
    span: Span,
    /// Bytes of each value of the matrix, or of each row's range.
    bytes: u64,
    per_row: u64,
}

fn parts(program: &Program) -> [Part; 4] {
    let hidden = program.hidden.into();
    let part = |name, region, span, bytes, per_row| Part {
        name,
        region,
        span,
        bytes,
        per_row,
    };
    [
        part(
            "the 8-bit input",
            Region::Input,
            program.input_x8,
            1,
            hidden,
        ),
        part(
            "the 16-bit input",
            Region::Input,
            program.input_x16,
            2,
            hidden,
        ),
        part("the ranges", Region::Input, program.input_ranges, 4, 1),
        part("the output", Region::Output, program.output_y16, 2, hidden),
    ]
}

/// Checks all but what [`Program::bind`] does. A program without parts is of no model: its host
/// knows what to write and read.
pub(super) fn check(program: &Program, found: &mut Vec<Violation>) {
    for (relocation, operation) in accesses(program) {
        if matches!(operation, Operation::Store(_)) && relocation.1 != Region::Output {
            found.push(Violation::Direction {
                index: relocation.0,
                region: relocation.1.name(),
            });
        }
    }
    let parts = parts(program);
    if parts.iter().all(|p| p.span == Span::default()) {
        return;
    }
    let before = found.len();
    for (at, part) in parts.iter().enumerate() {
        check_part(program, part, &parts[..at], found);
    }
    if found.len() == before {
        check_reads(program, &parts, found);
        check_output(program, found);
    }
}

/// Every relocation with the operation it is of.
fn accesses(program: &Program) -> impl Iterator<Item = ((u32, Region), &Operation)> {
    program.relocations.iter().filter_map(|r| {
        let instruction = program.instructions.get(r.instruction as usize)?;
        Some(((r.instruction, r.region), &instruction.operation))
    })
}

fn check_part(program: &Program, part: &Part, others: &[Part], found: &mut Vec<Violation>) {
    let size = program.sizes.get(part.region).0;
    let Span { offset, length } = part.span;
    let end = offset.saturating_add(length);
    let wanted = u64::from(program.sequence) * part.per_row * part.bytes;
    let over = others
        .iter()
        .find(|o| o.region == part.region && o.span.offset < end && offset < o.span.end());
    let rule = if end > size {
        format!("which has {size}")
    } else if length != wanted {
        format!(
            "and sequence {} by hidden size {} is {wanted} bytes",
            program.sequence, program.hidden
        )
    } else if let Some(other) = over {
        format!("as is a part of {}", other.name)
    } else {
        return;
    };
    found.push(Violation::Part {
        part: part.name,
        region: part.region.name(),
        start: offset,
        end,
        rule,
    });
}

/// What LOADs read of the input is what the host writes.
fn check_reads(program: &Program, parts: &[Part], found: &mut Vec<Violation>) {
    let inputs = parts.iter().filter(|p| p.region == Region::Input);
    let written: Vec<(u64, u64)> = merged(inputs.map(|p| (p.span.offset, p.span.end())));
    for ((index, region), operation) in accesses(program) {
        if region != Region::Input || matches!(operation, Operation::Store(_)) {
            continue;
        }
        let Some((start, end)) = Program::memory_access(operation) else {
            continue;
        };
        let holds = written
            .iter()
            .find(|(from, to)| *from <= start && start < *to);
        let to = holds.map_or(start, |(_, to)| *to);
        if end > to {
            found.push(Violation::Uninitialised {
                index,
                place: Place::Input(to),
            });
        }
    }
}

/// What the host reads of the output is what STOREs write.
fn check_output(program: &Program, found: &mut Vec<Violation>) {
    let stores = accesses(program)
        .filter(|((_, region), operation)| {
            *region == Region::Output && matches!(operation, Operation::Store(_))
        })
        .filter_map(|(_, operation)| Program::memory_access(operation));
    let Span { offset, .. } = program.output_y16;
    let end = program.output_y16.end();
    let stored = merged(stores);
    let holds = stored
        .iter()
        .find(|(from, to)| *from <= offset && offset < *to);
    let to = holds.map_or(offset, |(_, to)| *to);
    if to < end {
        found.push(Violation::Incomplete { byte: to });
    }
}

/// Ranges in order, those that touch joined.
fn merged(ranges: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// Disjoint, aligned buffers of exactly the sizes the program states: binding to them checks every
/// access.
pub(super) fn nominal_placement(program: &Program) -> PerRegion<Placement> {
    let mut next = 0u64;
    let mut place = |region: Region| {
        let size = *program.sizes.get(region);
        let address = DeviceAddress(next);
        next = next
            .saturating_add(size.0)
            .checked_next_multiple_of(4096)
            .unwrap_or(u64::MAX);
        Placement { address, size }
    };
    PerRegion {
        constants: place(Region::Constants),
        input: place(Region::Input),
        output: place(Region::Output),
    }
}
