//! The emulator against the suite of every backend, and against itself: kernels, threads and order
//! of queues change no bit.

use std::time::{Duration, Instant};

use fqbert_conformance::{Options, RandomProgram, random_program, run, run_bus};
use fqbert_contract::device::{BufferId, Device, DeviceError, Wrapper};
use fqbert_contract::program::{PerRegion, Placement};
use fqbert_contract::registers as regs;
use fqbert_contract::timing::Policy;
use fqbert_contract::{Bytes, Geometry};
use fqbert_emulator::{EmulatedDevice, EmulatorOptions, Kernel};

fn options(seed: u64) -> Options {
    Options {
        seed,
        models_staleness: true,
        models_timing: true,
        ..Options::default()
    }
}

/// An emulator of a geometry with so many threads.
fn emulator(geometry: &str, threads: usize) -> EmulatorOptions {
    EmulatorOptions {
        threads: Some(threads),
        ..EmulatorOptions::new(Geometry::by_name(geometry).unwrap())
    }
}

fn open(options: EmulatorOptions) -> EmulatedDevice {
    EmulatedDevice::new(options).unwrap()
}

fn conforms(emulator: EmulatorOptions) {
    let what = format!("{emulator:?}");
    let mut device = open(emulator);
    let report = run(&mut device, &options(7));
    assert!(report.passed(), "{what}\n{report}");
    assert!(
        report.cases.len() > 30,
        "{what}: {} cases",
        report.cases.len()
    );
    // The suite gave everything back.
    assert_eq!(device.memory().free, device.memory().total);
}

#[test]
fn tiny_conforms() {
    conforms(emulator("tiny", 2));
}

#[test]
fn paper_conforms() {
    conforms(emulator("paper", 2));
}

#[test]
fn zcu102_conforms() {
    conforms(emulator("zcu102", 2));
}

#[test]
fn zcu111_conforms() {
    conforms(emulator("zcu111", 2));
}

#[test]
fn every_kernel_conforms() {
    for kernel in Kernel::supported() {
        conforms(EmulatorOptions {
            kernel: Some(kernel),
            ..emulator("tiny", 1)
        });
        conforms(EmulatorOptions {
            kernel: Some(kernel),
            schedule: Policy::Seeded(5),
            ..emulator("zcu102", 2)
        });
    }
}

/// Faults of the bus and resets in the middle of programs, as the RTL takes them.
#[test]
fn every_geometry_survives_its_bus() {
    let shuffled = EmulatorOptions {
        schedule: Policy::Seeded(3),
        ..emulator("zcu102", 2)
    };
    for emulator in [emulator("tiny", 1), emulator("paper", 2), shuffled] {
        let what = format!("{emulator:?}");
        let report = run_bus(&mut open(emulator), &options(3));
        assert!(report.passed(), "{what}\n{report}");
        assert!(report.cases.len() > 5, "{what}\n{report}");
    }
}

/// A broken accelerator must not pass: the suite is shown one that flips a bit of what the CPU
/// reads.
#[test]
fn the_suite_finds_a_flipped_bit() {
    struct Flipped(EmulatedDevice);
    impl Wrapper for Flipped {
        fn inner(&self) -> &dyn Device {
            &self.0
        }

        fn inner_mut(&mut self) -> &mut dyn Device {
            &mut self.0
        }
        fn read(&mut self, b: BufferId, offset: Bytes, data: &mut [u8]) -> Result<(), DeviceError> {
            self.0.read(b, offset, data)?;
            if let Some(last) = data.last_mut() {
                *last ^= 0x10;
            }
            Ok(())
        }
    }
    let mut device = Flipped(open(emulator("tiny", 1)));
    let report = run(&mut device, &options(7));
    let failed: Vec<&str> = report.failures().map(|c| c.name).collect();
    for name in [
        "memory/contents",
        "transfers/round_trip",
        "compute/layer_norm",
        "random/programs",
    ] {
        assert!(
            failed.contains(&name),
            "{name} passed on a broken accelerator\n{report}"
        );
    }
    assert!(!failed.contains(&"registers/identity"), "{report}");
}

/// Runs a random program and gives its output buffer.
fn output(emulator: EmulatorOptions, program: &RandomProgram) -> Vec<u8> {
    let mut device = open(emulator);
    let mut upload = |data: &[u8]| {
        let a = device.allocate(Bytes(data.len() as u64)).unwrap();
        device.write(a.id, Bytes(0), data).unwrap();
        device.sync_to_device(a.id, Bytes(0), a.size).unwrap();
        Placement {
            address: a.address,
            size: a.size,
        }
    };
    let size = program.program().sizes.output.0 as usize;
    let placement = PerRegion {
        constants: upload(program.constants()),
        input: upload(program.input()),
        output: upload(&vec![0; size]),
    };
    let code = program.program().bind(&placement).unwrap();
    let at = upload(&code).address;
    let limit = at.0 + code.len() as u64;
    for (register, value) in [
        (regs::WINDOW_BASE_LOW, placement.constants.address.low()),
        (regs::WINDOW_LIMIT_LOW, limit as u32),
        (regs::PROGRAM_ADDRESS_LOW, at.low()),
        (regs::PROGRAM_LENGTH, (code.len() / 32) as u32),
        (regs::IRQ_ENABLE, 3),
        (regs::DOORBELL, 1),
    ] {
        device.write32(register, value).unwrap();
    }
    device
        .wait_interrupt(Instant::now() + Duration::from_secs(60))
        .unwrap();
    assert_eq!(device.read32(regs::FAULT_CAUSE).unwrap(), 0);
    // Buffers are numbered from 1 in order of allocation; the output is the third.
    let id = BufferId(3);
    let mut bytes = vec![0; size];
    device
        .sync_to_cpu(id, Bytes(0), Bytes(size as u64))
        .unwrap();
    device.read(id, Bytes(0), &mut bytes).unwrap();
    bytes
}

#[test]
fn threads_kernels_and_order_change_no_bit() {
    use Kernel::{Portable, Scalar};
    let seeded = Policy::Seeded;
    // Threads, kernel and order of queues; the kernel of this CPU where none is named.
    let variants = [
        (2, Some(Portable), Policy::Earliest),
        (3, Some(Portable), Policy::Earliest),
        (3, None, Policy::Earliest),
        (1, Some(Scalar), Policy::Earliest),
        (2, None, seeded(1)),
        (2, None, seeded(2)),
        (1, None, seeded(u64::MAX)),
    ];
    for geometry in ["tiny", "paper", "zcu102"] {
        let with = |(threads, kernel, schedule)| EmulatorOptions {
            kernel,
            schedule,
            ..emulator(geometry, threads)
        };
        let g = Geometry::by_name(geometry).unwrap();
        for seed in 100..104 {
            let program = random_program(g, seed).unwrap();
            let base = output(with((1, Some(Portable), Policy::Earliest)), &program);
            for (offset, bytes) in program.expected() {
                assert_eq!(
                    &base[offset..][..bytes.len()],
                    bytes,
                    "{geometry} seed {seed}"
                );
            }
            for variant in &variants {
                let other = output(with(*variant), &program);
                assert!(
                    other == base,
                    "{geometry} program {seed}: {variant:?} differs"
                );
            }
        }
    }
}
