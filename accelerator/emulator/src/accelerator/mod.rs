//! The register-level model: what software on the other side of AXI-Lite and DDR can observe.
//!
//! The accelerator here has no threads and no clock. A write to DOORBELL only accepts the program;
//! [`Accelerator::run_pending`] executes it, whole instructions one after the other in the order
//! the timing model gives, and the counters are the timing model's. What the contract leaves open
//! is decided here once, so that a fault is the same on every run:
//! - FETCH runs ahead of the engines: a program that cannot be fetched, has an illegal instruction
//!   before its END, or no END, faults before any of it executes. `NO_END` reports as index the
//!   number of instructions fetched (0 where the length itself is illegal).
//! - A transfer is checked against the window as a whole before its first beat, so a refused one
//!   has no effect at all; `FAULT_ADDRESS` is the transfer's first byte.
//! - The first fault in the order of execution counts; instructions before it have had their
//!   effects.
//!
//! MATMULs and LAYERNORMs may be held back and executed together, and weights stay in DDR until
//! then ([`joined`], [`norms`]); when a call returns, all is as if each instruction had been
//! executed in its turn.

mod deferred;
mod execute;
mod joined;
mod norms;
mod plan;
mod registers;

use std::sync::Arc;

use fqbert_contract::Geometry;
use fqbert_contract::capability::Capabilities;
use fqbert_contract::isa::{FaultCause, INSTRUCTION_BYTES, PROGRAM_MAX, SEMAPHORES, WEIGHT_SLOTS};
use fqbert_contract::registers::{irq_status, status};
use fqbert_contract::timing::{self, Policy, Queue};
use fqbert_simulated::{AxiFault, Ddr};

use crate::kernels::{Kernel, Workspace};
use crate::memories::Memories;
use deferred::Recycled;
use joined::{LentWeights, Waiting};
use norms::WaitingNorms;
use plan::{Ending, Plan, PlanCache};
use registers::Registers;

/// Instructions after which a run asks whether to pause, however few cycles they take: the cycles
/// of a program that does not complete are not known.
const ASKED_WITHIN: u32 = 256;

/// Where an accelerator stands after [`Accelerator::run_pending`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Nothing runs: no doorbell, or the program has ended or faulted.
    Idle,
    /// The caller's `pause` stopped it between two instructions.
    Paused,
    /// The program is deadlocked: BUSY until a reset.
    Hung,
}

/// A fault and where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    cause: FaultCause,
    index: u32,
    address: u64,
}

/// The state of a run between doorbell and end.
#[derive(Debug)]
enum Run {
    /// Accepted, not yet fetched.
    Accepted,
    /// `position` instructions of the plan's order have executed.
    Executing { plan: Arc<Plan>, position: usize },
    /// Deadlocked.
    Hung,
}

/// One accelerator: registers, on-chip memories, and the program that runs.
#[derive(Debug)]
pub struct Accelerator {
    geometry: Geometry,
    /// Identity registers by offset.
    identity: Vec<(u32, u32)>,
    policy: Policy,
    kernel: Kernel,
    memories: Memories,
    workspace: Workspace,
    waiting: Waiting,
    /// LAYERNORMs to be executed behind the MATMULs of `waiting`.
    norms: WaitingNorms,
    /// Empty: the allocation of what is made of those that wait.
    members: Recycled,
    /// Bytes of the program fetched last.
    code: Vec<u8>,
    /// What each weight slot stands for, where it was not copied.
    lent: [Option<LentWeights>; WEIGHT_SLOTS],
    registers: Registers,
    plans: PlanCache,
    run: Option<Run>,
    interrupts: u32,
    line: bool,
}

impl Accelerator {
    /// An accelerator of geometry `g` after power-on, with the fastest kernels of this CPU.
    pub fn new(g: &Geometry) -> Self {
        Self::with(g, Kernel::detect(), Policy::Earliest)
    }

    /// An accelerator that computes with `kernel` and takes ready queues in the order of `policy`;
    /// neither changes a result.
    pub fn with(g: &Geometry, kernel: Kernel, policy: Policy) -> Self {
        let identity = Capabilities::of(g)
            .registers()
            .into_iter()
            .map(|(offset, value)| (offset.0, value))
            .collect();
        Self {
            geometry: g.clone(),
            identity,
            policy,
            kernel: kernel.usable_for(g),
            memories: Memories::new(g),
            workspace: Workspace::default(),
            waiting: Waiting::default(),
            norms: WaitingNorms::default(),
            members: Recycled::default(),
            code: Vec::new(),
            lent: Default::default(),
            registers: Registers::default(),
            plans: PlanCache::default(),
            run: None,
            interrupts: 0,
            line: false,
        }
    }

    /// Its geometry.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The kernels it computes with.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The interrupt line: high while an enabled bit of IRQ_STATUS is set.
    pub fn irq_level(&self) -> bool {
        self.line
    }

    /// How often the interrupt line has risen since power-on, modulo 2^32.
    pub fn interrupts(&self) -> u32 {
        self.interrupts
    }

    /// Whether a program has been accepted and has not ended.
    pub fn is_busy(&self) -> bool {
        self.run.is_some()
    }

    /// Reads the register at byte offset `offset`; 0 where the contract has none.
    pub fn read32(&self, offset: u32) -> u32 {
        if let Some((_, value)) = self.identity.iter().find(|(at, _)| *at == offset) {
            return *value;
        }
        self.registers.read(offset, self.run.is_some())
    }

    /// Writes the register at byte offset `offset`. A write to DOORBELL only accepts the program:
    /// see [`Accelerator::run_pending`].
    pub fn write32(&mut self, offset: u32, value: u32) {
        match self.registers.write(offset, value, self.run.is_some()) {
            registers::Effect::None => {}
            registers::Effect::Start => self.run = Some(Run::Accepted),
            registers::Effect::Reset => {
                self.run = None;
                self.registers = Registers::default();
            }
        }
        self.drive_line();
    }

    /// Executes the accepted program against `ddr` until it ends, hangs, or `pause` says so.
    /// `pause` is asked between instructions.
    pub fn run_pending(&mut self, ddr: &mut dyn Ddr, pause: &mut dyn FnMut() -> bool) -> RunState {
        self.run_paced(ddr, 0, pause)
    }

    /// As [`Accelerator::run_pending`], but `pause` is asked only where `every` cycles of the
    /// timing model, or [`ASKED_WITHIN`] instructions, have passed since it was asked last: a look
    /// at a clock costs as much as a small instruction.
    pub(crate) fn run_paced(
        &mut self,
        ddr: &mut dyn Ddr,
        every: u64,
        pause: &mut dyn FnMut() -> bool,
    ) -> RunState {
        let state = self.run_until(ddr, every, pause);
        match self.settle(ddr) {
            Ok(()) => state,
            // Not of the instruction last executed, but of one whose weights DDR had lent and now
            // does not.
            Err((cause, address)) => {
                let index = self.registers.fault_index;
                self.fault(Fault {
                    cause,
                    index,
                    address,
                });
                RunState::Idle
            }
        }
    }

    fn run_until(
        &mut self,
        ddr: &mut dyn Ddr,
        every: u64,
        pause: &mut dyn FnMut() -> bool,
    ) -> RunState {
        // When it is asked next: the first time at once.
        let (mut due, mut unasked) = (0, 0);
        loop {
            let (plan, position) = match self.run.take() {
                None => return RunState::Idle,
                Some(Run::Hung) => {
                    self.run = Some(Run::Hung);
                    return RunState::Hung;
                }
                Some(Run::Accepted) => match self.fetch(ddr) {
                    Ok(plan) => (plan, 0),
                    Err(fault) => {
                        self.fault(fault);
                        return RunState::Idle;
                    }
                },
                Some(Run::Executing { plan, position }) => (plan, position),
            };
            let Some(&index) = plan.order.get(position) else {
                return self.end(&plan);
            };
            unasked += 1;
            if self.registers.cycles >= due || unasked > ASKED_WITHIN {
                (due, unasked) = (self.registers.cycles + every, 0);
                if pause() {
                    self.run = Some(Run::Executing { plan, position });
                    return RunState::Paused;
                }
            }
            match self.step(&plan, index, ddr) {
                Ok(()) => {
                    self.run = Some(Run::Executing {
                        plan,
                        position: position + 1,
                    })
                }
                Err(fault) => {
                    self.fault(fault);
                    return RunState::Idle;
                }
            }
        }
    }

    /// Executes one instruction and counts it.
    fn step(&mut self, plan: &Plan, index: u32, ddr: &mut dyn Ddr) -> Result<(), Fault> {
        let Some(instruction) = plan.instructions.get(index as usize) else {
            return Ok(());
        };
        for id in timing::waits(instruction) {
            let count = &mut self.registers.semaphores[id % SEMAPHORES];
            *count = count.saturating_sub(1);
        }
        self.execute(&instruction.operation, ddr)
            .map_err(|(cause, address)| Fault {
                cause,
                index,
                address,
            })?;
        for id in timing::signals(instruction) {
            let count = &mut self.registers.semaphores[id % SEMAPHORES];
            *count = count.saturating_add(1);
        }
        let unit = Queue::of(&instruction.operation).unit();
        self.registers.counters.retired[unit] += 1;
        if let Some(slot) = plan.timeline.get(index as usize) {
            self.registers.counters.busy[unit] += slot.issue_end - slot.start;
            self.registers.cycles = self.registers.cycles.max(slot.retire);
        }
        Ok(())
    }

    /// Fetches, decodes and schedules the program, or finds it in the cache.
    fn fetch(&mut self, ddr: &mut dyn Ddr) -> Result<Arc<Plan>, Fault> {
        let (address, length) = (
            self.registers.program_address,
            self.registers.program_length,
        );
        let fault = |cause| Fault {
            cause,
            index: 0,
            address: 0,
        };
        if !(1..=PROGRAM_MAX).contains(&length) {
            return Err(fault(FaultCause::NoEnd));
        }
        let bytes = u64::from(length) * INSTRUCTION_BYTES as u64;
        let aligned = address.is_multiple_of(INSTRUCTION_BYTES as u64);
        if !aligned || !self.registers.window_holds(address, bytes) {
            return Err(Fault {
                address,
                ..fault(FaultCause::Window)
            });
        }
        self.code.resize(bytes as usize, 0);
        ddr.read(address, &mut self.code).map_err(|e| Fault {
            address,
            ..fault(axi_cause(e))
        })?;
        let plan = self.plans.get(&self.geometry, self.policy, &self.code);
        self.registers.counters.retired[0] = u64::from(plan.fetched);
        self.registers.counters.busy[0] = u64::from(plan.fetched) * timing::FETCH_CYCLES;
        match plan.ending {
            Ending::Refused { cause, index } => Err(Fault {
                cause,
                index,
                address: 0,
            }),
            _ => Ok(plan),
        }
    }

    /// What happens after the last instruction that can execute.
    fn end(&mut self, plan: &Plan) -> RunState {
        match &plan.ending {
            Ending::Complete { counters, cycles } => {
                self.registers.counters = *counters;
                self.registers.cycles = *cycles;
                self.registers.runs_completed = self.registers.runs_completed.wrapping_add(1);
                self.registers.ended = status::DONE;
                self.registers.irq_status |= irq_status::DONE;
                self.drive_line();
                RunState::Idle
            }
            Ending::Deadlock => {
                self.run = Some(Run::Hung);
                RunState::Hung
            }
            Ending::Overflow { index } => {
                self.fault(Fault {
                    cause: FaultCause::Semaphore,
                    index: *index,
                    address: 0,
                });
                RunState::Idle
            }
            Ending::Refused { cause, index } => {
                self.fault(Fault {
                    cause: *cause,
                    index: *index,
                    address: 0,
                });
                RunState::Idle
            }
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.run = None;
        let r = &mut self.registers;
        r.fault_cause = u32::from(fault.cause.code());
        r.fault_index = fault.index;
        r.fault_address = fault.address;
        r.runs_faulted = r.runs_faulted.wrapping_add(1);
        r.ended = status::FAULT;
        r.irq_status |= irq_status::FAULT;
        self.drive_line();
    }

    fn drive_line(&mut self) {
        let level = self.registers.irq_status & self.registers.irq_enable != 0;
        if level && !self.line {
            self.interrupts = self.interrupts.wrapping_add(1);
        }
        self.line = level;
    }
}

fn axi_cause(fault: AxiFault) -> FaultCause {
    match fault {
        AxiFault::Slverr => FaultCause::AxiSlverr,
        AxiFault::Decerr => FaultCause::AxiDecerr,
    }
}
