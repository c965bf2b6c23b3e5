//! The board without QEMU: stores, the register page, the worker and the line.

use fqbert_board_sim::testdev::{self, TestDevice};
use fqbert_board_sim::{Board, DdrError, GuestDdr, IrqLine, RegisterModel};
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const BASE: u64 = 0x1000_0000;
const REGISTERS: u64 = BASE + 0x8000;
const SIZE: u64 = 4 << 20;
/// More than the model's block, as a device tree that maps 64 KiB for 4 KiB of registers.
const MAPPED: u32 = 0x2000;

struct Wire(Sender<bool>);

impl IrqLine for Wire {
    fn set(&mut self, level: bool) -> io::Result<()> {
        self.0.send(level).map_err(io::Error::other)
    }
}

/// A board and the guest's view of its memory.
struct Bench {
    board: Board,
    guest: GuestDdr,
    line: Receiver<bool>,
    _file: tempfile::NamedTempFile,
}

impl Bench {
    fn new(model: impl RegisterModel + 'static) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SIZE).unwrap();
        let open = |path: &Path| GuestDdr::open(path, BASE).unwrap();
        let (sender, line) = channel();
        let board = Board::new(
            Box::new(model),
            open(file.path()),
            Box::new(Wire(sender)),
            REGISTERS,
            MAPPED,
        )
        .unwrap();
        Self {
            board,
            guest: open(file.path()),
            line,
            _file: file,
        }
    }

    /// A store as QEMU does it: memory first, then the callback.
    fn store(&mut self, register: u32, value: u32) {
        let address = REGISTERS + u64::from(register);
        self.guest.write32(address, value).unwrap();
        self.board.store(address, 2, value);
    }

    fn load(&self, register: u32) -> u32 {
        self.guest.read32(REGISTERS + u64::from(register)).unwrap()
    }

    fn level(&self) -> bool {
        self.line
            .recv_timeout(Duration::from_secs(10))
            .expect("the line moves")
    }
}

#[test]
fn read_only_registers_survive_a_store() {
    let mut bench = Bench::new(TestDevice::default());
    assert_eq!(bench.load(testdev::ID), testdev::ID_VALUE);
    bench.store(testdev::ID, 7);
    bench.store(testdev::SCRATCH, 0x1234_5678);
    bench.store(0x800, 9);
    bench.store(0x1ffc, 9);
    assert_eq!(bench.load(testdev::ID), testdev::ID_VALUE);
    assert_eq!(bench.load(testdev::SCRATCH), 0x1234_5678);
    assert_eq!(bench.load(0x800), 0, "no register there");
    assert_eq!(bench.load(0x1ffc), 0, "behind the block");
}

#[test]
fn stores_of_another_width_are_undone() {
    let mut bench = Bench::new(TestDevice::default());
    bench.store(testdev::SCRATCH, 5);
    let address = REGISTERS + u64::from(testdev::SCRATCH);
    bench.guest.write(address, &[0xff; 8]).unwrap();
    bench.board.store(address, 3, 0xffff_ffff);
    assert_eq!(bench.load(testdev::SCRATCH), 5);
    assert_eq!(bench.load(testdev::STATUS), 0);
    bench.guest.write(address + 1, &[0xff]).unwrap();
    bench.board.store(address + 1, 0, 0xff);
    assert_eq!(bench.load(testdev::SCRATCH), 5);
}

#[test]
fn a_job_runs_and_its_interrupt_is_a_level() {
    let mut bench = Bench::new(TestDevice::default());
    let words: u32 = 100_000;
    for index in 0..words {
        bench
            .guest
            .write32(BASE + 0x1_0000 + u64::from(index) * 4, index ^ 0xa5a5_0000)
            .unwrap();
    }
    let expected = (0..words).fold(0u32, |sum, index| sum.wrapping_add(index ^ 0xa5a5_0000));
    bench.store(testdev::IRQ_ENABLE, 1);
    bench.store(testdev::ADDRESS, (BASE + 0x1_0000) as u32);
    bench.store(testdev::WORDS, words);
    bench.store(testdev::DOORBELL, 1);
    assert!(bench.level());
    assert_eq!(bench.load(testdev::RESULT), expected);
    assert_eq!(bench.load(testdev::STATUS), 0);
    assert_eq!(bench.load(testdev::IRQ_STATUS), 1);
    bench.store(testdev::IRQ_STATUS, 1);
    assert_eq!(
        bench.line.try_recv(),
        Ok(false),
        "low before the acknowledging store returns"
    );
    assert_eq!(bench.load(testdev::IRQ_STATUS), 0);
    assert_eq!(bench.load(testdev::JOBS), 1);
}

#[test]
fn a_job_outside_memory_is_a_fault_and_not_a_crash() {
    let mut bench = Bench::new(TestDevice::default());
    bench.store(testdev::IRQ_ENABLE, 1);
    bench.store(testdev::ADDRESS, (BASE + SIZE - 8) as u32);
    bench.store(testdev::WORDS, u32::MAX);
    bench.store(testdev::DOORBELL, 1);
    assert!(bench.level());
    assert_eq!(bench.load(testdev::STATUS), 2);
}

/// Works without end; counts steps.
#[derive(Default)]
struct Endless {
    running: bool,
    steps: u32,
}

impl RegisterModel for Endless {
    fn read32(&mut self, offset: u32) -> u32 {
        match offset {
            0 => u32::from(self.running),
            4 => self.steps,
            _ => 0,
        }
    }
    fn write32(&mut self, _offset: u32, value: u32, _ddr: &mut GuestDdr) {
        self.running = value != 0;
    }
    fn irq_level(&self) -> bool {
        false
    }
    fn busy(&self) -> bool {
        self.running
    }
    fn step(&mut self, _ddr: &mut GuestDdr) {
        self.steps = self.steps.wrapping_add(1);
    }
}

#[test]
fn a_store_gets_through_to_a_device_that_never_finishes() {
    let mut bench = Bench::new(Endless::default());
    for _ in 0..50 {
        let before = bench.load(4);
        bench.store(0, 1);
        let start = Instant::now();
        while bench.load(4) == before {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "the worker does not run"
            );
        }
        assert_eq!(bench.load(0), 1, "busy is seen while it works");
        bench.store(0, 0);
        assert_eq!(bench.load(0), 0);
        let stopped = bench.load(4);
        std::thread::yield_now();
        assert_eq!(bench.load(4), stopped);
    }
}

#[test]
fn a_register_page_outside_memory_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(8192).unwrap();
    let (sender, _line) = channel();
    let ddr = GuestDdr::open(file.path(), 0).unwrap();
    let board = Board::new(
        Box::new(TestDevice::default()),
        ddr,
        Box::new(Wire(sender)),
        8192 - 2048,
        4096,
    );
    assert!(matches!(board.err(), Some(DdrError::Range { .. })));
}
