//! What a bus can do to a device, and what may come at any moment: refused transfers, faults and
//! resets while bursts are open.

use std::time::Instant;

use fqbert_contract::device::Allocation;
use fqbert_contract::isa::{
    Engine, FaultCause, Instruction, Load, MemoryId, Nop, Operation, Store,
};
use fqbert_contract::registers::{self as regs, status};
use fqbert_simulated::{AxiFault, Refusal, Simulated};

use crate::bench::{self, Ended};
use crate::cases::{code, plain, tokens};
use crate::random::{self, random_program};
use crate::{Failure, RandomProgram, ensure};

type Bench<'a> = bench::Bench<'a, dyn Simulated + 'a>;
type Body = fn(&mut Bench<'_>) -> Result<(), Failure>;

pub const ALL: &[(&str, Body)] = &[
    ("bus/refused_loads", refused_loads),
    ("bus/refused_stores", refused_stores),
    ("bus/refused_program", refused_program),
    ("bus/fault_stops_everything", fault_stops_everything),
    ("bus/doorbell_while_moving", doorbell_while_moving),
    ("bus/reset_at_any_moment", reset_at_any_moment),
];

const FAULTS: [(AxiFault, FaultCause); 2] = [
    (AxiFault::Slverr, FaultCause::AxiSlverr),
    (AxiFault::Decerr, FaultCause::AxiDecerr),
];

/// Bytes of the buffers that nothing may write.
const GUARD: usize = 4096;
const GUARDED: u8 = 0x33;

/// Beats of a transfer of several bursts, through a memory.
fn several_bursts(b: &Bench<'_>, memory: MemoryId) -> u32 {
    let word = b.geometry.word_bytes(memory) / 16;
    let words = (700 / word).min(b.geometry.depth(memory));
    words * word
}

fn load(memory: MemoryId, address: u64, beats: u32) -> Operation {
    Operation::Load(Load {
        memory: memory.code(),
        port: 0,
        address,
        word_offset: 0,
        beats,
    })
}

fn store(memory: MemoryId, address: u64, beats: u32) -> Operation {
    Operation::Store(Store {
        memory: memory.code(),
        address,
        word_offset: 0,
        beats,
    })
}

fn nop(engine: Engine) -> Operation {
    Operation::Nop(Nop {
        engine: engine.code(),
        port: 0,
    })
}

/// A buffer between two that nothing may write.
struct Guarded {
    before: Allocation,
    middle: Allocation,
    after: Allocation,
}

impl Guarded {
    fn new(b: &mut Bench<'_>, data: &[u8]) -> Result<Self, Failure> {
        Ok(Self {
            before: b.upload(&[GUARDED; GUARD])?,
            middle: b.upload(data)?,
            after: b.upload(&[GUARDED; GUARD])?,
        })
    }

    fn check(&self, b: &mut Bench<'_>) -> Result<(), Failure> {
        for (guard, side) in [(&self.before, "before"), (&self.after, "behind")] {
            let bytes = b.download(guard)?;
            ensure!(
                bytes.iter().all(|v| *v == GUARDED),
                "memory {side} the target was written"
            );
        }
        Ok(())
    }
}

/// After a fault or a reset: no burst is open, and with a working bus the next program does what it
/// should.
fn still_works(b: &mut Bench<'_>) -> Result<(), Failure> {
    ensure!(
        b.device.open_bursts().unwrap_or(0) == 0,
        "bursts are open after the accelerator said that it had stopped"
    );
    b.device.refuse(Vec::new());
    b.device.reset()?;
    let beats = several_bursts(b, MemoryId::Act);
    let bytes = b.rng.bytes(16 * beats as usize);
    let (from, to) = (b.upload(&bytes)?, b.upload(&vec![0; bytes.len()])?);
    b.complete(&code(&[
        tokens(
            load(MemoryId::Act, from.address.0, beats),
            [0; 3],
            [1, 0, 0],
        ),
        tokens(store(MemoryId::Act, to.address.0, beats), [1, 0, 0], [0; 3]),
    ])?)?;
    let found = b.download(&to)?;
    ensure!(found == bytes, "the next program moved other bytes");
    b.free(from.id)?;
    b.free(to.id)?;
    // Counts of runs begin anew for what follows.
    b.device.reset()?;
    Ok(())
}

fn check_fault(
    b: &mut Bench<'_>,
    ended: &Ended,
    cause: FaultCause,
    index: u32,
    address: u64,
) -> Result<(), Failure> {
    b.check_fault(ended, cause, index)?;
    ensure!(
        ended.address == address,
        "{}: FAULT_ADDRESS {:#x}, not {address:#x}",
        cause.name(),
        ended.address
    );
    let runs = (b.get(regs::RUNS_COMPLETED)?, b.get(regs::RUNS_FAULTED)?);
    ensure!(
        runs == (0, 1),
        "RUNS_COMPLETED and RUNS_FAULTED {runs:?} after one fault"
    );
    Ok(())
}

/// A transfer of which the bus refuses one beat: in its first burst, at a burst's edge, or its
/// last.
fn refused(b: &mut Bench<'_>, reads: bool) -> Result<(), Failure> {
    for memory in [MemoryId::Act, MemoryId::Resx] {
        let beats = several_bursts(b, memory);
        let bytes = u64::from(beats) * 16;
        let target = Guarded::new(b, &vec![9; bytes as usize])?;
        let address = target.middle.address.0;
        for (fault, cause) in FAULTS {
            for offset in [0, 16 * 7, 4096.min(bytes - 16), bytes - 16] {
                let at = address + offset;
                b.device.refuse(vec![Refusal {
                    range: at..at + 1,
                    fault,
                    reads,
                }]);
                let transfer = match reads {
                    true => load(memory, address, beats),
                    false => store(memory, address, beats),
                };
                let program = code(&[plain(nop(Engine::Matrix)), plain(transfer)])?;
                b.start(&program)?;
                let ended = b.finish()?;
                check_fault(b, &ended, cause, 1, address)
                    .map_err(|e| Failure::Wrong(format!("{} at {offset}: {e}", memory.name())))?;
                target.check(b)?;
                still_works(b)?;
            }
        }
        b.free_all()?;
    }
    Ok(())
}

fn refused_loads(b: &mut Bench<'_>) -> Result<(), Failure> {
    refused(b, true)
}

fn refused_stores(b: &mut Bench<'_>) -> Result<(), Failure> {
    refused(b, false)
}

/// FETCH faults with index 0 and the program's address, wherever in the program the bus fails.
fn refused_program(b: &mut Bench<'_>) -> Result<(), Failure> {
    let bytes = code(&vec![plain(nop(Engine::Store)); 300])?;
    for (fault, cause) in FAULTS {
        for offset in [0, 31, 5000, bytes.len() as u64 - 1] {
            let program = b.upload(&bytes)?;
            let address = program.address.0;
            b.device.refuse(vec![Refusal {
                range: address + offset..address + offset + 1,
                fault,
                reads: true,
            }]);
            b.configure(address, (bytes.len() / 32) as u32)?;
            b.set(regs::DOORBELL, 1)?;
            let ended = b.finish()?;
            check_fault(b, &ended, cause, 0, address)
                .map_err(|e| Failure::Wrong(format!("byte {offset} of the program: {e}")))?;
            still_works(b)?;
            b.free_all()?;
        }
    }
    Ok(())
}

/// A LOAD outside the window while both directions move data: what is open ends, nothing else
/// begins, nothing beside is touched.
fn fault_stops_everything(b: &mut Bench<'_>) -> Result<(), Failure> {
    let (act, resx) = (
        several_bursts(b, MemoryId::Act),
        several_bursts(b, MemoryId::Resx),
    );
    let target = Guarded::new(b, &vec![0x44; 16 * act as usize])?;
    let source = Guarded::new(b, &vec![0x66; 16 * resx as usize])?;
    let outside = [16, target.before.address.0 - 16, 1 << 40];
    for address in outside {
        let stored = plain(store(MemoryId::Act, target.middle.address.0, act));
        let mut program: Vec<Instruction> = vec![
            stored,
            plain(load(MemoryId::Resx, source.middle.address.0, resx)),
            plain(load(
                MemoryId::Act,
                address,
                2 * b.geometry.word_bytes(MemoryId::Act) / 16,
            )),
        ];
        program.extend([stored; 12]);
        b.start(&code(&program)?)?;
        let ended = b.finish()?;
        check_fault(b, &ended, FaultCause::Window, 2, address)?;
        target.check(b)?;
        source.check(b)?;
        let bytes = b.download(&source.middle)?;
        ensure!(
            bytes.iter().all(|v| *v == 0x66),
            "a LOAD's source was written"
        );
        still_works(b)?;
    }
    Ok(())
}

/// A doorbell and a new configuration while data moves are ignored, said so, and change nothing of
/// the run.
fn doorbell_while_moving(b: &mut Bench<'_>) -> Result<(), Failure> {
    let beats = several_bursts(b, MemoryId::Act);
    let data = b.rng.bytes(16 * beats as usize);
    let from = b.upload(&data)?;
    let to = Guarded::new(b, &vec![0; data.len()])?;
    let mut program = Vec::new();
    // The same again and again: long enough that something is left to move.
    for _ in 0..12 {
        program.push(tokens(
            load(MemoryId::Act, from.address.0, beats),
            [2, 0, 0],
            [1, 0, 0],
        ));
        let back = store(MemoryId::Act, to.middle.address.0, beats);
        program.push(tokens(back, [1, 0, 0], [2, 0, 0]));
    }
    program.insert(0, tokens(nop(Engine::Store), [0; 3], [2, 0, 0]));
    b.start(&code(&program)?)?;
    b.device.advance(400);
    b.set(regs::DOORBELL, 1)?;
    b.set(regs::PROGRAM_LENGTH, 1)?;
    b.set(regs::WINDOW_LIMIT_LOW, 0)?;
    let ended = b.finish()?;
    let expected = status::IDLE | status::DONE | status::DOORBELL_IGNORED | status::CONFIG_IGNORED;
    ensure!(
        ended.status == expected,
        "STATUS {:#x} of a run that was rung at, not {expected:#x}",
        ended.status
    );
    ensure!(b.download(&to.middle)? == data, "the run moved other bytes");
    to.check(b)?;
    let runs = (b.get(regs::RUNS_COMPLETED)?, b.get(regs::RUNS_FAULTED)?);
    ensure!(runs == (1, 0), "runs {runs:?} after one");
    still_works(b)
}

/// Registers that a reset must have brought back.
const AFTER_RESET: [(fqbert_contract::RegisterOffset, u32); 8] = [
    (regs::STATUS, status::IDLE),
    (regs::IRQ_STATUS, 0),
    (regs::IRQ_ENABLE, 0),
    (regs::PROGRAM_LENGTH, 0),
    (regs::FAULT_CAUSE, 0),
    (regs::CYCLES_LOW, 0),
    (regs::RUNS_COMPLETED, 0),
    (regs::WINDOW_LIMIT_LOW, 0),
];

/// Resets at moments all over a program that computes, between guards; the same program works
/// afterwards.
fn reset_at_any_moment(b: &mut Bench<'_>) -> Result<(), Failure> {
    let g = b.geometry.clone();
    let mut met = Vec::new();
    for program in 0..2 {
        let RandomProgram(composed) = random_program(&g, b.options.seed.wrapping_add(program))?;
        random::check(b, &composed)?;
        let cycles = b.get(regs::CYCLES_LOW)?;
        b.free_all()?;
        for moment in 0..24 {
            let at = b.rng.within(0, cycles as usize) as u32;
            let guard = b.upload(&[GUARDED; GUARD])?;
            random::start(b, &composed)?;
            let after = b.upload(&[GUARDED; GUARD])?;
            b.device.advance(at);
            met.extend(b.device.open_bursts());
            b.device.reset()?;
            // A run that had ended has interrupted: the next wait is not for that.
            let _ = b.device.wait_interrupt(Instant::now());
            ensure!(
                b.device.open_bursts().unwrap_or(0) == 0,
                "bursts are open after a reset {at} cycles into the program"
            );
            for (register, value) in AFTER_RESET {
                let found = b.get(register)?;
                ensure!(
                    found == value,
                    "register {register} reads {found:#x} after a reset {at} cycles into the program"
                );
            }
            for guard in [guard, after] {
                let bytes = b.download(&guard)?;
                ensure!(
                    bytes.iter().all(|v| *v == GUARDED),
                    "a reset {at} cycles into the program left bytes beside its buffers"
                );
            }
            b.free_all()?;
            if moment % 4 == 0 {
                random::check(b, &composed)?;
                b.free_all()?;
            }
        }
    }
    // A reset of an idle bus would show nothing.
    let open = met.iter().filter(|bursts| **bursts > 0).count();
    ensure!(
        met.is_empty() || open >= 8,
        "only {open} of {} resets met an open burst",
        met.len()
    );
    still_works(b)
}
