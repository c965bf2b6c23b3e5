//! Compiled programs with something broken: what the verifier passes runs on the emulator to its
//! end, whatever order it serves its queues in and whatever its memories held.
//!
//! A failing mutant is named by its seed: `FQBERT_MUTANT_SEED=N FQBERT_MUTANTS=1 cargo test -p
//! fqbert-compiler --test mutants -- some_mutants` runs it alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fqbert_compiler::{CompileOptions, compile, pack_constants};
use fqbert_conformance::mutants::{Base, Tally, try_mutant};
use fqbert_contract::Geometry;
use fqbert_contract::device::Device;
use fqbert_contract::timing::Policy;
use fqbert_contract::verify::Obligation;
use fqbert_emulator::{EmulatedDevice, EmulatorOptions};
use fqbert_model::testing::{Shape, random_input, random_model};

/// Geometry, tokens, and tokens of a block of attention.
const PROGRAMS: [(&str, u32, u32); 5] = [
    ("tiny", 8, 8),
    ("tiny", 16, 8),
    ("paper", 16, 16),
    ("zcu102", 32, 16),
    ("zcu111", 32, 32),
];

fn base((geometry, tokens, block): (&str, u32, u32)) -> Base {
    let g = Geometry::by_name(geometry).unwrap();
    let shape = Shape {
        layers: 2,
        wide: 0b010_100,
        ..Shape::SMALL
    };
    let model = random_model(shape, 3);
    let options = CompileOptions {
        block: Some(block),
        ..CompileOptions::default()
    };
    let program = compile(&model, g, tokens, &options).unwrap();
    let constants = pack_constants(&model, g).unwrap().bytes;
    let input = random_input(shape.hidden, tokens as usize, block as usize, 3);
    Base::new(program, constants, &input.x8, &input.x16, &input.ranges).unwrap()
}

fn emulator(base: &Base, schedule: Policy) -> EmulatedDevice {
    EmulatedDevice::new(EmulatorOptions {
        threads: Some(1),
        memory_bytes: 1 << 21,
        schedule,
        ..EmulatorOptions::new(&base.program.requirements.geometry)
    })
    .unwrap()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|n| n.parse().ok())
}

/// Orders of the devices that are kept.
const ORDERS: u64 = 3;

fn campaign(first: u64, count: u64) -> Tally {
    let first = number("FQBERT_MUTANT_SEED").unwrap_or(first);
    let count = number("FQBERT_MUTANTS").unwrap_or(count);
    let bases = PROGRAMS.map(base);
    let mut kept: Vec<Vec<EmulatedDevice>> = bases
        .iter()
        .map(|b| {
            (0..ORDERS)
                .map(|s| emulator(b, Policy::Seeded(s)))
                .collect()
        })
        .collect();
    let mut tally = Tally::default();
    for seed in first..first + count {
        let which = (seed % bases.len() as u64) as usize;
        let (base, order) = (&bases[which], (seed / 5 % ORDERS) as usize);
        let device = &mut kept[which][order];
        let fresh = || Box::new(emulator(base, Policy::Earliest)) as Box<dyn Device>;
        let tried = catch_unwind(AssertUnwindSafe(|| try_mutant(base, seed, device, fresh)));
        let fate = tried.unwrap_or_else(|_| Err(format!("seed {seed}: a panic")));
        tally.add(fate.unwrap_or_else(|broken| panic!("{broken}")));
    }
    println!("{tally}");
    tally
}

#[test]
fn some_mutants() {
    let tally = campaign(0, 3000);
    if number("FQBERT_MUTANTS").is_none() {
        // A campaign that tries nothing finds nothing.
        assert!(tally.ran > 200, "{tally}");
        for obligation in Obligation::ALL {
            let count = tally.refused.get(&obligation).copied().unwrap_or(0);
            assert!(count > 0, "no mutant breaks {}: {tally}", obligation.name());
        }
    }
}

/// Or `FQBERT_MUTANTS`: a million in `cargo xtask full-check`.
#[test]
#[ignore = "minutes for 100,000 mutants"]
fn many_mutants() {
    campaign(1_000_000, 100_000);
}
