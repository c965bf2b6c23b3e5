//! A board made of files, and the accelerator in it: a thread that watches the register file and
//! stands in for the hardware.
#![allow(dead_code)] // each test program uses a part of it

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fqbert_contract::capability::Capabilities;
use fqbert_contract::registers::{self as regs, control, irq_status, status};
use fqbert_contract::{Geometry, RegisterOffset};
use fqbert_uio::{BoardDevice, BoardError};
use tempfile::TempDir;
use uio_driver::{Interrupt, Roots, UioDevice};

pub const PAGE: u64 = 4096;
/// Physical address of the fixture's DMA memory.
pub const MEMORY: u64 = 0x7000_0000;
/// Its size.
pub const MEMORY_BYTES: u64 = 1 << 24;

/// What the fixture's accelerator does at a doorbell, by the value written to it.
pub mod act {
    /// Ends the program and interrupts.
    pub const END: u32 = 1;
    /// Ends the program; the interrupt is lost.
    pub const LOSE: u32 = 2;
    /// Interrupts once for nothing, then ends the program and interrupts.
    pub const SPURIOUS: u32 = 3;
    /// Never ends.
    pub const HANG: u32 = 4;
    /// Ends the program and counts two interrupts.
    pub const TWICE: u32 = 5;
}

pub struct Board {
    dir: TempDir,
    pub roots: Roots,
}

impl Board {
    /// No device at all.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        fs::create_dir_all(dir.path().join("dev")).unwrap();
        Self { dir, roots }
    }

    /// A configured device `fqbert0` of a geometry, with memory `fqbert0-dma`.
    pub fn new(geometry: &Geometry) -> Self {
        let board = Self::empty();
        board.manager("operating");
        board.uio(3, "fqbert0", 0xA000_0000, 16 * PAGE);
        board.uio(1, "fqbert0-dma", MEMORY, MEMORY_BYTES);
        board.identify(&Capabilities::of(geometry));
        board
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub fn put(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn manager(&self, state: &str) {
        self.put("sys/class/fpga_manager/fpga0/state", format!("{state}\n"));
    }

    /// A UIO device with one map, its node a file of that size.
    pub fn uio(&self, number: u32, name: &str, address: u64, size: u64) {
        let base = format!("sys/class/uio/uio{number}");
        for (file, content) in [
            ("name", name.to_owned()),
            ("event", "0".to_owned()),
            ("dev", format!("243:{number}")),
            ("maps/map0/name", name.to_owned()),
            ("maps/map0/addr", format!("{address:#x}")),
            ("maps/map0/size", format!("{size:#x}")),
            ("maps/map0/offset", "0x0".to_owned()),
        ] {
            self.put(&format!("{base}/{file}"), content + "\n");
        }
        self.put(&format!("dev/uio{number}"), "");
        let node = File::options()
            .write(true)
            .open(self.path(&format!("dev/uio{number}")))
            .unwrap();
        node.set_len(size).unwrap();
    }

    /// A cached u-dma-buf buffer.
    pub fn udmabuf(&self, name: &str, address: u64, size: u64) {
        let base = format!("sys/class/u-dma-buf/{name}");
        for (file, content) in [
            ("phys_addr", format!("{address:#x}\n")),
            ("size", format!("{size}\n")),
            ("sync_mode", "1\n".to_owned()),
            ("dma_coherent", "0\n".to_owned()),
            ("sync_for_cpu", "0".to_owned()),
            ("sync_for_device", "0".to_owned()),
        ] {
            self.put(&format!("{base}/{file}"), content);
        }
        self.put(&format!("dev/{name}"), vec![0; size as usize]);
    }

    pub fn text(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    pub fn remove(&self, relative: &str) {
        fs::remove_dir_all(self.path(relative)).unwrap();
    }

    pub fn register_file(&self) -> RegisterFile {
        RegisterFile::open(&self.path("dev/uio3"))
    }

    pub fn identify(&self, capabilities: &Capabilities) {
        let file = self.register_file();
        for (register, value) in capabilities.registers() {
            file.set(register, value);
        }
        file.set(regs::STATUS, status::IDLE);
    }

    /// The device of this board's registers and memory, with an accelerator behind them.
    pub fn device(&self, limit: Duration) -> (Result<BoardDevice, BoardError>, Accelerator) {
        let (ours, kernel) = UnixStream::pair().unwrap();
        let interrupt = Interrupt::from_fd("fqbert0", OwnedFd::from(ours), 0).unwrap();
        let accelerator = Accelerator::start(self.register_file(), kernel);
        let device = UioDevice::open(&self.roots, "fqbert0").unwrap();
        let registers = device.registers(0, regs::BLOCK_BYTES.into()).unwrap();
        let memory = UioDevice::open(&self.roots, "fqbert0-dma").unwrap();
        let memory = Box::new(memory.memory(0, PAGE).unwrap());
        (
            BoardDevice::new(registers, interrupt, memory, limit),
            accelerator,
        )
    }
}

/// The registers from the hardware's side.
pub struct RegisterFile(File);

impl RegisterFile {
    fn open(path: &Path) -> Self {
        Self(File::options().read(true).write(true).open(path).unwrap())
    }

    pub fn get(&self, register: RegisterOffset) -> u32 {
        let mut bytes = [0; 4];
        self.0.read_exact_at(&mut bytes, register.0.into()).unwrap();
        u32::from_le_bytes(bytes)
    }

    pub fn set(&self, register: RegisterOffset, value: u32) {
        self.0
            .write_all_at(&value.to_le_bytes(), register.0.into())
            .unwrap();
    }
}

/// The hardware's thread. Its IRQ_STATUS is a file's word and not write-one-to-clear: the end of a
/// run sets it, a doorbell or a reset clears it.
pub struct Accelerator {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Accelerator {
    fn start(registers: RegisterFile, kernel: UnixStream) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        kernel.set_nonblocking(true).unwrap();
        let thread = std::thread::spawn(move || {
            let mut line = Line {
                kernel,
                count: 0,
                unmasked: false,
                due: 0,
            };
            while !stopped.load(Ordering::Relaxed) {
                step(&registers, &mut line);
                line.serve();
                std::thread::yield_now();
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Accelerator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The kernel's end of the interrupt: a level that interrupts when it is unmasked, and is masked by
/// that.
struct Line {
    kernel: UnixStream,
    count: u32,
    unmasked: bool,
    /// Interrupts that the next count brings.
    due: u32,
}

impl Line {
    /// Takes the mask words that were written, and interrupts if that is due and allowed.
    fn serve(&mut self) {
        let mut word = [0; 4];
        while self.kernel.read_exact(&mut word).is_ok() {
            self.unmasked = u32::from_ne_bytes(word) == 1;
        }
        if self.due > 0 && self.unmasked {
            self.count += std::mem::take(&mut self.due);
            self.unmasked = false;
            // The accelerator may be gone already.
            let _ = self.kernel.write_all(&self.count.to_ne_bytes());
        }
    }
}

fn step(registers: &RegisterFile, line: &mut Line) {
    if registers.get(regs::CONTROL) & control::RESET != 0 {
        for register in [regs::IRQ_STATUS, regs::IRQ_ENABLE, regs::DOORBELL] {
            registers.set(register, 0);
        }
        line.due = 0;
        registers.set(regs::STATUS, status::IDLE);
        registers.set(regs::CONTROL, 0);
    }
    let doorbell = registers.get(regs::DOORBELL);
    if doorbell == 0 {
        return;
    }
    registers.set(regs::DOORBELL, 0);
    registers.set(regs::IRQ_STATUS, 0);
    registers.set(regs::STATUS, status::BUSY);
    if doorbell == act::HANG {
        return;
    }
    if doorbell == act::SPURIOUS {
        line.due = 1;
        let patience = Instant::now() + Duration::from_secs(10);
        while line.due > 0 && Instant::now() < patience {
            line.serve();
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    registers.set(regs::STATUS, status::IDLE | status::DONE);
    registers.set(regs::IRQ_STATUS, irq_status::DONE);
    match doorbell {
        act::LOSE => {}
        act::TWICE => line.due = 2,
        _ => line.due = 1,
    }
}
