//! Decoded and scheduled programs, cached by their exact bytes: a repeated run decodes and
//! schedules nothing.

use std::sync::Arc;

use fqbert_contract::Geometry;
use fqbert_contract::isa::{DecodeError, FaultCause, INSTRUCTION_BYTES, Instruction, Operation};
use fqbert_contract::timing::{self, Counters, Policy, Slot, Stuck};
use fqbert_contract::verify::check_operation;

/// How a program ends once everything in [`Plan::order`] has executed.
#[derive(Debug)]
pub enum Ending {
    /// With END.
    Complete {
        /// The counter registers.
        counters: Counters,
        /// Cycles from doorbell to interrupt.
        cycles: u64,
    },
    /// Never.
    Deadlock,
    /// With a semaphore above its maximum, raised by this instruction.
    Overflow {
        /// Index of the instruction.
        index: u32,
    },
    /// FETCH refuses it: nothing executes.
    Refused {
        /// Why.
        cause: FaultCause,
        /// Index of the instruction.
        index: u32,
    },
}

/// A program as the device executes it.
#[derive(Debug)]
pub struct Plan {
    code: Vec<u8>,
    /// Up to and with END.
    pub instructions: Vec<Instruction>,
    /// Order of execution.
    pub order: Vec<u32>,
    /// Times by index of instruction; empty for a program that does not complete.
    pub timeline: Vec<Slot>,
    /// Instructions that FETCH has dispatched by the end.
    pub fetched: u32,
    /// How it ends.
    pub ending: Ending,
}

impl Plan {
    fn new(g: &Geometry, policy: Policy, code: &[u8]) -> Self {
        let mut plan = Self {
            code: code.to_vec(),
            instructions: Vec::new(),
            order: Vec::new(),
            timeline: Vec::new(),
            fetched: 0,
            ending: Ending::Deadlock,
        };
        match decode(g, code) {
            Ok(instructions) => {
                plan.fetched = instructions.len() as u32;
                plan.instructions = instructions;
            }
            Err((cause, index)) => {
                plan.fetched = index;
                plan.ending = Ending::Refused { cause, index };
                return plan;
            }
        }
        match timing::simulate(g, &plan.instructions, policy) {
            Ok(schedule) => {
                plan.order = schedule.order;
                plan.timeline = schedule.timeline;
                plan.ending = Ending::Complete {
                    counters: schedule.counters,
                    cycles: schedule.cycles,
                };
            }
            Err(Stuck::Deadlock { order, .. }) => plan.order = order,
            Err(Stuck::Overflow {
                instruction, order, ..
            }) => {
                plan.order = order;
                plan.ending = Ending::Overflow { index: instruction };
            }
        }
        plan
    }
}

/// The instructions, or the cause and index of what FETCH refuses. END is the last of a program,
/// and nowhere else.
fn decode(g: &Geometry, code: &[u8]) -> Result<Vec<Instruction>, (FaultCause, u32)> {
    let count = code.len() / INSTRUCTION_BYTES;
    let mut instructions = Vec::with_capacity(count);
    for (index, bytes) in code.as_chunks::<INSTRUCTION_BYTES>().0.iter().enumerate() {
        let index = index as u32;
        let instruction = Instruction::from_bytes(bytes).map_err(|e| match e {
            DecodeError::IllegalOpcode { .. } => (FaultCause::IllegalOpcode, index),
            DecodeError::ReservedBits { .. } => (FaultCause::IllegalField, index),
        })?;
        check_operation(g, &instruction.operation)
            .map_err(|_| (FaultCause::IllegalField, index))?;
        instructions.push(instruction);
        if matches!(instruction.operation, Operation::End(_)) {
            return if instructions.len() == count {
                Ok(instructions)
            } else {
                Err((FaultCause::IllegalField, index))
            };
        }
    }
    Err((FaultCause::NoEnd, instructions.len() as u32))
}

/// The programs that ran last, most recent first.
#[derive(Debug, Default)]
pub struct PlanCache {
    plans: Vec<Arc<Plan>>,
}

/// A session has one program per sequence bucket; more than this many buckets of some models take
/// turns being scheduled again.
const CACHED_PLANS: usize = 24;

impl PlanCache {
    /// The plan of `code`, made if it is not there.
    pub fn get(&mut self, g: &Geometry, policy: Policy, code: &[u8]) -> Arc<Plan> {
        let found = self.plans.iter().position(|p| p.code == code);
        let plan = match found {
            Some(at) => self.plans.remove(at),
            None => Arc::new(Plan::new(g, policy, code)),
        };
        self.plans.insert(0, Arc::clone(&plan));
        self.plans.truncate(CACHED_PLANS);
        plan
    }
}
