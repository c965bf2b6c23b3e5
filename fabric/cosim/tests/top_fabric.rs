//! The whole fabric: the conformance suite, random programs in the cycles of the timing model, and the emulator's bits under back-pressure.
//! The large model is built on request: `FQBERT_COSIM_TOPS=top_tiny cargo test -p fqbert-cosim --test top_fabric`.

mod support;

use std::time::Duration;

use fqbert_conformance::{Options, RandomProgram, random_program};
use fqbert_contract::Bytes;
use fqbert_contract::program::{PerRegion, Placement};
use fqbert_contract::seam::{Allocation, Fabric};
use fqbert_contract::timing::{Policy, simulate};
use fqbert_cosim::{CosimFabric, OpenError};
use support::{DONE, Ended, download, everything, finish, start, tiny, upload};

fn open(options: &str) -> Option<CosimFabric> {
    match fqbert_cosim::open(options) {
        Ok(fabric) => Some(fabric),
        Err(OpenError::Unavailable(error)) => {
            eprintln!("SKIPPED: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Programs of the random part of the suite: `FQBERT_RANDOM_PROGRAMS`, or a few.
fn programs() -> u32 {
    let wanted = std::env::var("FQBERT_RANDOM_PROGRAMS").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(8)
}

#[test]
fn conforms() {
    for options in ["tiny", "tiny?seed=1", "tiny?latency=200&write_latency=7&bandwidth=70"] {
        let Some(mut fabric) = open(options) else { return };
        let suite = Options {
            models_staleness: true,
            programs: programs(),
            deadline: Duration::from_secs(300),
            hang: Duration::from_millis(100),
            ..Options::default()
        };
        let report = fqbert_conformance::run(&mut fabric, &suite);
        // Only the timing model's memory takes the timing model's cycles.
        let wrong: Vec<_> =
            report.failures().filter(|c| options == "tiny" || c.name != "runs/counters").collect();
        assert!(wrong.is_empty(), "{options}: {report}");
        println!("{options}:\n{report}");
    }
}

/// Runs a random program; what it left in the output region, and its registers.
fn play(fabric: &mut dyn Fabric, random: &RandomProgram) -> (Vec<u8>, Ended) {
    let program = random.program();
    let constants = upload(fabric, random.constants());
    let input = upload(fabric, random.input());
    let output = upload(fabric, &vec![0x5a; program.sizes.output.0.max(16) as usize]);
    let place = |b: &Allocation| Placement { address: b.address, size: Bytes(b.size.0) };
    let placement =
        PerRegion { constants: place(&constants), input: place(&input), output: place(&output) };
    let code = upload(fabric, &program.bind(&placement).unwrap());
    let window = everything(fabric);
    start(fabric, code.address.0, program.instructions.len() as u32, window);
    let ended = finish(fabric).unwrap();
    let bytes = download(fabric, &output);
    for buffer in [constants, input, output, code] {
        fabric.free(buffer.id).unwrap();
    }
    (bytes, ended)
}

#[test]
fn random_programs_take_the_cycles_of_the_timing_model() {
    let Some(mut fabric) = open("tiny") else { return };
    let mut differ = Vec::new();
    for seed in 0..u64::from(programs()) {
        let random = random_program(tiny(), seed).unwrap();
        let schedule = simulate(tiny(), &random.program().instructions, Policy::Earliest).unwrap();
        let (bytes, ended) = play(&mut fabric, &random);
        assert_eq!(ended.status, DONE, "seed {seed}: {ended:?}");
        for (offset, expected) in random.expected() {
            assert!(bytes[offset..][..expected.len()] == *expected, "seed {seed}: bytes at {offset}");
        }
        if (ended.cycles, &ended.counters) != (schedule.cycles, &schedule.counters) {
            differ.push((seed, ended.cycles, schedule.cycles));
        }
    }
    // Writes of two engines to one memory in the same cycle hold one of them up, which the model does not know.
    for (seed, cycles, model) in &differ {
        println!("seed {seed}: {cycles} cycles, model {model}");
        assert!(cycles.abs_diff(*model) * 100 <= *model, "seed {seed}: {cycles} cycles, model {model}");
    }
    println!("{} of {} programs to the cycle", programs() as usize - differ.len(), programs());
}
