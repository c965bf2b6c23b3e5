//! A program to one that does the same instruction by instruction, and stores what each wrote.
//!
//! STORE reads ACT and RESX. What lies in the other memories (keys, values, scores, probabilities,
//! branches) is seen in the next instruction whose result lies in those.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{
    BEAT_BYTES, Engine, Header, Instruction, MemoryId, Nop, Operation, PROGRAM_MAX, Store,
};
use fqbert_contract::timing::{self, Policy, QUEUES, Queue};
use fqbert_contract::verify::{Area, footprint};

use crate::code::CodeError;

/// The queue that each instruction hands over to, and that hands over to the next.
const HUB: usize = QUEUES - 1;
/// Raised by the hub for queue `q`: `TO + q`.
const TO: u8 = 1;
/// Raised by queue `q` for the hub: `FROM + q`.
const FROM: u8 = TO + HUB as u8;
/// Raised by the hub for itself.
const AGAIN: u8 = FROM + HUB as u8;

/// The program that runs step by step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Serial {
    pub instructions: Vec<Instruction>,
    /// By instruction: the one of the program that it is, or whose result it stores.
    pub origin: Vec<u32>,
    /// Bytes of all results.
    pub bytes: u64,
}

/// An instruction without its semaphores.
struct Link {
    operation: Operation,
    layer: u8,
    origin: u32,
}

/// Makes it of a program that [`decode`](crate::code::decode) has let through; results are stored
/// from `results` on.
pub(crate) fn serialise(
    g: &Geometry,
    program: &[Instruction],
    results: u64,
) -> Result<Serial, CodeError> {
    let schedule = timing::simulate(g, program, Policy::Earliest);
    let schedule = schedule.map_err(|stuck| CodeError::Stuck {
        reason: stuck.to_string(),
    })?;
    let mut links: Vec<Link> = Vec::new();
    let mut bytes = 0;
    for index in schedule.order {
        let Some(instruction) = program.get(index as usize) else {
            continue;
        };
        let operation = instruction.operation;
        if matches!(operation, Operation::Nop(_)) {
            continue;
        }
        let link = |operation| Link {
            operation,
            layer: instruction.header.layer,
            origin: index,
        };
        let hands_over = |a: &Link| queue(&a.operation) != HUB && queue(&operation) != HUB;
        if links.last().is_some_and(hands_over) {
            links.push(link(Operation::Nop(Nop {
                engine: Engine::Store.code(),
                port: 0,
            })));
        }
        links.push(link(operation));
        for area in footprint(g, &operation).writes {
            for mut store in stores(g, &area) {
                store.address = results.saturating_add(bytes);
                bytes += u64::from(store.beats) * BEAT_BYTES as u64;
                links.push(link(Operation::Store(store)));
            }
        }
    }
    let count = links.len() as u32;
    if count > PROGRAM_MAX {
        return Err(CodeError::Length { count });
    }
    Ok(Serial {
        origin: links.iter().map(|link| link.origin).collect(),
        instructions: chain(&links),
        bytes,
    })
}

fn queue(operation: &Operation) -> usize {
    Queue::of(operation).index()
}

/// STOREs of an area, where that can be stored, without their addresses.
fn stores(g: &Geometry, area: &Area) -> Vec<Store> {
    let word = u64::from(g.word_bytes(area.memory));
    if !matches!(area.memory, MemoryId::Act | MemoryId::Resx) {
        return Vec::new();
    }
    let (width, count) = match area.width == area.stride {
        true => (area.width * area.count, 1),
        false => (area.width, area.count),
    };
    if width == 0 || width * word % BEAT_BYTES as u64 != 0 {
        return Vec::new();
    }
    let store = |run| Store {
        memory: area.memory.code(),
        address: 0,
        word_offset: (area.base + run * area.stride) as u16,
        beats: (width * word / BEAT_BYTES as u64) as u32,
    };
    (0..count).map(store).collect()
}

/// Each instruction waits for the one before it.
fn chain(links: &[Link]) -> Vec<Instruction> {
    let between = |a: &Link, b: &Link| match (queue(&a.operation), queue(&b.operation)) {
        (HUB, HUB) => AGAIN,
        (HUB, to) => TO + to as u8,
        (from, _) => FROM + from as u8,
    };
    let one = |id: Option<u8>| [id.unwrap_or(0), 0, 0];
    let instruction = |(index, link): (usize, &Link)| {
        let before = index.checked_sub(1).and_then(|i| links.get(i));
        let after = links.get(index + 1);
        Instruction {
            header: Header {
                layer: link.layer,
                wait: one(before.map(|b| between(b, link))),
                signal: one(after.map(|a| between(link, a))),
            },
            operation: link.operation,
        }
    };
    links.iter().enumerate().map(instruction).collect()
}

#[cfg(test)]
mod tests {
    use fqbert_compiler::CompileOptions;
    use fqbert_contract::Bytes;
    use fqbert_contract::program::{Region, Relocation};
    use fqbert_contract::verify::verify;
    use fqbert_model::testing::{Shape, random_model};

    use super::*;

    /// What runs in place of a compiled program is a legal program: ordered, inside its buffers,
    /// with each semaphore between two queues.
    #[test]
    fn the_verifier_passes_it() {
        let model = random_model(Shape::SMALL, 1);
        for g in Geometry::presets() {
            let Some(bucket) = fqbert_compiler::buckets(g, &model).last().copied() else {
                continue;
            };
            let options = CompileOptions::default();
            let mut program = fqbert_compiler::compile(&model, g, bucket, &options).unwrap();
            let results = program.sizes.output.0;
            let serial = serialise(g, &program.instructions, results).unwrap();
            let is_transfer = |o: &Operation| matches!(o, Operation::Load(_) | Operation::Store(_));
            let regions: std::collections::BTreeMap<u32, Region> = program
                .relocations
                .iter()
                .map(|r| (r.instruction, r.region))
                .collect();
            program.relocations = (0u32..)
                .zip(&serial.instructions)
                .filter(|(_, i)| is_transfer(&i.operation))
                .map(|(instruction, i)| {
                    let own = matches!(i.operation, Operation::Store(s) if s.address >= results);
                    let original = serial.origin[instruction as usize];
                    let region = if own {
                        Region::Output
                    } else {
                        regions[&original]
                    };
                    Relocation {
                        instruction,
                        region,
                    }
                })
                .collect();
            let stored = serial
                .instructions
                .iter()
                .filter(|i| is_transfer(&i.operation));
            assert!(stored.count() > regions.len(), "{}", g.name);
            program.sizes.output = Bytes(results + serial.bytes);
            program.instructions = serial.instructions;
            verify(&program, g).unwrap_or_else(|v| panic!("{}: {}", g.name, v[0]));
        }
    }

    #[test]
    fn a_program_that_does_not_end_is_none() {
        let g = Geometry::by_name("tiny").unwrap();
        let waits = Instruction {
            header: Header {
                wait: [1, 0, 0],
                ..Header::default()
            },
            operation: Operation::End(fqbert_contract::isa::End {}),
        };
        let error = serialise(g, &[waits], 0).unwrap_err();
        assert!(matches!(error, CodeError::Stuck { .. }), "{error}");
    }
}
