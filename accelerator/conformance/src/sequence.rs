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

/// Which semaphore joins which pair of queues, and who signals it.
struct Signals {
    /// By producer's and consumer's queue, the steps that signal, in order: the n-th signal answers
    /// the n-th wait.
    producers: BTreeMap<(usize, usize), Vec<usize>>,
    /// Waits so far, by producer's and consumer's queue.
    waited: [[usize; QUEUES]; QUEUES],
}

impl Signals {
    /// For steps in these queues that need these others done.
    fn new(queues: &[usize], needed: &[BTreeSet<usize>]) -> Result<Self, BuildError> {
        let mut signalling: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for (consumer, producers) in needed.iter().enumerate() {
            for &producer in producers {
                signalling
                    .entry((queues[producer], queues[consumer]))
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
        Ok(Self {
            producers: signalling,
            waited: [[0; QUEUES]; QUEUES],
        })
    }

    /// The semaphore of a pair of queues.
    fn id(&self, pair: (usize, usize)) -> u8 {
        self.producers.keys().position(|p| *p == pair).unwrap_or(0) as u8 + 1
    }

    /// What a step in queue `own` waits for, in program order, until `producer` has signalled.
    fn waits(&mut self, producer: usize, from: usize, own: usize) -> Vec<u8> {
        let pair = (from, own);
        let place = self
            .producers
            .get(&pair)
            .and_then(|p| p.binary_search(&producer).ok());
        let count = place.map_or(0, |p| p + 1);
        let so_far = &mut self.waited[from][own];
        let more = count.saturating_sub(*so_far);
        *so_far = count.max(*so_far);
        vec![self.id(pair); more]
    }

    /// What a step in queue `own` signals.
    fn signals(&self, step: usize, own: usize) -> Result<[u8; 3], BuildError> {
        let ids: Vec<u8> = self
            .producers
            .iter()
            .filter(|(pair, producers)| pair.0 == own && producers.binary_search(&step).is_ok())
            .map(|(pair, _)| self.id(*pair))
            .collect();
        if ids.len() > 3 {
            return Err(BuildError::Semaphores);
        }
        Ok(fields(&ids))
    }
}

/// Orders `steps` with semaphores, one for each pair of queues, and ends the program.
pub fn sequence(
    g: &Geometry,
    steps: &[Step],
    sizes: PerRegion<Bytes>,
) -> Result<Program, BuildError> {
    let needed = dependencies(g, steps);
    let queues: Vec<usize> = steps
        .iter()
        .map(|step| Queue::of(&step.operation).index())
        .collect();
    let mut semaphores = Signals::new(&queues, &needed)?;
    let mut instructions = Vec::new();
    let mut relocations = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let own = queues[index];
        let mut waits = Vec::new();
        for &producer in &needed[index] {
            waits.extend(semaphores.waits(producer, queues[producer], own));
        }
        while waits.len() > 3 {
            let wait = fields(&waits.split_off(waits.len() - 3));
            instructions.push(Instruction {
                header: Header {
                    wait,
                    ..Header::default()
                },
                operation: Operation::Nop(nop(&step.operation)),
            });
        }
        let header = Header {
            layer: 0,
            wait: fields(&waits),
            signal: semaphores.signals(index, own)?,
        };
        if let Some(region) = step.region {
            relocations.push(Relocation {
                instruction: instructions.len() as u32,
                region,
            });
        }
        instructions.push(Instruction {
            header,
            operation: step.operation,
        });
    }
    instructions.push(Instruction {
        header: Header::default(),
        operation: Operation::End(End {}),
    });
    let program = program(g, instructions, relocations, sizes);
    verify(&program, g).map_err(BuildError::Refused)?;
    Ok(program)
}

/// A program of no model: it has no inputs and outputs that a session would know.
fn program(
    g: &Geometry,
    instructions: Vec<Instruction>,
    relocations: Vec<Relocation>,
    sizes: PerRegion<Bytes>,
) -> Program {
    Program {
        requirements: Requirements {
            major: isa::CONTRACT_MAJOR,
            minor: isa::CONTRACT_MINOR,
            features: isa::feature::ALL,
            geometry: g.clone(),
        },
        sequence: g.rows,
        hidden: g.lanes,
        instructions,
        relocations,
        sizes,
        input_x8: Span::default(),
        input_x16: Span::default(),
        input_ranges: Span::default(),
        output_y16: Span::default(),
    }
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
