//! From bytes that differ to what wrote or reads them.

use std::collections::BTreeMap;

use fqbert_contract::Geometry;
use fqbert_contract::device::Allocation;
use fqbert_contract::isa::{INSTRUCTION_BYTES, Instruction, MemoryId, Operation};
use fqbert_contract::operands::matmul_operands;

use super::element::{first_row, weight, written};
use super::name::name;
use super::program::{Covered, Executed};
use super::report::{At, Bytes, What, WrongResult};
use crate::format::Range;

/// Instructions named at most for what no STORE can read.
const MOST_UNSEEN: usize = 64;
/// Bytes that nothing wrote, which are looked at before the rest is left.
const MOST_UNWRITTEN: u32 = 256;

/// What a read is looked at with.
pub(crate) struct Context<'a> {
    pub g: &'a Geometry,
    /// Buffers of the recorded device by address.
    pub buffers: &'a BTreeMap<u64, Allocation>,
    /// Where programs have been named, and what they were when they were.
    pub programs: &'a [(Range, Vec<Instruction>)],
    /// The last run.
    pub executed: Option<&'a Executed>,
    pub read: &'a Range,
}

/// The first difference of each kind in a read.
#[derive(Default)]
pub(crate) struct Traced {
    code: Option<What>,
    operand: Option<What>,
    result: Option<What>,
    memory: Option<What>,
    /// Bytes of results that differ.
    differing: u64,
    unwritten: u32,
}

impl Traced {
    /// Looks at a part of a read, from `offset` of the buffer on.
    pub fn part(&mut self, c: &Context, offset: u64, recorded: &[u8], own: &[u8]) {
        let base = c.buffers.values().find(|b| b.id.0 == c.read.buffer);
        let Some(base) = base.map(|b| b.address.0) else {
            return;
        };
        let pairs = recorded.iter().zip(own).enumerate();
        for (at, (recorded_byte, own_byte)) in pairs.filter(|(_, (a, b))| a != b) {
            let bytes = Bytes {
                read: *c.read,
                offset: offset + at as u64,
                recorded: *recorded_byte,
                reference: *own_byte,
            };
            let address = base.saturating_add(bytes.offset);
            let stored = c.executed.and_then(|e| Some((e, e.stored(c.g, address)?)));
            if let Some((executed, store)) = stored {
                self.differing += 1;
                if self.result.is_none() && self.unwritten < MOST_UNWRITTEN {
                    self.result = result(c.g, executed, &store, bytes, at, recorded, own);
                    self.unwritten += u32::from(self.result.is_none());
                }
                continue;
            }
            let covers = |r: &Range| {
                let inside = bytes.offset.checked_sub(r.offset);
                r.buffer == c.read.buffer && inside.is_some_and(|o| o < r.length)
            };
            if let Some((range, program)) = c.programs.iter().find(|(r, _)| covers(r)) {
                let differs = || code(range, program, bytes, at, recorded, own);
                self.code.get_or_insert_with(differs);
            } else if let Some((executed, load)) =
                c.executed.and_then(|e| Some((e, e.loaded(c.g, address)?)))
            {
                let differs = || operand(c.g, executed, &load, bytes);
                self.operand.get_or_insert_with(differs);
            } else {
                self.memory.get_or_insert(What::Memory { bytes });
            }
        }
    }

    /// What was found.
    pub fn finish(mut self) -> impl Iterator<Item = What> {
        if let Some(What::Result(result)) = &mut self.result {
            result.differing = self.differing;
        }
        let found = [self.code, self.operand, self.result, self.memory];
        found.into_iter().flatten()
    }
}

fn at(program: &[Instruction], index: u32) -> At {
    let instruction = program.get(index as usize);
    At {
        instruction: index,
        layer: instruction.map_or(0, |i| i.header.layer),
        computes: name(program, index as usize),
    }
}

/// Four bytes around one of a word, as a number.
fn word(part: &[u8], start: Option<usize>) -> u32 {
    let four = start.and_then(|s| part.get(s..)?.first_chunk::<4>());
    four.map_or(0, |four| u32::from_le_bytes(*four))
}

fn code(
    range: &Range,
    program: &[Instruction],
    bytes: Bytes,
    position: usize,
    recorded: &[u8],
    own: &[u8],
) -> What {
    let offset = (bytes.offset - range.offset) as usize;
    let start = position.checked_sub(offset % 4);
    What::Code {
        at: at(program, (offset / INSTRUCTION_BYTES) as u32),
        word: (offset % INSTRUCTION_BYTES / 4) as u32,
        recorded: word(recorded, start),
        written: word(own, start),
        bytes,
    }
}

/// A value of one or two bytes.
fn value(part: &[u8], start: Option<usize>, length: u64) -> i32 {
    let bytes = start.and_then(|s| part.get(s..)).unwrap_or_default();
    match (bytes, length) {
        ([low, high, ..], 2) => i16::from_le_bytes([*low, *high]).into(),
        ([byte, ..], 1) => (*byte as i8).into(),
        _ => 0,
    }
}

fn result(
    g: &Geometry,
    executed: &Executed,
    store: &Covered,
    bytes: Bytes,
    position: usize,
    recorded: &[u8],
    own: &[u8],
) -> Option<What> {
    let operation = |i: u32| Some(executed.instructions.get(i as usize)?.operation);
    let (index, written) = executed
        .before(store.index)
        .find_map(|i| Some((i, written(g, &operation(i)?, &store.place)?)))?;
    let original = executed.original(index);
    let first = first_row(g, &executed.owner, original as usize);
    let start = position.checked_sub((store.place.byte - written.start) as usize);
    let mut unseen = executed.unseen(g, index);
    unseen.truncate(MOST_UNSEEN);
    Some(What::Result(WrongResult {
        at: at(&executed.owner, original),
        store: executed.original(store.index),
        memory: store.place.memory,
        element: written.element.map(|(row, channel)| (first + row, channel)),
        recorded: value(recorded, start, written.bytes),
        reference: value(own, start, written.bytes),
        differing: 0,
        unseen: unseen.iter().map(|i| at(&executed.owner, *i)).collect(),
        bytes,
    }))
}

fn operand(g: &Geometry, executed: &Executed, load: &Covered, bytes: Bytes) -> What {
    let place = &load.place;
    let operation = |i: u32| executed.instructions.get(i as usize).map(|i| &i.operation);
    let mut multiplies = None;
    for later in executed.after(load.index) {
        match operation(later) {
            // Another tile takes its place.
            Some(Operation::Load(l)) if MemoryId::from_code(l.memory) == Some(place.memory) => {
                break;
            }
            Some(Operation::Matmul(m)) if matmul_operands(m).1 == place.memory => {
                let found = weight(g, m, place, bytes.recorded ^ bytes.reference);
                if let Some((output, term)) = found {
                    let channel = match m.dest {
                        // The heads of values are told by where they lie.
                        fqbert_contract::isa::Matmul::DEST_VALUES => output,
                        _ => u64::from(m.dst_channel) + output,
                    };
                    let original = executed.original(later);
                    multiplies = Some((at(&executed.owner, original), channel, term));
                    break;
                }
            }
            _ => {}
        }
    }
    What::Operand {
        load: at(&executed.owner, executed.original(load.index)),
        memory: place.memory,
        word: place.word,
        weight: multiplies,
        bytes,
    }
}
