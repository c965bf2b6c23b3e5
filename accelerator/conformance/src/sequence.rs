//! Operations in program order to a legal program: hazards found word by word, semaphores between
//! queues, NOPs where an instruction has too few fields for its waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fqbert_contract::capability::Requirements;
use fqbert_contract::isa::{
    self, End, Engine, Header, Instruction, MemoryId, Nop, Operation, SEMAPHORES,
};
use fqbert_contract::program::{PerRegion, Program, Region, Relocation, Span};
use fqbert_contract::timing::{QUEUES, Queue};
use fqbert_contract::verify::{Violation, footprint, verify};
use fqbert_contract::{Bytes, Geometry};

/// Why the suite could not make a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The memory of this geometry is too small for what the case needs.
    #[error("{memory} of geometry {geometry} has no {words} words left")]
    Full {
        /// The memory.
        memory: &'static str,
        /// The geometry.
        geometry: &'static str,
        /// Words needed.
        words: usize,
    },
    /// More pairs of queues depend on each other than there are semaphores.
    #[error("the program needs more semaphores than the contract has")]
    Semaphores,
    /// The contract's verifier refuses the program: a bug of the suite or of the verifier.
    #[error("the verifier refuses it: {}", list(.0))]
    Refused(Vec<Violation>),
    /// Parameters or matrices do not fit the contract's layouts: a bug of the suite.
    #[error("{0}")]
    Layout(String),
}

fn list(violations: &[Violation]) -> String {
    violations
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// An operation and, for a LOAD or STORE, the region its address counts from.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub operation: Operation,
    pub region: Option<Region>,
}

/// One word's last writer and the readers since.
#[derive(Default)]
struct Word {
    writer: Option<usize>,
    readers: Vec<usize>,
}

/// The steps each step must wait for. Reads and writes of one queue are in order but for a read of
/// what it wrote.
fn dependencies(g: &Geometry, steps: &[Step]) -> Vec<BTreeSet<usize>> {
    let mut words: HashMap<(MemoryId, u64), Word> = HashMap::new();
    let queue = |step: usize| Queue::of(&steps[step].operation);
    let mut all = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let mut needed = BTreeSet::new();
        let touched = footprint(g, &step.operation);
        for area in &touched.reads {
            for word in area.words() {
                let state = words.entry((area.memory, word)).or_default();
                needed.extend(state.writer);
                state.readers.push(index);
            }
        }
        for area in &touched.writes {
            for word in area.words() {
                let state = words.entry((area.memory, word)).or_default();
                let earlier = state.readers.drain(..).chain(state.writer.replace(index));
                needed.extend(earlier.filter(|e| queue(*e) != queue(index)));
            }
        }
        needed.remove(&index);
        all.push(needed);
    }
    all
}

/// Orders `steps` with semaphores, one for each pair of queues, and ends the program.
pub fn sequence(
    g: &Geometry,
    steps: &[Step],
    sizes: PerRegion<Bytes>,
) -> Result<Program, BuildError> {
    let needed = dependencies(g, steps);
    let queue = |step: usize| Queue::of(&steps[step].operation).index();

    // Which steps signal which queue, in order: the n-th signal answers the n-th wait.
    let mut signalling: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (consumer, producers) in needed.iter().enumerate() {
        for &producer in producers {
            signalling
                .entry((queue(producer), queue(consumer)))
                .or_default()
                .push(producer);
        }
    }
    for producers in signalling.values_mut() {
        producers.sort_unstable();
        producers.dedup();
    }
    if signalling.len() >= SEMAPHORES {
        return Err(BuildError::Semaphores);
    }
    let id =
        |pair: &(usize, usize)| signalling.keys().position(|p| p == pair).unwrap_or(0) as u8 + 1;

    let mut program = Vec::new();
    let mut relocations = Vec::new();
    let mut waited = [[0usize; QUEUES]; QUEUES];
    for (index, step) in steps.iter().enumerate() {
        let own = queue(index);
        let mut waits = Vec::new();
        for &producer in &needed[index] {
            let pair = (queue(producer), own);
            let place = signalling
                .get(&pair)
                .and_then(|p| p.binary_search(&producer).ok());
            let count = place.map_or(0, |p| p + 1);
            let so_far = &mut waited[pair.0][own];
            waits.extend(std::iter::repeat_n(
                id(&pair),
                count.saturating_sub(*so_far),
            ));
            *so_far = count.max(*so_far);
        }
        while waits.len() > 3 {
            let wait = fields(&waits.split_off(waits.len() - 3));
            program.push(Instruction {
                header: Header {
                    wait,
                    ..Header::default()
                },
                operation: Operation::Nop(nop(&step.operation)),
            });
        }
        let signals: Vec<u8> = signalling
            .iter()
            .filter(|(pair, producers)| pair.0 == own && producers.binary_search(&index).is_ok())
            .map(|(pair, _)| id(pair))
            .collect();
        if signals.len() > 3 {
            return Err(BuildError::Semaphores);
        }
        if let Some(region) = step.region {
            relocations.push(Relocation {
                instruction: program.len() as u32,
                region,
            });
        }
        let header = Header {
            layer: 0,
            wait: fields(&waits),
            signal: fields(&signals),
        };
        program.push(Instruction {
            header,
            operation: step.operation,
        });
    }
    program.push(Instruction {
        header: Header::default(),
        operation: Operation::End(End {}),
    });
    let program = Program {
        requirements: Requirements {
            major: isa::CONTRACT_MAJOR,
            minor: isa::CONTRACT_MINOR,
            features: isa::feature::ALL,
            geometry: g.clone(),
        },
        sequence: g.rows,
        hidden: g.lanes,
        instructions: program,
        relocations,
        sizes,
        input_x8: Span::default(),
        input_x16: Span::default(),
        input_ranges: Span::default(),
        output_y16: Span::default(),
    };
    verify(&program, g).map_err(BuildError::Refused)?;
    Ok(program)
}

fn fields(ids: &[u8]) -> [u8; 3] {
    let mut three = [0; 3];
    for (field, id) in three.iter_mut().zip(ids) {
        *field = *id;
    }
    three
}

/// A NOP of the queue an operation goes to.
fn nop(operation: &Operation) -> Nop {
    let port = match operation {
        Operation::Load(l) => l.port,
        _ => 0,
    };
    let engine: Engine = operation.engine();
    Nop {
        engine: engine.code(),
        port,
    }
}
