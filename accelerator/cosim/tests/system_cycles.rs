//! The shell of the accelerator against the timing model: cycles and every counter, to the cycle,
//! where the memory has no back-pressure. MATRIX and VECTOR are
//! bus-functional models.

mod support;

use fqbert_contract::isa::{Engine, Instruction, MemoryId};
use fqbert_contract::timing::{Policy, UNITS, simulate};
use fqbert_cosim::{CosimDevice, MemoryTiming};
use fqbert_random::Random;
use support::programs::{Mix, program};
use support::{DONE, end, load, nop, plain, run, shell, store, tiny, upload, with};

/// Runs on the RTL and in the model, and compares. Returns the cycles that accesses waited for
/// ports of on-chip memories, by unit.
#[track_caller]
fn compare(device: &mut CosimDevice, instructions: &[Instruction], what: &str) -> [u64; UNITS] {
    let schedule = simulate(tiny(), instructions, Policy::Earliest).expect(what);
    let ended = run(device, instructions);
    assert_eq!(ended.status, DONE, "{what}: {ended:?}");
    assert_eq!(ended.counters, schedule.counters, "{what}");
    assert_eq!(ended.cycles, schedule.cycles, "{what}");
    schedule.waits.ports
}

#[test]
fn single_instructions() {
    let Some(mut device) = shell(MemoryTiming::default()) else {
        return;
    };
    let data = upload(&mut device, &[7; 65536]).address.0;
    compare(&mut device, &[end()], "END");
    for engine in Engine::ALL {
        compare(&mut device, &[plain(nop(*engine)), end()], "NOP");
    }
    for beats in [2, 4, 62, 256, 258, 1024, 4096] {
        compare(
            &mut device,
            &[plain(load(MemoryId::Act, 5, data, beats)), end()],
            "LOAD ACT",
        );
        compare(
            &mut device,
            &[plain(store(MemoryId::Act, 5, data, beats)), end()],
            "STORE ACT",
        );
        let odd = (data + 16, beats - 1);
        compare(
            &mut device,
            &[plain(load(MemoryId::Resx, 3, odd.0, odd.1)), end()],
            "LOAD RESX",
        );
        compare(
            &mut device,
            &[plain(store(MemoryId::Resx, 3, odd.0, odd.1)), end()],
            "STORE RESX",
        );
    }
}

#[test]
fn full_queues_hold_fetch() {
    let Some(mut device) = shell(MemoryTiming::default()) else {
        return;
    };
    let data = upload(&mut device, &[7; 65536]).address.0;
    // The queue of LOAD fills, then FETCH waits for each start; NOPs behind it wait in FETCH.
    let mut program = Vec::new();
    for i in 0..40 {
        program.push(plain(load(MemoryId::Act, i, data, 100)));
        if i % 3 == 0 {
            program.push(plain(nop(Engine::Store)));
        }
    }
    program.push(end());
    compare(&mut device, &program, "loads");
    // A queue full of instructions that a semaphore holds.
    let mut program: Vec<_> = (0..30)
        .map(|_| with(&[3], &[], nop(Engine::Matrix)))
        .collect();
    program.splice(
        12..12,
        (0..10).map(|_| with(&[], &[3, 3, 3], load(MemoryId::Resx, 0, data, 5))),
    );
    program.push(end());
    compare(&mut device, &program, "held");
    // More NOPs behind a LOAD than a queue holds retire with it, one a cycle.
    let mut program = vec![plain(load(MemoryId::Act, 0, data, 2))];
    program.extend((0..28).map(|_| plain(nop(Engine::Load))));
    program.push(end());
    compare(&mut device, &program, "NOPs");
}

#[test]
fn a_semaphore_may_be_waited_for_and_raised_thrice() {
    let Some(mut device) = shell(MemoryTiming::default()) else {
        return;
    };
    let program = [
        with(&[], &[9, 9, 9], nop(Engine::Load)),
        with(&[9, 9], &[31], nop(Engine::Store)),
        with(&[31], &[1, 1], nop(Engine::Vector)),
        with(&[9, 1, 1], &[], nop(Engine::Store)),
        end(),
    ];
    // 9 has one consumer queue and 1 another; all are the store queue's.
    compare(&mut device, &program, "thrice");
}

#[test]
fn random_programs_of_transfers() {
    let Some(mut device) = shell(MemoryTiming::default()) else {
        return;
    };
    let data = upload(&mut device, &[7; 65536]).address.0;
    for seed in 0..40 {
        let mut rng = Random::new(seed);
        let beats = [8, 40, 600][rng.below(3) as usize];
        let mix = Mix {
            length: 80,
            beats,
            compute: false,
            waits: 10 * rng.below(5),
        };
        let program = program(&mut rng, mix, data);
        compare(&mut device, &program, &format!("seed {seed}"));
    }
}

#[test]
fn random_programs_of_all_engines() {
    let Some(mut device) = shell(MemoryTiming::default()) else {
        return;
    };
    let data = upload(&mut device, &[7; 65536]).address.0;
    let mut waited = [0; UNITS];
    for seed in 100..160 {
        let mut rng = Random::new(seed);
        let mix = Mix {
            length: 120,
            beats: 60,
            compute: true,
            waits: 10 * rng.below(6),
        };
        let program = program(&mut rng, mix, data);
        let ports = compare(&mut device, &program, &format!("seed {seed}"));
        waited.iter_mut().zip(ports).for_each(|(w, p)| *w += p);
    }
    // LOAD0, VECTOR and STORE have waited, or nothing was compared.
    assert!([1, 6, 7].iter().all(|unit| waited[*unit] > 0), "{waited:?}");
}
