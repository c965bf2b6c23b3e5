//! Faults that only a bus can make, and resets at any moment.

mod support;

use fqbert_contract::isa::{Engine, FaultCause, Instruction, MemoryId};
use fqbert_contract::registers as regs;
use fqbert_contract::seam::Fabric;
use fqbert_cosim::{CosimFabric, Memory, Refusal};
use fqbert_emulator::AxiFault;
use support::programs::{Mix, program};
use support::{
    DONE, FAULT, Rng, download, encode, end, everything, finish, load, nop, plain, run, shell,
    start, store, upload, with,
};

const CODES: [(AxiFault, FaultCause); 2] = [
    (AxiFault::Slverr, FaultCause::AxiSlverr),
    (AxiFault::Decerr, FaultCause::AxiDecerr),
];

fn memories() -> impl Iterator<Item = Memory> {
    (0..4).map(|seed| Memory {
        seed: (seed > 0).then_some(seed),
        ..Memory::default()
    })
}

/// A program that must run after whatever came before.
fn still_works(fabric: &mut CosimFabric) {
    fabric.system_mut().bus_mut().refuse(Vec::new());
    fabric.reset().unwrap();
    let bytes = Rng(fabric.system().cycles()).bytes(1 << 14);
    let (from, to) = (upload(fabric, &bytes), upload(fabric, &vec![0; 1 << 14]));
    let ended = run(
        fabric,
        &[
            with(&[], &[1], load(MemoryId::Act, 7, from.address.0, 1 << 10)),
            with(&[1], &[], store(MemoryId::Act, 7, to.address.0, 1 << 10)),
            end(),
        ],
    );
    assert_eq!(ended.status, DONE, "{ended:?}");
    assert!(download(fabric, &to) == bytes, "the next program's bytes");
    for buffer in [from, to] {
        fabric.free(buffer.id).unwrap();
    }
}

#[test]
fn refused_transfers() {
    for memory in memories() {
        let Some(mut fabric) = shell(memory) else {
            return;
        };
        let buffer = upload(&mut fabric, &[9; 1 << 14]).address.0;
        for (fault, cause) in CODES {
            for (at, transfer, reads) in [
                (0, load(MemoryId::Act, 0, buffer, 600), true),
                (4096, load(MemoryId::Resx, 0, buffer, 600), true),
                (16 * 599, load(MemoryId::Act, 0, buffer, 600), true),
                (0, store(MemoryId::Act, 0, buffer, 600), false),
                (4096 + 32, store(MemoryId::Resx, 0, buffer, 600), false),
                (16 * 599, store(MemoryId::Act, 0, buffer, 600), false),
            ] {
                let range = buffer + at..buffer + at + 16;
                fabric.system_mut().bus_mut().refuse(vec![Refusal {
                    range,
                    fault,
                    reads,
                }]);
                let ended = run(
                    &mut fabric,
                    &[plain(nop(Engine::Matrix)), plain(transfer), end()],
                );
                let found = (ended.status, ended.cause, ended.index, ended.address);
                assert_eq!(
                    found,
                    (FAULT, u32::from(cause.code()), 1, buffer),
                    "{transfer:?}"
                );
                still_works(&mut fabric);
            }
        }
    }
}

#[test]
fn a_program_that_cannot_be_read() {
    for memory in memories() {
        let Some(mut fabric) = shell(memory) else {
            return;
        };
        for (fault, cause) in CODES {
            let mut instructions = vec![plain(nop(Engine::Store)); 300];
            instructions.push(end());
            let code = upload(&mut fabric, &encode(&instructions));
            let address = code.address.0;
            let range = address + 5000..address + 5001;
            fabric.system_mut().bus_mut().refuse(vec![Refusal {
                range,
                fault,
                reads: true,
            }]);
            let window = everything(&fabric);
            start(&mut fabric, address, 301, window);
            let ended = finish(&mut fabric).unwrap();
            let found = (ended.status, ended.cause, ended.index, ended.address);
            assert_eq!(found, (FAULT, u32::from(cause.code()), 0, address));
            still_works(&mut fabric);
            fabric.free(code.id).unwrap();
        }
    }
}

/// END in the middle is an illegal field; what comes before it has been checked too.
#[test]
fn an_end_that_is_not_the_last_instruction() {
    let Some(mut fabric) = shell(Memory::default()) else {
        return;
    };
    let ended = run(
        &mut fabric,
        &[
            plain(nop(Engine::Load)),
            end(),
            plain(nop(Engine::Load)),
            end(),
        ],
    );
    let found = (ended.status, ended.cause, ended.index);
    assert_eq!(
        found,
        (FAULT, u32::from(FaultCause::IllegalField.code()), 1)
    );
}

/// A fault while other engines move data: nothing beyond open bursts, and the buffers beside are as they were.
#[test]
fn a_fault_stops_everything() {
    for memory in memories() {
        let Some(mut fabric) = shell(memory) else {
            return;
        };
        let guard = upload(&mut fabric, &[0x33; 4096]);
        let target = upload(&mut fabric, &[0x44; 1 << 15]);
        let after = upload(&mut fabric, &[0x55; 4096]);
        let source = upload(&mut fabric, &[0x66; 1 << 15]);
        let mut instructions = vec![plain(store(MemoryId::Act, 0, target.address.0, 2048))];
        instructions.push(plain(load(MemoryId::Resx, 0, source.address.0, 2048)));
        instructions.push(plain(load(MemoryId::Act, 0, 16, 2)));
        instructions
            .extend((0..30).map(|_| plain(store(MemoryId::Act, 0, target.address.0, 2048))));
        instructions.push(end());
        let ended = run(&mut fabric, &instructions);
        let found = (ended.status, ended.cause, ended.index, ended.address);
        assert_eq!(found, (FAULT, u32::from(FaultCause::Window.code()), 2, 16));
        assert!(
            fabric.system().bus().is_idle(),
            "bursts are open after the fault was reported"
        );
        for (buffer, value) in [(guard, 0x33), (after, 0x55), (source, 0x66)] {
            assert!(download(&mut fabric, &buffer).iter().all(|b| *b == value));
        }
        let traffic = fabric.system().bus().traffic();
        assert!(
            traffic.start >= fabric.memory().base.0,
            "address {:#x} was issued",
            traffic.start
        );
        still_works(&mut fabric);
    }
}

/// Rings the doorbell, lets some cycles pass, resets; every moment of a program once.
#[test]
fn reset_at_any_moment() {
    for (memory, step) in memories().zip([7, 23, 31, 41]) {
        let Some(mut fabric) = shell(memory) else {
            return;
        };
        let data = upload(&mut fabric, &[7; 1 << 16]);
        let guard = upload(&mut fabric, &[0x77; 4096]);
        let mut rng = Rng(5);
        let mix = Mix {
            length: 60,
            beats: 500,
            compute: true,
            waits: 15,
        };
        let instructions: Vec<Instruction> = program(&mut rng, mix, data.address.0);
        let code = upload(&mut fabric, &encode(&instructions));
        let window = everything(&fabric);
        let mut open = 0;
        for moment in (0..3000).step_by(step) {
            start(
                &mut fabric,
                code.address.0,
                instructions.len() as u32,
                window,
            );
            fabric.run(moment);
            open += usize::from(fabric.system().bus().open_bursts() > 0);
            fabric.reset().unwrap();
            assert!(
                fabric.system().bus().is_idle(),
                "bursts are open after the reset at {moment}"
            );
            for register in [
                regs::STATUS,
                regs::IRQ_STATUS,
                regs::PROGRAM_LENGTH,
                regs::CYCLES_LOW,
            ] {
                let expected = u32::from(register == regs::STATUS);
                assert_eq!(
                    fabric.read32(register).unwrap(),
                    expected,
                    "{register} at {moment}"
                );
            }
        }
        assert!(open > 10, "too few resets met an open burst: {open}");
        assert!(download(&mut fabric, &guard).iter().all(|b| *b == 0x77));
        still_works(&mut fabric);
    }
}
