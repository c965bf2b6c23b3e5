//! Compiled programs with something broken: what the verifier passes runs on the RTL to its end and
//! leaves the emulator's output.
//!
//! A failing mutant is named by its seed: `FQBERT_MUTANT_SEED=N FQBERT_MUTANTS=1 cargo test -p
//! fqbert-cosim --test mutants -- some_mutants` runs it alone.

mod support;

use fqbert_compiler::{CompileOptions, compile, pack_constants};
use fqbert_conformance::mutants::{Base, Tally, try_mutant};
use fqbert_contract::device::Device;
use fqbert_cosim::{CosimDevice, CosimOptions, MemoryTiming};
use fqbert_model::testing::{Shape, random_input, random_model};
use support::{emulator, options, or_skip, tiny};

fn base(wide: u64, tokens: u32, block: u32) -> Base {
    let shape = Shape {
        wide,
        ..Shape::SMALL
    };
    let model = random_model(shape, wide);
    let options = CompileOptions {
        block: Some(block),
        ..CompileOptions::default()
    };
    let program = compile(&model, tiny(), tokens, &options).unwrap();
    let constants = pack_constants(&model, tiny()).unwrap().bytes;
    let input = random_input(shape.hidden, tokens as usize, block as usize, wide);
    Base::new(program, constants, &input.x8, &input.x16, &input.ranges).unwrap()
}

/// A seed is a power-on state of all registers and memories too, and a behaviour of the memory.
fn rtl(seed: u64) -> Option<CosimDevice> {
    let usual = CosimOptions::new(tiny()).memory;
    let memory = MemoryTiming {
        read_latency: [usual.read_latency, 4, 150][(seed % 3) as usize],
        seed: Some(seed),
        ..usual
    };
    or_skip(CosimDevice::new(options(memory)))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|n| n.parse().ok())
}

fn campaign(first: u64, count: u64) {
    if rtl(0).is_none() {
        return;
    }
    let first = number("FQBERT_MUTANT_SEED").unwrap_or(first);
    let count = number("FQBERT_MUTANTS").unwrap_or(count);
    let bases = [base(0, 8, 8), base(0b101_010, 16, 8)];
    let mut kept = emulator();
    let mut tally = Tally::default();
    for seed in first..first + count {
        let fresh = || Box::new(rtl(seed).unwrap()) as Box<dyn Device>;
        let base = &bases[(seed % bases.len() as u64) as usize];
        let fate = try_mutant(base, seed, &mut kept, fresh);
        tally.add(fate.unwrap_or_else(|broken| panic!("{broken}")));
    }
    println!("{tally}");
    assert!(tally.ran > 0 || count < 100, "{tally}");
}

#[test]
fn some_mutants() {
    campaign(0, 150);
}

/// Or `FQBERT_MUTANTS`: as many in `cargo xtask full-check`.
#[test]
#[ignore = "minutes of simulation"]
fn many_mutants() {
    campaign(1_000_000, 10_000);
}
