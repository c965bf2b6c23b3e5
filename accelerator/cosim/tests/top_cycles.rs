//! The whole accelerator of the tiny geometry against the timing model: cycles and every counter,
//! to the cycle, where the memory has no back-pressure.
//!
//! A differing program is named by its seed: `FQBERT_RANDOM_SEED=N FQBERT_RANDOM_PROGRAMS=1 cargo
//! test -p fqbert-cosim --test top_cycles -- random_programs` runs it alone.

mod support;

use fqbert_compiler::{CompileOptions, compile};
use fqbert_conformance::random_program;
use fqbert_contract::Bytes;
use fqbert_contract::device::{Allocation, Device};
use fqbert_contract::isa::{INSTRUCTION_BYTES, Instruction};
use fqbert_contract::program::{PerRegion, Placement, Program};
use fqbert_contract::timing::{Policy, Schedule, UNITS, simulate};
use fqbert_cosim::{CosimDevice, CosimOptions};
use fqbert_model::testing::{Shape, random_model};
use fqbert_random::Random;
use support::programs::{Mix, program};
use support::{DONE, Ended, encode, everything, finish, or_skip, run, start, tiny, upload};

fn open() -> Option<CosimDevice> {
    or_skip(CosimDevice::new(CosimOptions {
        memory_bytes: 64 << 20,
        ..CosimOptions::new(tiny())
    }))
}

/// Where the RTL and the model differ.
fn difference(ended: &Ended, model: &Schedule) -> Option<String> {
    assert_eq!(ended.status, DONE, "{ended:?}");
    if ended.cycles == model.cycles && ended.counters == model.counters {
        return None;
    }
    Some(format!(
        "{} cycles, model {}\n  rtl   {:?}\n  model {:?}\n  waits {:?}",
        ended.cycles, model.cycles, ended.counters, model.counters, model.waits.ports
    ))
}

/// Binds a program to buffers of the accelerator, runs it and compares. Returns the model's
/// schedule.
fn play(
    device: &mut CosimDevice,
    program: &Program,
    data: [&[u8]; 2],
) -> (Schedule, Option<String>) {
    let output = vec![0x5a; program.sizes.output.0.max(16) as usize];
    let buffers = [data[0], data[1], &output].map(|bytes| upload(device, bytes));
    let place = |b: &Allocation| Placement {
        address: b.address,
        size: Bytes(b.size.0),
    };
    let code = program
        .bind(&PerRegion {
            constants: place(&buffers[0]),
            input: place(&buffers[1]),
            output: place(&buffers[2]),
        })
        .unwrap();
    let words = code.as_chunks::<INSTRUCTION_BYTES>().0;
    let bound: Vec<Instruction> = words
        .iter()
        .map(|word| Instruction::from_bytes(word).unwrap())
        .collect();
    let model = simulate(tiny(), &bound, Policy::Earliest).unwrap();
    let code = upload(device, &code);
    let window = everything(device);
    start(device, code.address.0, bound.len() as u32, window);
    let ended = finish(device).unwrap();
    for buffer in buffers.iter().chain([&code]) {
        device.free(buffer.id).unwrap();
    }
    let differs = difference(&ended, &model);
    (model, differs)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|n| n.parse().ok())
}

/// All that differ are told, so that a cause can be seen.
fn report(differing: &[String], programs: u64) {
    assert!(
        differing.is_empty(),
        "{} of {programs} programs differ:\n{}",
        differing.len(),
        differing[..differing.len().min(5)].join("\n")
    );
}

/// Programs that compute something, as the conformance suite's.
fn composed(first: u64, programs: u64) {
    let programs = number("FQBERT_RANDOM_PROGRAMS").unwrap_or(programs);
    let first = number("FQBERT_RANDOM_SEED").unwrap_or(first);
    let Some(mut device) = open() else {
        return;
    };
    let (mut waited, mut differing) = ([0; UNITS], Vec::new());
    for seed in first..first + programs {
        let random = random_program(tiny(), seed).unwrap();
        let data = [random.constants(), random.input()];
        let (model, differs) = play(&mut device, random.program(), data);
        differing.extend(differs.map(|d| format!("seed {seed}: {d}")));
        waited
            .iter_mut()
            .zip(model.waits.ports)
            .for_each(|(w, p)| *w += p);
    }
    println!("{programs} programs from seed {first}; cycles at ports by unit {waited:?}");
    report(&differing, programs);
}

#[test]
fn random_programs() {
    composed(0, 100);
}

#[test]
#[ignore = "a minute of simulation"]
fn many_random_programs() {
    composed(3_000_000, 2000);
}

/// Programs that compute nothing sensible, with every unit at ports that another wants.
fn crowded(first: u64, programs: u64) {
    let Some(mut device) = open() else {
        return;
    };
    let data = upload(&mut device, &[7; 65536]).address.0;
    let (mut waited, mut differing) = ([0; UNITS], Vec::new());
    for seed in first..first + programs {
        let mut rng = Random::new(seed);
        let mix = Mix {
            length: 60,
            beats: [20, 60, 300][rng.below(3) as usize],
            compute: true,
            waits: 10 * rng.below(6),
        };
        let program = program(&mut rng, mix, data);
        let model = simulate(tiny(), &program, Policy::Earliest).unwrap();
        assert!(encode(&program).len() < 1 << 16);
        let ended = run(&mut device, &program);
        differing.extend(difference(&ended, &model).map(|d| format!("seed {seed}: {d}")));
        waited
            .iter_mut()
            .zip(model.waits.ports)
            .for_each(|(w, p)| *w += p);
    }
    println!("{programs} programs from seed {first}; cycles at ports by unit {waited:?}");
    report(&differing, programs);
    // LOAD0, VECTOR and STORE have waited, or nothing was compared.
    assert!([1, 6, 7].iter().all(|unit| waited[*unit] > 0), "{waited:?}");
}

#[test]
fn crowded_ports() {
    crowded(0, 60);
}

#[test]
#[ignore = "a minute of simulation"]
fn many_crowded_ports() {
    crowded(1000, 1000);
}

/// A compiled model from its first LOAD to END.
#[test]
fn a_whole_model() {
    let Some(mut device) = open() else {
        return;
    };
    let shape = Shape {
        layers: 2,
        ..Shape::SMALL
    };
    let model = random_model(shape, 1);
    for (sequence, overlap) in [(8, true), (24, true), (24, false)] {
        let options = CompileOptions {
            overlap,
            ..CompileOptions::default()
        };
        let program = compile(&model, tiny(), sequence, &options).unwrap();
        let sizes = [program.sizes.constants, program.sizes.input];
        let [constants, input] = sizes.map(|size| vec![0; size.0.max(16) as usize]);
        let (_, differs) = play(&mut device, &program, [&constants, &input]);
        assert_eq!(differs, None, "sequence {sequence}");
    }
}
