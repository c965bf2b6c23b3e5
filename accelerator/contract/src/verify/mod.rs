//! The checks a program must pass before a device sees it.
//!
//! A board without an IOMMU lets a bad address overwrite the kernel, and a missing semaphore gives
//! a wrong answer once in a thousand runs. So nothing is run that has not passed here: every field
//! legal, every on-chip word inside its memory, every DDR access inside its region, semaphores
//! balanced and free of deadlock, and no two unordered instructions on the same word.

mod fields;
mod footprint;
mod races;
mod violation;

pub use fields::{FieldViolation, check_operation};
pub use footprint::{Area, Footprint, footprint};
pub use violation::Violation;

use crate::geometry::Geometry;
use crate::isa::{Operation, PROGRAM_MAX, SEMAPHORES};
use crate::program::{PerRegion, Placement, Program, Region};
use crate::timing::{self, Policy, Queue};

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

/// Checks a program for a geometry. All violations found (up to a bound) are returned, in order of
/// instruction.
pub fn verify(program: &Program, g: &Geometry) -> Result<VerifyReport, Vec<Violation>> {
    let mut found = Vec::new();
    check_shape(program, &mut found);
    for (index, instruction) in program.instructions.iter().enumerate() {
        if let Err(violation) = check_operation(g, &instruction.operation) {
            found.push(Violation::Field {
                index: index as u32,
                violation,
            });
        } else if footprint::overlaps_itself(&instruction.operation) {
            found.push(Violation::Overlap {
                index: index as u32,
            });
        }
        if found.len() >= REPORTED {
            return Err(found);
        }
    }
    if let Err(e) = program.bind(&nominal_placement(program)) {
        found.push(Violation::Binding(e));
    }
    let semaphores = check_semaphores(program, &mut found);
    if !found.is_empty() {
        return Err(found);
    }
    let schedule = match timing::simulate(g, &program.instructions, Policy::Earliest) {
        Ok(schedule) => schedule,
        Err(stuck) => return Err(vec![Violation::Stuck(stuck)]),
    };
    races::check(
        g,
        &program.instructions,
        &schedule.order,
        REPORTED,
        &mut found,
    );
    if !found.is_empty() {
        return Err(found);
    }
    Ok(VerifyReport {
        instructions: program.instructions.len(),
        cycles: schedule.cycles,
        semaphores,
    })
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
        found.push(Violation::Shape(format!(
            "END must be the last instruction and the only END; found at [{}] of {count}",
            ends.iter()
                .map(usize::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        )));
    }
}

/// Disjoint, aligned buffers of exactly the sizes the program states: binding to them checks every
/// access.
fn nominal_placement(program: &Program) -> PerRegion<Placement> {
    let mut next = 0u64;
    let mut place = |region: Region| {
        let size = *program.sizes.get(region);
        let address = crate::DeviceAddress(next);
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

fn check_semaphores(program: &Program, found: &mut Vec<Violation>) -> usize {
    let mut raised = [(0usize, None::<Queue>); SEMAPHORES];
    let mut taken = [(0usize, None::<Queue>); SEMAPHORES];
    let mut count =
        |table: &mut [(usize, Option<Queue>); SEMAPHORES], id: usize, queue: Queue, role| {
            let Some((times, owner)) = table.get_mut(id) else {
                return;
            };
            *times += 1;
            match owner {
                None => *owner = Some(queue),
                Some(other) if *other != queue => found.push(Violation::Shared {
                    semaphore: id,
                    role,
                    first: other.name(),
                    second: queue.name(),
                }),
                Some(_) => {}
            }
        };
    for instruction in &program.instructions {
        let queue = Queue::of(&instruction.operation);
        for id in timing::signals(instruction) {
            count(&mut raised, id, queue, "raised");
        }
        for id in timing::waits(instruction) {
            count(&mut taken, id, queue, "taken");
        }
    }
    found.truncate(REPORTED);
    let mut used = 0;
    for (semaphore, (up, down)) in raised.iter().zip(&taken).enumerate() {
        used += usize::from(up.0 + down.0 > 0);
        if up.0 != down.0 {
            found.push(Violation::Unbalanced {
                semaphore,
                raised: up.0,
                taken: down.0,
            });
        }
    }
    used
}
