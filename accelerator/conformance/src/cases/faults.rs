//! Every fault: its cause, index and address, and that nothing outside the window changes.

use fqbert_contract::isa::{
    End, Engine, FaultCause, INSTRUCTION_BYTES, Load, MemoryId, Nop, Operation, PROGRAM_MAX,
    Softmax, Store,
};
use fqbert_contract::registers::{self as regs, status};

use crate::bench::Bench;
use crate::code::{code, plain, tokens};
use crate::report::{Failure, ensure};

fn act_beats(b: &Bench<'_>) -> u32 {
    b.geometry.word_bytes(MemoryId::Act) / 16
}

fn load(b: &Bench<'_>, address: u64) -> Operation {
    let (memory, beats) = (MemoryId::Act.code(), act_beats(b));
    Operation::Load(Load {
        memory,
        port: 0,
        address,
        word_offset: 0,
        beats,
    })
}

fn store(b: &Bench<'_>, address: u64) -> Operation {
    let (memory, beats) = (MemoryId::Act.code(), act_beats(b));
    Operation::Store(Store {
        memory,
        address,
        word_offset: 0,
        beats,
    })
}

fn nop() -> Operation {
    Operation::Nop(Nop {
        engine: Engine::Matrix.code(),
        port: 0,
    })
}

pub fn window(b: &mut Bench<'_>) -> Result<(), Failure> {
    let size = u64::from(act_beats(b)) * 16;
    let inside = b.upload(&vec![0; size as usize])?;
    let base = inside.address.0;
    let refused = [
        (base - 16, "starts below the window"),
        (base + 8, "is not aligned"),
        (0, "is at address 0"),
        (1 << 40, "is far above the window"),
        (u64::MAX - 15, "wraps around"),
    ];
    for (address, what) in refused {
        for operation in [load(b, address), store(b, address)] {
            // A store waits for something to store; a load is in the queue of the first.
            let (mut first, mut second) = (plain(load(b, base)), plain(operation));
            if matches!(operation, Operation::Store(_)) {
                (first.header.signal[0], second.header.wait[0]) = (1, 1);
            }
            let bytes = code(&[first, second])?;
            let program = b.upload(&bytes)?;
            b.configure(program.address.0, 3)?;
            b.set(regs::DOORBELL, 1)?;
            let ended = b.finish()?;
            let name = operation.mnemonic();
            b.check_fault(&ended, FaultCause::Window, 1)
                .map_err(|e| Failure::Wrong(format!("{name} that {what}: {e}")))?;
            ensure!(
                ended.address == address,
                "{name} that {what}: FAULT_ADDRESS {:#x}, not {address:#x}",
                ended.address
            );
            b.free(program.id)?;
            b.device.reset()?;
        }
    }
    Ok(())
}

/// A STORE past the limit, even by one beat, writes nothing outside the window; one that just fits
/// works.
pub fn window_keeps_memory(b: &mut Bench<'_>) -> Result<(), Failure> {
    let size = u64::from(act_beats(b)) * 16;
    let source = b.upload(&vec![0x77; size as usize])?;
    let program = b.allocate(4096)?;
    let guard = b.upload(&vec![0x33; 3 * size as usize])?;
    ensure!(
        guard.address > program.address && guard.address > source.address,
        "allocation of a later buffer below earlier ones: this case needs first fit"
    );
    let limit = guard.address.0 + size + 16;
    let base = source.address.0.min(program.address.0);
    for (offset, fits) in [(32, false), (16, true)] {
        let first = tokens(load(b, source.address.0), [0; 3], [1, 0, 0]);
        let second = tokens(store(b, guard.address.0 + offset), [1, 0, 0], [0; 3]);
        b.put(&program, &code(&[first, second])?)?;
        b.configure(program.address.0, 3)?;
        b.set_window(base, limit)?;
        b.set(regs::DOORBELL, 1)?;
        let ended = b.finish()?;
        let bytes = b.download(&guard)?;
        let beyond = &bytes[(limit - guard.address.0) as usize..];
        ensure!(
            beyond.iter().all(|v| *v == 0x33),
            "a STORE wrote past WINDOW_LIMIT"
        );
        if fits {
            let landed = &bytes[16..16 + size as usize];
            ensure!(
                ended.status & status::DONE != 0,
                "a STORE up to the limit was refused"
            );
            ensure!(
                landed.iter().all(|v| *v == 0x77),
                "a STORE up to the limit is not there"
            );
        } else {
            b.check_fault(&ended, FaultCause::Window, 1)?;
            ensure!(
                ended.address == guard.address.0 + offset,
                "FAULT_ADDRESS {:#x}",
                ended.address
            );
            b.device.reset()?;
        }
    }
    Ok(())
}

/// FETCH is DMA too.
pub fn program_window(b: &mut Bench<'_>) -> Result<(), Failure> {
    let bytes = code(&[plain(nop())])?;
    let program = b.upload(&bytes)?;
    let at = program.address.0;
    for (address, base, limit) in [
        (at, 0, 0),
        (at, at + 32, at + 4096),
        (at, at, at + 63),
        (at + 16, at, at + 4096),
        (u64::MAX - 31, at, at + 4096),
    ] {
        b.configure(address, 2)?;
        b.set_window(base, limit)?;
        b.set(regs::DOORBELL, 1)?;
        let ended = b.finish()?;
        b.check_fault(&ended, FaultCause::Window, 0)?;
        ensure!(
            ended.address == address,
            "FAULT_ADDRESS {:#x}, not {address:#x}",
            ended.address
        );
        b.device.reset()?;
    }
    b.configure(at, 2)?;
    b.set_window(at, at + 64)?;
    b.set(regs::DOORBELL, 1)?;
    let ended = b.finish()?;
    ensure!(
        ended.status & status::DONE != 0,
        "a program that fills the window is refused"
    );
    Ok(())
}

pub fn illegal_opcode(b: &mut Bench<'_>) -> Result<(), Failure> {
    for opcode in [0x00, 0x02, 0x11, 0x2e, 0x42, 0x80, 0xff] {
        let mut bytes = code(&[plain(nop()), plain(nop()), plain(nop())])?;
        bytes[2 * INSTRUCTION_BYTES] = opcode;
        b.faults(&bytes, FaultCause::IllegalOpcode, 2)?;
        b.device.reset()?;
    }
    Ok(())
}

pub fn illegal_field(b: &mut Bench<'_>) -> Result<(), Failure> {
    let depth = b.geometry.act_words as u16;
    let beats = act_beats(b);
    let act = MemoryId::Act.code();
    let legal = Load {
        memory: act,
        port: 0,
        address: 0,
        word_offset: 0,
        beats,
    };
    let illegal = [
        Operation::Load(Load { beats: 0, ..legal }),
        Operation::Load(Load {
            word_offset: depth - 1,
            beats: 2 * beats,
            ..legal
        }),
        Operation::Load(Load {
            memory: MemoryId::Opd.code(),
            ..legal
        }),
        Operation::Load(Load { memory: 7, ..legal }),
        Operation::Load(Load { port: 3, ..legal }),
        Operation::Store(Store {
            memory: MemoryId::Par.code(),
            address: 0,
            word_offset: 0,
            beats,
        }),
        Operation::Nop(Nop {
            engine: Engine::Vector.code(),
            port: 1,
        }),
        Operation::Matmul(Default::default()),
        Operation::Softmax(Softmax {
            columns: 12,
            row_tiles: 1,
            ..Default::default()
        }),
        Operation::Layernorm(Default::default()),
    ];
    for operation in illegal {
        let bytes = code(&[plain(nop()), plain(operation)])?;
        b.faults(&bytes, FaultCause::IllegalField, 1)
            .map_err(|e| Failure::Wrong(format!("{operation:?}: {e}")))?;
        b.device.reset()?;
    }
    // An END that is not the last instruction.
    let end = Operation::End(End {});
    let bytes = code(&[plain(nop()), plain(end), plain(nop())])?;
    b.faults(&bytes, FaultCause::IllegalField, 1)?;
    b.device.reset()?;
    // A reserved bit of END.
    let mut bytes = code(&[])?;
    bytes[31] = 0x80;
    b.faults(&bytes, FaultCause::IllegalField, 0)?;
    Ok(())
}

pub fn no_end(b: &mut Bench<'_>) -> Result<(), Failure> {
    let bytes = code(&[plain(nop()), plain(nop())])?;
    let unended = &bytes[..2 * INSTRUCTION_BYTES];
    b.faults(unended, FaultCause::NoEnd, 2)?;
    b.device.reset()?;
    let program = b.upload(&bytes)?;
    for length in [0, PROGRAM_MAX + 1, u32::MAX] {
        b.configure(program.address.0, length)?;
        b.set(regs::DOORBELL, 1)?;
        let ended = b.finish()?;
        b.check_fault(&ended, FaultCause::NoEnd, 0)?;
        b.device.reset()?;
    }
    Ok(())
}

/// The 256th token of a semaphore.
pub fn semaphore(b: &mut Bench<'_>) -> Result<(), Failure> {
    let raise = tokens(nop(), [0; 3], [9, 0, 0]);
    let bytes = code(&[raise; 256])?;
    b.faults(&bytes, FaultCause::Semaphore, 255)?;
    b.device.reset()?;
    // 255 are legal, if the verifier would not like it: nothing waits for them.
    b.complete(&code(&[raise; 255])?)?;
    Ok(())
}

pub fn doorbell_needs_reset(b: &mut Bench<'_>) -> Result<(), Failure> {
    let mut bytes = code(&[])?;
    bytes[0] = 0;
    b.faults(&bytes, FaultCause::IllegalOpcode, 0)?;
    let runs = (b.get(regs::RUNS_COMPLETED)?, b.get(regs::RUNS_FAULTED)?);
    ensure!(
        runs == (0, 1),
        "RUNS_COMPLETED and RUNS_FAULTED {runs:?} after one fault"
    );
    let good = b.upload(&code(&[])?)?;
    b.configure(good.address.0, 1)?;
    b.set(regs::DOORBELL, 1)?;
    let now = b.get(regs::STATUS)?;
    let expected = status::IDLE | status::FAULT | status::DOORBELL_IGNORED;
    ensure!(
        now == expected,
        "STATUS {now:#x} after a doorbell that follows a fault"
    );
    b.device.reset()?;
    b.complete(&code(&[])?)?;
    Ok(())
}
