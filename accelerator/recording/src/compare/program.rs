//! A program that was run, as the comparison looks at it.

use std::collections::{BTreeMap, BTreeSet};

use fqbert_contract::capability::Requirements;
use fqbert_contract::device::Allocation;
use fqbert_contract::isa::{BEAT_BYTES, CONTRACT_MAJOR, CONTRACT_MINOR, Instruction};
use fqbert_contract::isa::{MemoryId, Operation, feature};
use fqbert_contract::program::{PerRegion, Program, Region, Relocation, Span};
use fqbert_contract::timing::{self, Policy};
use fqbert_contract::verify::footprint;
use fqbert_contract::{Bytes, Geometry};

use super::element::OnChip;
use crate::steps::{find, serialise};

/// Instructions that are looked at for what an operand came through: several layers.
const MOST_BACK: usize = 4096;

/// A program that was run.
pub(crate) struct Executed {
    /// Instructions with the addresses of the recorded device.
    pub instructions: Vec<Instruction>,
    /// Places in the order in which they can be executed one after the other.
    order: Vec<u32>,
    /// The program that its owner gave: the same, or the one that it runs step by step.
    pub owner: Vec<Instruction>,
    /// By instruction: which of the owner's it is.
    origin: Vec<u32>,
    /// STOREs: first address, one past the last, index.
    stores: Vec<(u64, u64, u32)>,
    loads: Vec<(u64, u64, u32)>,
}

/// A transfer of an instruction that covers an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Covered {
    pub index: u32,
    pub place: OnChip,
}

impl Executed {
    /// `owner` is the program that the registers named before, if the recording is one of steps.
    pub fn new(
        g: &Geometry,
        instructions: Vec<Instruction>,
        owner: Option<&[Instruction]>,
    ) -> Self {
        let stepped = owner.filter(|owner| {
            let serial = serialise(g, owner, 0).ok();
            serial.is_some_and(|serial| same_operations(&serial.instructions, &instructions))
        });
        let origin = stepped
            .and_then(|owner| serialise(g, owner, 0).ok())
            .map_or_else(|| (0..instructions.len() as u32).collect(), |s| s.origin);
        let owner = stepped.unwrap_or(&instructions);
        let order = match timing::simulate(g, &instructions, Policy::Earliest) {
            Ok(schedule) => schedule.order,
            Err(_) => (0..instructions.len() as u32).collect(),
        };
        Self {
            owner: owner.to_vec(),
            origin,
            order,
            stores: transfers(&instructions, |o| matches!(o, Operation::Store(_))),
            loads: transfers(&instructions, |o| matches!(o, Operation::Load(_))),
            instructions,
        }
    }

    /// Which of the owner's instructions it is.
    pub fn original(&self, index: u32) -> u32 {
        self.origin.get(index as usize).copied().unwrap_or(index)
    }

    /// The STORE that wrote to an address.
    pub fn stored(&self, g: &Geometry, address: u64) -> Option<Covered> {
        self.covering(g, &self.stores, address)
    }

    /// The first LOAD from an address.
    pub fn loaded(&self, g: &Geometry, address: u64) -> Option<Covered> {
        self.covering(g, &self.loads, address)
    }

    fn covering(
        &self,
        g: &Geometry,
        transfers: &[(u64, u64, u32)],
        address: u64,
    ) -> Option<Covered> {
        // The last that begins there or before; of several that begin there, the first.
        let after = transfers.partition_point(|t| t.0 <= address);
        let (start, _, _) = transfers.get(after.checked_sub(1)?)?;
        let first = transfers.partition_point(|t| t.0 < *start);
        let inside = |t: &&(u64, u64, u32)| address < t.1;
        let (start, _, index) = transfers.get(first..after)?.iter().find(inside)?;
        let (memory, first) = match self.instructions.get(*index as usize)?.operation {
            Operation::Load(l) => (l.memory, l.word_offset),
            Operation::Store(s) => (s.memory, s.word_offset),
            _ => return None,
        };
        let memory = MemoryId::from_code(memory)?;
        let (offset, word) = (address - start, u64::from(g.word_bytes(memory)).max(1));
        let place = OnChip {
            memory,
            word: u64::from(first) + offset / word,
            byte: offset % word,
        };
        Some(Covered {
            index: *index,
            place,
        })
    }

    /// The instructions that are executed before this one, the last first.
    pub fn before(&self, index: u32) -> impl Iterator<Item = u32> {
        let here = self.order.iter().position(|i| *i == index).unwrap_or(0);
        self.order.iter().take(here).rev().copied()
    }

    /// Those that are executed after it.
    pub fn after(&self, index: u32) -> impl Iterator<Item = u32> {
        let here = self.order.iter().position(|i| *i == index);
        let next = here.map_or(self.order.len(), |here| here + 1);
        self.order.iter().skip(next).copied()
    }

    /// The instructions through whose results, which no STORE can read, an instruction's operands
    /// came: the owner's, ascending.
    pub fn unseen(&self, g: &Geometry, index: u32) -> Vec<u32> {
        let seen = |memory| matches!(memory, MemoryId::Act | MemoryId::Resx);
        let words = |operation: &Operation, writes: bool| -> Vec<(MemoryId, u64)> {
            let touched = footprint(g, operation);
            let areas = if writes {
                touched.writes
            } else {
                touched.reads
            };
            let unseen = areas.into_iter().filter(|a| !seen(a.memory));
            unseen
                .flat_map(|a| a.words().map(move |w| (a.memory, w)))
                .collect()
        };
        let operation = |index: u32| self.instructions.get(index as usize).map(|i| i.operation);
        let mut needed: BTreeSet<(MemoryId, u64)> = operation(index)
            .map(|o| words(&o, false))
            .unwrap_or_default()
            .into_iter()
            .collect();
        let mut found = BTreeSet::new();
        for earlier in self.before(index).take(MOST_BACK) {
            let Some(op) = operation(earlier) else {
                continue;
            };
            let writes = words(&op, true);
            if needed.is_empty() {
                break;
            }
            if !writes.iter().any(|w| needed.contains(w)) {
                continue;
            }
            for word in &writes {
                needed.remove(word);
            }
            // What was loaded lies in device memory, where it can be read back.
            if !matches!(op, Operation::Load(_)) {
                needed.extend(words(&op, false));
                found.insert(self.original(earlier));
            }
        }
        found.into_iter().collect()
    }
}

/// A program with its addresses as offsets into regions, for a listing. Which buffer
/// is which region is told by what the instructions do with it.
pub(crate) fn relocatable(
    g: &Geometry,
    buffers: &BTreeMap<u64, Allocation>,
    program: &[Instruction],
) -> Program {
    let mut relocations = Vec::new();
    let mut sizes = PerRegion::<Bytes>::default();
    let (mut hidden, mut output) = (0, 0);
    let mut moved = program.to_vec();
    for (index, instruction) in moved.iter_mut().enumerate() {
        let (region, address, size) = match &mut instruction.operation {
            Operation::Load(l) => match MemoryId::from_code(l.memory) {
                Some(MemoryId::Act | MemoryId::Resx | MemoryId::Rng) => {
                    (Region::Input, &mut l.address, &mut sizes.input)
                }
                _ => (Region::Constants, &mut l.address, &mut sizes.constants),
            },
            Operation::Store(s) => {
                output += u64::from(s.beats) * BEAT_BYTES as u64;
                (Region::Output, &mut s.address, &mut sizes.output)
            }
            Operation::Layernorm(l) => {
                hidden = u32::from(l.channels);
                continue;
            }
            _ => continue,
        };
        if let Some(range) = find(buffers, *address, 1) {
            let buffer = buffers.values().find(|b| b.id.0 == range.buffer);
            *size = buffer.map_or(Bytes(0), |b| b.size);
            *address = range.offset;
        }
        relocations.push(Relocation {
            instruction: index as u32,
            region,
        });
    }
    Program {
        requirements: Requirements {
            major: CONTRACT_MAJOR,
            minor: CONTRACT_MINOR,
            features: feature::ALL,
            geometry: g.clone(),
        },
        sequence: (output / 2 / u64::from(hidden.max(1))) as u32,
        hidden,
        instructions: moved,
        relocations,
        sizes,
        input_x8: Span::default(),
        input_x16: Span::default(),
        input_ranges: Span::default(),
        output_y16: Span {
            offset: 0,
            length: output,
        },
    }
}

/// Whether two programs have the same operations but for addresses.
fn same_operations(a: &[Instruction], b: &[Instruction]) -> bool {
    let opcode = |i: &Instruction| i.operation.opcode();
    a.iter().map(opcode).eq(b.iter().map(opcode))
}

/// Transfers by their first address.
fn transfers(
    instructions: &[Instruction],
    wanted: impl Fn(&Operation) -> bool,
) -> Vec<(u64, u64, u32)> {
    let mut found: Vec<_> = (0u32..)
        .zip(instructions)
        .filter(|(_, i)| wanted(&i.operation))
        .filter_map(|(index, i)| {
            let (start, end) = Program::memory_access(&i.operation)?;
            Some((start, end, index))
        })
        .collect();
    found.sort_unstable();
    found
}
