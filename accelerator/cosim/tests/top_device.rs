//! The whole accelerator of the tiny geometry: the conformance suite, and random programs that must
//! leave the emulator's memory and registers, whatever the memory does.
//!
//! A failing program is named by its seed: `FQBERT_RANDOM_SEED=N FQBERT_RANDOM_PROGRAMS=1 cargo
//! test -p fqbert-cosim --test top_device -- random_programs` runs it alone.

mod support;

use std::path::Path;
use std::time::Duration;

use fqbert_conformance::{Options, RandomProgram, random_program};
use fqbert_contract::Bytes;
use fqbert_contract::device::{Allocation, Device};
use fqbert_contract::program::{PerRegion, Placement};
use fqbert_contract::timing::UNITS;
use fqbert_cosim::{CosimDevice, CosimError, CosimOptions, MemoryTiming};
use support::{
    DONE, Ended, download, emulator, everything, finish, options, or_skip, start, tiny, upload,
};

/// The memory that a device has where nothing else is said: the timing model's, since the tiny
/// accelerator does not use up its bandwidth.
fn usual() -> MemoryTiming {
    CosimOptions::new(tiny()).memory
}

/// The timing model's memory, one that is slow both ways and narrow, and one that stalls at random.
fn memories() -> [MemoryTiming; 3] {
    let slow = MemoryTiming {
        read_latency: 200,
        write_latency: 70,
        bandwidth: Some(70),
        seed: None,
    };
    let stalling = MemoryTiming {
        seed: Some(1),
        ..usual()
    };
    [usual(), slow, stalling]
}

fn open(memory: MemoryTiming) -> Option<CosimDevice> {
    or_skip(CosimDevice::new(options(memory)))
}

fn suite(memory: &MemoryTiming) -> Options {
    Options {
        models_staleness: true,
        // Only the timing model's memory takes the timing model's cycles.
        models_timing: *memory == usual(),
        deadline: Duration::from_secs(300),
        hang: Duration::from_millis(50),
        ..Options::default()
    }
}

#[test]
fn conforms() {
    for memory in memories() {
        let Some(mut device) = open(memory.clone()) else {
            return;
        };
        let report = fqbert_conformance::run(&mut device, &suite(&memory));
        assert!(report.passed(), "{memory:?}: {report}");
        assert!(report.cases.len() > 30, "{memory:?}: {report}");
        assert_eq!(device.memory().free, device.memory().total);
        println!("{memory:?}:\n{report}");
    }
}

#[test]
fn survives_its_bus() {
    for memory in memories() {
        let Some(mut device) = open(memory.clone()) else {
            return;
        };
        let report = fqbert_conformance::run_bus(&mut device, &suite(&memory));
        assert!(report.passed(), "{memory:?}: {report}");
        println!("{memory:?}:\n{report}");
    }
}

/// Runs a random program; everything it could have written, and its registers.
fn play(device: &mut dyn Device, random: &RandomProgram) -> (Vec<Vec<u8>>, Ended) {
    let program = random.program();
    let guard = upload(device, &[0x33; 4096]);
    let constants = upload(device, random.constants());
    let input = upload(device, random.input());
    let output = upload(device, &vec![0x5a; program.sizes.output.0.max(16) as usize]);
    let place = |b: &Allocation| Placement {
        address: b.address,
        size: Bytes(b.size.0),
    };
    let placement = PerRegion {
        constants: place(&constants),
        input: place(&input),
        output: place(&output),
    };
    let code = upload(device, &program.bind(&placement).unwrap());
    let behind = upload(device, &[0x44; 4096]);
    let window = everything(device);
    start(
        device,
        code.address.0,
        program.instructions.len() as u32,
        window,
    );
    let ended = finish(device).unwrap();
    let all = [guard, constants, input, output, code, behind];
    let bytes = all.iter().map(|b| download(device, b)).collect();
    (bytes, ended)
}

/// A seed is a program, a power-on state of all registers and memories, and a behaviour of the
/// memory.
fn equals_the_emulator(seed: u64) -> Option<()> {
    let mut memory = usual();
    let latencies;
    (latencies, memory.bandwidth) = match seed % 4 {
        0 => (
            (memory.read_latency, memory.write_latency),
            memory.bandwidth,
        ),
        1 => ((2, 4), memory.bandwidth),
        2 => ((250, memory.write_latency), Some(40 + seed % 60)),
        _ => ((90, 9), Some(130)),
    };
    (memory.read_latency, memory.write_latency) = latencies;
    if !seed.is_multiple_of(8) {
        memory.seed = Some(seed);
    }
    let mut rtl = open(memory)?;
    let mut emulator = emulator();
    let random = random_program(tiny(), seed).unwrap();
    let (found, ended) = play(&mut rtl, &random);
    let (expected, model) = play(&mut emulator, &random);
    let registers = |e: &Ended| (e.status, e.cause, e.index, e.address, e.counters.retired);
    assert_eq!(
        registers(&ended),
        registers(&model),
        "seed {seed}: registers"
    );
    assert_eq!(ended.status, DONE, "seed {seed}: {ended:?}");
    let names = [
        "guard",
        "constants",
        "input",
        "output",
        "code",
        "guard behind",
    ];
    for ((name, found), expected) in names.iter().zip(&found).zip(&expected) {
        let differs = found.iter().zip(expected).position(|(f, e)| f != e);
        assert_eq!(differs, None, "seed {seed}: first different byte of {name}");
    }
    // The emulator could be wrong too: what was composed has its own results.
    for (offset, bytes) in random.expected() {
        assert!(
            found[3][offset..][..bytes.len()] == *bytes,
            "seed {seed}: output at {offset} is not what was composed"
        );
    }
    assert_eq!(ended.counters.retired.len(), UNITS);
    Some(())
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|n| n.parse().ok())
}

fn run_random(first: u64, programs: u64) {
    let programs = number("FQBERT_RANDOM_PROGRAMS").unwrap_or(programs);
    let first = number("FQBERT_RANDOM_SEED").unwrap_or(first);
    for seed in first..first + programs {
        if equals_the_emulator(seed).is_none() {
            return;
        }
    }
    println!("{programs} programs from seed {first}");
}

#[test]
fn random_programs() {
    run_random(0, 200);
}

/// Ten times as many, or `FQBERT_RANDOM_PROGRAMS`: a hundred thousand in `cargo xtask full-check`.
#[test]
#[ignore = "a minute of simulation for 2,000 programs"]
fn many_random() {
    run_random(1_000_000, 2000);
}

/// A build for waveforms writes them; any other says how to get one that does.
#[test]
fn waveforms_on_request() {
    let file = std::env::temp_dir().join(format!("fqbert-cosim-{}.wave", std::process::id()));
    let traced = |file: &Path| CosimOptions {
        trace: Some(file.to_owned()),
        ..options(usual())
    };
    let opened = CosimDevice::new(traced(&file));
    let Some(format) = fqbert_cosim::TRACE else {
        match opened {
            Err(CosimError::NoTrace) => return,
            Err(CosimError::Unavailable(error)) => return eprintln!("SKIPPED: {error}"),
            other => panic!("{other:?}"),
        }
    };
    let Some(mut device) = or_skip(opened) else {
        return;
    };
    device.run(100);
    drop(device);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    // An FST begins with a header block of 329 bytes (its length counts itself), a VCD with a
    // section.
    let begins = match format {
        "fst" => bytes.starts_with(&[0, 0, 0, 0, 0, 0, 0, 1, 0x49]),
        _ => bytes.starts_with(b"$"),
    };
    assert!(begins && bytes.len() > 10_000, "{} bytes", bytes.len());
    // What is no trace is not lost.
    std::fs::write(&file, "a model").unwrap();
    let kept = CosimDevice::new(traced(&file));
    assert!(
        matches!(kept, Err(CosimError::TraceFile { .. })),
        "{kept:?}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"a model");
    std::fs::remove_file(&file).unwrap();
    let nowhere = CosimDevice::new(traced(Path::new("/nonexistent/run.wave")));
    assert!(
        matches!(nowhere, Err(CosimError::TraceFile { .. })),
        "{nowhere:?}"
    );
}
