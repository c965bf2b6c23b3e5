//! On a real kernel with an accelerator: the virtual board, or a board.
//!
//! `cargo xtask vm --test fqbert-uio -- --nocapture --test-threads=1`
//!
//! Elsewhere every test skips and says so. The device is `fqbert0`, or what `FQBERT_UIO` names.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fqbert_conformance::{Options, run};
use fqbert_contract::device::{Allocation, Device};
use fqbert_contract::isa::{End, Header, Instruction, Nop, Operation};
use fqbert_contract::registers::{self as regs, irq, irq_enable, status};
use fqbert_contract::{Bytes, isa};
use fqbert_uio::{BoardDevice, OpenError, UioOptions};
use nix::time::{ClockId, clock_gettime};
use uio_driver::Roots;

/// What a child process of a test is to do with the device.
const ROLE: &str = "FQBERT_UIO_TEST_ROLE";
const PATIENCE: Duration = Duration::from_secs(60);

fn name() -> String {
    std::env::var("FQBERT_UIO").unwrap_or_else(|_| "fqbert0".to_owned())
}

/// Whether there is an accelerator. The virtual board has another device for the self-test of its
/// hardware.
fn there() -> bool {
    let present = uio_driver::find(&Roots::system(), &name()).is_ok();
    let other = std::env::var("FQBERT_VIRTUAL_BOARD").is_ok_and(|model| model == "test");
    if !present || other {
        eprintln!(
            "SKIPPED: no accelerator uio:{} here; `cargo xtask vm --test fqbert-uio` has one",
            name()
        );
    }
    present && !other
}

/// The accelerator, when it is this test's turn.
fn open() -> BoardDevice {
    let options = UioOptions {
        wait: Duration::from_secs(300),
        ..UioOptions::new(&name())
    };
    fqbert_uio::open(&options).unwrap()
}

/// A program in a buffer of its own: a NOP that waits for a token nobody sends, or nothing but an
/// END.
fn program(device: &mut BoardDevice, hang: bool) -> Allocation {
    let stuck = Instruction {
        header: Header {
            wait: [9, 0, 0],
            ..Header::default()
        },
        operation: Operation::Nop(Nop {
            engine: isa::Engine::Matrix.code(),
            port: 0,
        }),
    };
    let end = Instruction {
        header: Header::default(),
        operation: Operation::End(End {}),
    };
    let mut code = Vec::new();
    for instruction in hang.then_some(stuck).iter().chain([&end]) {
        code.extend(instruction.to_bytes().unwrap());
    }
    let buffer = device.allocate(Bytes(code.len() as u64)).unwrap();
    device.write(buffer.id, Bytes(0), &code).unwrap();
    device
        .sync_to_device(buffer.id, Bytes(0), buffer.size)
        .unwrap();
    let limit = buffer.address.0 + code.len() as u64;
    for (register, value) in [
        (regs::WINDOW_BASE_LOW, buffer.address.low()),
        (regs::WINDOW_BASE_HIGH, buffer.address.high()),
        (regs::WINDOW_LIMIT_LOW, limit as u32),
        (regs::WINDOW_LIMIT_HIGH, (limit >> 32) as u32),
        (regs::PROGRAM_ADDRESS_LOW, buffer.address.low()),
        (regs::PROGRAM_ADDRESS_HIGH, buffer.address.high()),
        (
            regs::PROGRAM_LENGTH,
            (code.len() / isa::INSTRUCTION_BYTES) as u32,
        ),
        (regs::IRQ_ENABLE, irq_enable::DONE | irq_enable::FAULT),
    ] {
        device.write32(register, value).unwrap();
    }
    buffer
}

/// Rings, waits, acknowledges; the interrupt count and the time from doorbell to wake.
fn submit(device: &mut BoardDevice) -> (u32, Duration) {
    let start = Instant::now();
    device.write32(regs::DOORBELL, 1).unwrap();
    let count = device.wait_interrupt(start + PATIENCE).unwrap();
    let latency = start.elapsed();
    let ended = device.read32(regs::STATUS).unwrap();
    assert_eq!(ended, status::IDLE | status::DONE);
    device
        .write32(regs::IRQ_STATUS, irq::DONE | irq::FAULT)
        .unwrap();
    (count, latency)
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}

#[test]
fn it_conforms() {
    if !there() {
        return;
    }
    let mut device = open();
    let report = run(&mut device, &Options::default());
    eprintln!("{report}{:?}", device.statistics());
    assert!(report.passed(), "{report}");
    assert_eq!(device.memory().free, device.memory().total);
    let irq = device.statistics().interrupts;
    assert_eq!(
        (irq.missed, irq.spurious, irq.lost, irq.late),
        (0, 0, 0, 0),
        "{irq:?}"
    );
}

#[test]
fn every_submission_is_one_interrupt() {
    if !there() {
        return;
    }
    const RUNS: u32 = 1000;
    let mut device = open();
    program(&mut device, false);
    let began = cpu_time();
    let mut latencies: Vec<Duration> = (1..=RUNS)
        .map(|run| {
            let (count, latency) = submit(&mut device);
            assert_eq!(count, run);
            latency
        })
        .collect();
    let cpu = (cpu_time() - began) / RUNS;
    latencies.sort();
    let found = device.statistics();
    eprintln!(
        "{RUNS} programs of one END: {} interrupts; doorbell to wake median {:?}, 99 % {:?}, max {:?}; CPU {cpu:?} each",
        found.interrupts.taken,
        latencies[RUNS as usize / 2],
        latencies[RUNS as usize * 99 / 100],
        latencies[RUNS as usize - 1],
    );
    let irq = found.interrupts;
    assert_eq!((found.submissions, irq.taken), (RUNS.into(), RUNS.into()));
    assert_eq!(
        (irq.missed, irq.spurious, irq.lost, irq.late, irq.timeouts),
        (0, 0, 0, 0, 0)
    );
}

/// This test program once more, in that role.
struct Role {
    child: Child,
    /// Read to its end before the process is waited for: a test program that cannot write fails.
    output: Lines<BufReader<ChildStdout>>,
}

impl Role {
    /// Returns when it has the device.
    fn start(role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "role", "--ignored", "--nocapture"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = output
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("READY"));
        assert!(ready, "the child in role {role} did not get the device");
        Self { child, output }
    }

    fn end(mut self) -> ExitStatus {
        self.output.by_ref().for_each(drop);
        self.child.wait().unwrap()
    }
}

#[test]
#[ignore = "what a child process of the other tests does"]
fn role() {
    let role = std::env::var(ROLE).unwrap_or_default();
    if role.is_empty() {
        eprintln!("SKIPPED: a part of other tests");
        return;
    }
    let mut device = open();
    program(&mut device, role == "hang");
    if role == "hang" {
        device.write32(regs::DOORBELL, 1).unwrap();
        while device.read32(regs::STATUS).unwrap() & status::BUSY == 0 {}
    }
    println!("READY");
    // "hang" is killed long before; "hold" gives the device to who waits for it.
    std::thread::sleep(Duration::from_secs(if role == "hang" { 600 } else { 2 }));
}

#[test]
fn killed_in_mid_run_the_next_start_works() {
    if !there() {
        return;
    }
    drop(open());
    let mut role = Role::start("hang");
    let error = fqbert_uio::open(&UioOptions::new(&name())).unwrap_err();
    eprintln!("while it runs: {error}");
    let OpenError::Busy { holder, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(holder, Some(role.child.id()));
    // SIGKILL: no destructor runs, the program stays in the accelerator.
    role.child.kill().unwrap();
    assert!(!role.end().success());
    let mut device = open();
    program(&mut device, false);
    let (count, _) = submit(&mut device);
    assert_eq!(count, 1);
    assert_eq!(device.statistics().interrupts.spurious, 0);
}

#[test]
fn who_waits_gets_the_device_in_turn() {
    if !there() {
        return;
    }
    drop(open());
    let role = Role::start("hold");
    let began = Instant::now();
    let mut device = open();
    eprintln!("waited {:?} for its turn", began.elapsed());
    program(&mut device, false);
    submit(&mut device);
    assert!(role.end().success());
}
