//! The checks a program must pass before a device sees it.
//!
//! A board without an IOMMU lets a bad address overwrite the kernel, and a missing semaphore gives
//! a wrong answer once in a thousand runs. So nothing is run that has not passed here. What is
//! promised of a program that passes, with the proof of each in `docs/verifier.md`:
//!
//! 1. **Requirements**: it was made for this contract and geometry, and asks for the features that
//!    it uses.
//! 2. **Shape**: 1 to 65536 instructions, the last END, and no other.
//! 3. **Fields**: every field legal, every on-chip word inside its memory.
//! 4. **Regions**: each LOAD and STORE relocated once, nothing else; inside their regions; the
//!    host's parts of input and output of the size of the program's matrices.
//! 5. **Alignment**: DDR addresses are multiples of 16.
//! 6. **Direction**: STORE writes the output region only.
//! 7. **Semaphores**: one producer and one consumer queue, balanced, never above the maximum.
//! 8. **Progress**: every instruction is reached.
//! 9. **Order**: conflicting accesses are ordered.
//! 10. **Initialisation**: what is read was written, byte by byte.
//! 11. **Self-overlap**: no instruction writes what it may still have to read, or a word twice.
//! 12. **Output**: every byte that the host reads is stored.
//!
//! 7 to 10 hold in every timing: the proofs use only what queues and semaphores force
//! ([`Obligation`] has the list as a type). So a program that passes runs to its end without a
//! fault on any accelerator of the contract whose memory answers, with one result.

mod clocks;
mod fields;
mod footprint;
mod obligation;
mod races;
mod regions;
mod requirements;
mod semaphores;
mod violation;
mod written;

pub use fields::{FieldViolation, check_operation};
pub use footprint::{Area, Footprint, footprint};
pub use obligation::Obligation;
pub use violation::{Place, Violation};

use crate::geometry::Geometry;
use crate::isa::{Operation, PROGRAM_MAX};
use crate::program::Program;
use crate::timing::{self, Policy};

/// What verification found out about a legal program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Instructions checked.
    pub instructions: usize,
    /// Cycles by the timing model.
    pub cycles: u64,
    /// Semaphores in use.
    pub semaphores: usize,
}

/// Most violations reported at once.
const REPORTED: usize = 20;

/// Checks a program for a geometry. All violations found (up to a bound) are returned; what depends
/// on order and time is only looked at in a program that is legal otherwise.
///
/// # Errors
/// What is wrong with it.
pub fn verify(program: &Program, g: &Geometry) -> Result<VerifyReport, Vec<Violation>> {
    let mut found = Vec::new();
    requirements::check(program, g, &mut found);
    check_shape(program, &mut found);
    check_fields(program, g, &mut found);
    if let Err(e) = program.bind(&regions::nominal_placement(program)) {
        found.push(Violation::Binding(e));
    } else {
        regions::check(program, &mut found);
    }
    let semaphores = semaphores::check_owners(&program.instructions, &mut found);
    none(found)?;
    let schedule = timing::simulate(g, &program.instructions, Policy::Earliest)
        .map_err(|stuck| vec![Violation::Stuck(stuck)])?;
    none(check_order(program, g, &schedule.order))?;
    Ok(VerifyReport {
        instructions: program.instructions.len(),
        cycles: schedule.cycles,
        semaphores,
    })
}

/// Nothing, or what was found, up to a bound.
fn none(mut found: Vec<Violation>) -> Result<(), Vec<Violation>> {
    found.truncate(REPORTED);
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn check_shape(program: &Program, found: &mut Vec<Violation>) {
    let count = program.instructions.len();
    if count == 0 || count > PROGRAM_MAX as usize {
        found.push(Violation::Shape(format!(
            "a program has 1..={PROGRAM_MAX} instructions, this one {count}"
        )));
    }
    let ends: Vec<usize> = program
        .instructions
        .iter()
        .enumerate()
        .filter(|(_, i)| matches!(i.operation, Operation::End(_)))
        .map(|(index, _)| index)
        .collect();
    if ends != [count.saturating_sub(1)] {
        let at: Vec<String> = ends.iter().take(REPORTED).map(usize::to_string).collect();
        found.push(Violation::Shape(format!(
            "END must be the last instruction and the only END; found at [{}] of {count}",
            at.join(", ")
        )));
    }
}

fn check_fields(program: &Program, g: &Geometry, found: &mut Vec<Violation>) {
    for (index, instruction) in (0..).zip(&program.instructions) {
        let operation = &instruction.operation;
        let checked = check_operation(g, operation).and_then(|()| fields::check_counts(operation));
        if let Err(violation) = checked {
            found.push(Violation::Field { index, violation });
        } else if footprint::overlaps_itself(g, operation) {
            found.push(Violation::Overlap { index });
        }
        if found.len() >= REPORTED {
            return;
        }
    }
}

/// What holds in every timing, from one order that queues and semaphores allow.
fn check_order(program: &Program, g: &Geometry, order: &[u32]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut counts = semaphores::Counts::new(&program.instructions);
    let mut accesses = races::Accesses::new(g, program);
    for step in clocks::steps(&program.instructions, order) {
        counts.step(&step, &mut found);
        accesses.step(&step, &mut found);
        if found.len() >= REPORTED {
            break;
        }
    }
    found
}
