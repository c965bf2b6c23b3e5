//! Doorbell, interrupt, counters and reset.

use std::time::Instant;

use fqbert_contract::isa::{Engine, Instruction, Nop, Operation};
use fqbert_contract::registers::{self as regs, irq_enable, irq_status, status, unit};
use fqbert_contract::timing::{Policy, simulate};

use crate::bench::Bench;
use crate::code::{code, plain, tokens};
use crate::report::{Failure, ensure};

fn nop(engine: Engine) -> Operation {
    Operation::Nop(Nop {
        engine: engine.code(),
        port: 0,
    })
}

pub fn end_only(b: &mut Bench<'_>) -> Result<(), Failure> {
    b.complete(&code(&[])?)?;
    let (done, faulted) = (b.get(regs::RUNS_COMPLETED)?, b.get(regs::RUNS_FAULTED)?);
    ensure!(
        (done, faulted) == (1, 0),
        "{done} runs completed and {faulted} faulted after one"
    );
    Ok(())
}

/// One interrupt per run, and a count that says so.
pub fn interrupts(b: &mut Bench<'_>) -> Result<(), Failure> {
    let program = code(&[])?;
    let first = b.complete(&program)?.interrupts;
    for run in 1..5u32 {
        let count = b.complete(&program)?.interrupts;
        ensure!(
            count == first.wrapping_add(run),
            "interrupt count {count} after {run} more runs than at {first}"
        );
    }
    let done = b.get(regs::RUNS_COMPLETED)?;
    ensure!(done == 5, "RUNS_COMPLETED {done} after 5 runs");
    Ok(())
}

/// A masked event is kept, and rises when it is enabled.
pub fn masked_interrupt(b: &mut Bench<'_>) -> Result<(), Failure> {
    let program = code(&[])?;
    let buffer = b.upload(&program)?;
    b.configure(buffer.address.0, 1)?;
    b.set(regs::IRQ_ENABLE, irq_enable::FAULT)?;
    b.set(regs::DOORBELL, 0)?;
    let deadline = Instant::now() + b.options.deadline;
    while b.get(regs::STATUS)? & status::DONE == 0 {
        ensure!(
            Instant::now() < deadline,
            "a program of one END does not end"
        );
    }
    let early = b.device.wait_interrupt(Instant::now() + b.options.hang);
    ensure!(early.is_err(), "a masked event interrupted: {early:?}");
    let events = b.get(regs::IRQ_STATUS)?;
    ensure!(
        events == irq_status::DONE,
        "IRQ_STATUS {events:#x} does not keep a masked event"
    );
    b.set(regs::IRQ_STATUS, irq_status::FAULT)?;
    ensure!(
        b.get(regs::IRQ_STATUS)? == events,
        "clearing one bit of IRQ_STATUS cleared another"
    );
    b.set(regs::IRQ_ENABLE, irq_enable::DONE)?;
    b.finish()?;
    Ok(())
}

pub fn counters(b: &mut Bench<'_>) -> Result<(), Failure> {
    // A chain through MATRIX, VECTOR and STORE.
    let program: Vec<Instruction> = vec![
        plain(nop(Engine::Load)),
        tokens(nop(Engine::Matrix), [0; 3], [1, 0, 0]),
        tokens(nop(Engine::Matrix), [0; 3], [1, 0, 0]),
        tokens(nop(Engine::Vector), [1, 1, 0], [31, 0, 0]),
        tokens(nop(Engine::Store), [31, 0, 0], [0; 3]),
    ];
    let bytes = code(&program)?;
    b.complete(&bytes)?;
    let expected = [
        (unit::FETCH, 6),
        (unit::LOAD0, 1),
        (unit::LOAD1, 0),
        (unit::MATRIX, 2),
        (unit::VECTOR, 1),
        (unit::STORE, 2),
    ];
    for (unit, count) in expected {
        let found = b.get(regs::retired(unit))?;
        let name = unit::NAMES[unit as usize];
        ensure!(
            found == count,
            "{name} retired {found} instructions, not {count}"
        );
    }
    let cycles = b.get(regs::CYCLES_LOW)?;
    ensure!(
        cycles > 0 && b.get(regs::CYCLES_HIGH)? == 0,
        "CYCLES {cycles}"
    );
    for i in 0..regs::SEMAPHORES_COUNT {
        let counts = b.get(regs::semaphores(i))?;
        ensure!(
            counts == 0,
            "semaphores {counts:#x} after a balanced program"
        );
    }
    if b.options.models_timing {
        let mut whole = program;
        whole.push(plain(Operation::End(fqbert_contract::isa::End {})));
        let model = simulate(&b.geometry, &whole, Policy::Earliest)
            .map_err(|e| Failure::Wrong(e.to_string()))?;
        ensure!(
            u64::from(cycles) == model.cycles,
            "{cycles} cycles, model {}",
            model.cycles
        );
        for u in 0..regs::BUSY_COUNT {
            let found = (b.get(regs::busy(u))?, b.get(regs::stall(u))?);
            let index = u as usize;
            let says = (
                model.counters.busy[index] as u32,
                model.counters.stall[index] as u32,
            );
            let name = unit::NAMES[index];
            ensure!(
                found == says,
                "{name} busy and stalled {found:?}, model {says:?}"
            );
        }
    }
    // A new run starts from zero.
    b.complete(&code(&[])?)?;
    let found = b.get(regs::retired(unit::MATRIX))?;
    ensure!(
        found == 0,
        "MATRIX retired {found} instructions in a program without any"
    );
    Ok(())
}

/// A deadlock stays BUSY, ignores doorbell and configuration, and ends with a reset.
pub fn busy_and_reset(b: &mut Bench<'_>) -> Result<(), Failure> {
    let stuck = code(&[
        tokens(nop(Engine::Matrix), [0; 3], [5, 5, 0]),
        tokens(nop(Engine::Vector), [6, 0, 0], [0; 3]),
    ])?;
    b.start(&stuck)?;
    b.hangs()?;
    let counts = b.get(regs::semaphores(1))?;
    ensure!(
        counts == 2 << 8,
        "semaphores 4..7 read {counts:#x}; 5 was raised twice"
    );
    let length = b.get(regs::PROGRAM_LENGTH)?;
    b.set(regs::PROGRAM_LENGTH, 77)?;
    ensure!(
        b.get(regs::PROGRAM_LENGTH)? == length,
        "PROGRAM_LENGTH changed while BUSY"
    );
    let now = b.get(regs::STATUS)?;
    ensure!(
        now == status::BUSY | status::CONFIG_IGNORED,
        "STATUS {now:#x}: CONFIG_IGNORED"
    );
    b.set(regs::DOORBELL, 1)?;
    let now = b.get(regs::STATUS)?;
    let all = status::BUSY | status::CONFIG_IGNORED | status::DOORBELL_IGNORED;
    ensure!(now == all, "STATUS {now:#x}: DOORBELL_IGNORED");
    b.device.reset()?;
    let now = b.get(regs::STATUS)?;
    ensure!(
        now == status::IDLE,
        "STATUS {now:#x} after the reset of a deadlock"
    );
    b.complete(&code(&[plain(nop(Engine::Matrix))])?)?;
    // Sticky bits go with the next accepted doorbell.
    let now = b.get(regs::STATUS)?;
    ensure!(
        now == status::IDLE | status::DONE,
        "STATUS {now:#x} of the next program"
    );
    Ok(())
}
