//! Each fault does what it says, on the emulated accelerator.

use std::time::{Duration, Instant};

use fqbert_contract::device::{Allocation, Device, DeviceError};
use fqbert_contract::isa::{End, FaultCause, Header, Instruction, Operation};
use fqbert_contract::registers::{self as regs, status};
use fqbert_contract::{Bytes, Geometry};
use fqbert_emulator::{EmulatedDevice, EmulatorOptions};
use fqbert_faults::{Class, Fault, FaultyDevice, Plan};

fn device(seed: u64, plan: &str) -> FaultyDevice {
    let mut options = EmulatorOptions::new(Geometry::by_name("tiny").unwrap());
    options.threads = Some(1);
    let inner = EmulatedDevice::new(options).unwrap();
    FaultyDevice::new(Box::new(inner), seed, plan.parse().unwrap())
}

/// Copies a program that only ends, and sets the registers up.
fn load(device: &mut dyn Device) -> Result<Allocation, DeviceError> {
    let end = Instruction {
        header: Header::default(),
        operation: Operation::End(End::default()),
    };
    let code = device.allocate(Bytes(4096))?;
    device.write(code.id, Bytes(0), &end.to_bytes().unwrap())?;
    device.sync_to_device(code.id, Bytes(0), code.size)?;
    configure(device, code)?;
    Ok(code)
}

fn configure(device: &mut dyn Device, code: Allocation) -> Result<(), DeviceError> {
    for (register, value) in [
        (regs::WINDOW_LIMIT_HIGH, 1),
        (regs::IRQ_ENABLE, regs::irq::DONE | regs::irq::FAULT),
        (regs::PROGRAM_ADDRESS_LOW, code.address.low()),
        (regs::PROGRAM_LENGTH, 1),
    ] {
        device.write32(register, value)?;
    }
    Ok(())
}

/// Rings, and waits a moment.
fn ring(device: &mut dyn Device) -> Result<u32, DeviceError> {
    device.write32(regs::IRQ_STATUS, regs::irq::DONE | regs::irq::FAULT)?;
    device.write32(regs::DOORBELL, 1)?;
    wait(device)
}

fn wait(device: &mut dyn Device) -> Result<u32, DeviceError> {
    device.wait_interrupt(Instant::now() + Duration::from_millis(200))
}

fn status_of(device: &mut dyn Device) -> u32 {
    device.read32(regs::STATUS).unwrap()
}

fn timed_out(result: Result<u32, DeviceError>) -> bool {
    matches!(result, Err(DeviceError::Timeout { .. }))
}

#[test]
fn without_a_plan_that_hits_it_is_the_device_inside() {
    let mut device = device(1, "gone@1000000");
    load(&mut device).unwrap();
    for run in 1..=3 {
        assert_eq!(ring(&mut device).unwrap(), run);
        assert_eq!(status_of(&mut device), status::IDLE | status::DONE);
        assert_eq!(device.read32(regs::RUNS_COMPLETED).unwrap(), run);
    }
    assert!(device.switch().events().is_empty());
}

#[test]
fn interrupts_go_astray() {
    let mut lost = device(1, "lost-interrupt@1");
    load(&mut lost).unwrap();
    assert!(timed_out(ring(&mut lost)));
    assert_eq!(status_of(&mut lost), status::IDLE | status::DONE);
    assert!(ring(&mut lost).is_ok());

    let mut twice = device(1, "duplicate-interrupt@1");
    load(&mut twice).unwrap();
    assert_eq!(ring(&mut twice).unwrap(), 1);
    assert_eq!(wait(&mut twice).unwrap(), 2);
    assert!(timed_out(wait(&mut twice)));

    let mut stray = device(1, "spurious-interrupt@1");
    load(&mut stray).unwrap();
    let odd = |r: &Result<u32, DeviceError>| {
        matches!(r, Ok(1) | Err(DeviceError::InterruptCount { after: 2, .. }))
    };
    assert!(odd(&wait(&mut stray)));
    assert!(timed_out(wait(&mut stray)));

    // Which is late by how much depends on the seed alone.
    let mut late = device(3, "late-interrupt@1");
    load(&mut late).unwrap();
    let began = Instant::now();
    let first = ring(&mut late);
    let later = late.wait_interrupt(began + Duration::from_secs(3));
    assert!(timed_out(first) && later.is_ok());
}

#[test]
fn the_engine_fails_and_a_reset_helps() {
    for (plan, found) in [
        ("lost-doorbell@1", status::IDLE),
        ("stuck-engine@1", status::BUSY),
        ("axi-error@1", status::IDLE | status::FAULT),
    ] {
        let mut device = device(1, plan);
        let code = load(&mut device).unwrap();
        assert_eq!(
            timed_out(ring(&mut device)),
            plan != "axi-error@1",
            "{plan}"
        );
        assert_eq!(status_of(&mut device), found, "{plan}");
        assert_eq!(device.read32(regs::RUNS_COMPLETED).unwrap(), 0, "{plan}");
        let cause = device.read32(regs::FAULT_CAUSE).unwrap() as u8;
        let axi = [FaultCause::AxiSlverr, FaultCause::AxiDecerr];
        let is_axi = FaultCause::from_code(cause).is_some_and(|c| axi.contains(&c));
        assert_eq!(is_axi, plan == "axi-error@1", "{plan}");
        device.reset().unwrap();
        assert_eq!(status_of(&mut device), status::IDLE, "{plan}");
        configure(&mut device, code).unwrap();
        assert!(ring(&mut device).is_ok(), "{plan}");
    }
    let mut deaf = device(1, "stuck-engine@1+lost-reset@1");
    load(&mut deaf).unwrap();
    assert!(timed_out(ring(&mut deaf)));
    deaf.reset().unwrap();
    assert_eq!(status_of(&mut deaf), status::BUSY);
    deaf.reset().unwrap();
    assert_eq!(status_of(&mut deaf), status::IDLE);
}

#[test]
fn calls_fail_before_and_after_their_work() {
    for (plan, kept) in [("failed-before@1", 0), ("failed-after@1", 7)] {
        let mut device = device(1, plan);
        let error = device.write32(regs::PROGRAM_LENGTH, 7).unwrap_err();
        assert!(error.to_string().contains("failed"), "{error}");
        assert_eq!(device.read32(regs::PROGRAM_LENGTH).unwrap(), kept);
    }
    let mut full = device(1, "out-of-memory@2");
    let first = full.allocate(Bytes(1)).unwrap();
    let refused = full.allocate(Bytes(1));
    assert!(matches!(refused, Err(DeviceError::OutOfMemory { .. })));
    full.free(first.id).unwrap();
    assert_eq!(full.memory().free, full.memory().total);
}

#[test]
fn a_device_that_vanished_comes_back_as_after_power_on() {
    let mut device = device(5, "vanished@9");
    let code = load(&mut device).unwrap();
    let mut failures = 0;
    while device.read32(regs::STATUS).is_err() {
        failures += 1;
        assert!(failures <= 100);
    }
    // The seventh call of `load` was the last before.
    failures += u32::from(failures == 0);
    while device.read32(regs::PROGRAM_LENGTH).map_or(true, |n| n != 0) {
        failures += 1;
        assert!(failures <= 101, "it never went away");
    }
    configure(&mut device, code).unwrap();
    assert!(ring(&mut device).is_ok(), "its memory is as it was");

    let mut gone = FaultyDevice::new(Box::new(device), 1, Plan::none().at(Fault::Gone, 1));
    for _ in 0..200 {
        assert!(gone.read32(regs::STATUS).is_err());
    }
    gone.switch().arm(false);
    assert!(gone.read32(regs::STATUS).is_ok());
}

#[test]
fn registers_lie_and_data_flip() {
    let mut lying = device(1, "flipped-register@1+wrong-status@2");
    let id = lying.read32(regs::ID).unwrap();
    assert_eq!((id ^ lying.read32(regs::ID).unwrap()).count_ones(), 1);
    let right = status_of(&mut lying);
    let wrong = (0..2).map(|_| status_of(&mut lying)).next().unwrap();
    assert_eq!(status_of(&mut lying), right);
    assert_eq!(wrong & !0x3f, 0);

    let mut flipped = device(1, "flipped-code@1");
    let code = load(&mut flipped).unwrap();
    let mut before = [0; 4096];
    flipped.read(code.id, Bytes(0), &mut before).unwrap();
    let _ = ring(&mut flipped);
    let mut after = [0; 4096];
    flipped.sync_to_cpu(code.id, Bytes(0), code.size).unwrap();
    flipped.read(code.id, Bytes(0), &mut after).unwrap();
    let bits: u32 = before
        .iter()
        .zip(&after)
        .map(|(a, b)| (a ^ b).count_ones())
        .sum();
    assert_eq!(bits, 1);

    let mut skipped = device(1, "skipped-sync-to-device@1+skipped-sync-to-cpu@1");
    let buffer = skipped.allocate(Bytes(64)).unwrap();
    skipped.write(buffer.id, Bytes(0), &[9; 64]).unwrap();
    skipped
        .sync_to_device(buffer.id, Bytes(0), Bytes(64))
        .unwrap();
    let read = |device: &mut FaultyDevice| {
        device.sync_to_cpu(buffer.id, Bytes(0), Bytes(64)).unwrap();
        let mut bytes = [0; 64];
        device.read(buffer.id, Bytes(0), &mut bytes).unwrap();
        bytes == [9; 64]
    };
    assert!(read(&mut skipped), "what the CPU wrote");
    assert!(!read(&mut skipped), "what the device has");
}

#[test]
fn a_seed_is_a_history_and_an_event_can_be_repeated_alone() {
    let history = |seed: u64, plan: &str| {
        let mut device = device(seed, plan);
        device.switch().arm(false);
        load(&mut device).unwrap();
        device.switch().arm(true);
        for _ in 0..12 {
            let _ = ring(&mut device);
            let _ = status_of(&mut device);
        }
        device.switch().events()
    };
    let plan = "lost-interrupt=0.2+lost-doorbell=0.2+wrong-status=0.5";
    let events = history(7, plan);
    assert!(events.len() > 3 && events == history(7, plan));
    assert!(events != history(8, plan));
    assert!(events.iter().all(|e| e.class != Class::Silent));
    let lost = events
        .iter()
        .find(|e| e.fault == Fault::LostDoorbell)
        .unwrap();
    assert_eq!(history(7, &lost.to_string()), [*lost]);
}
