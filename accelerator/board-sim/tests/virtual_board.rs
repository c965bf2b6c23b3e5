//! The mechanism on a real kernel. Runs inside the virtual board, where `fqbert0` is the test
//! device:
//!
//! `cargo xtask vm --model test --test fqbert-board-sim`
//!
//! Elsewhere every test skips and says so. This file talks to UIO with bare system calls on
//! purpose: it tests the virtual hardware, not `uio-driver`.
#![allow(unsafe_code)]

use fqbert_board_sim::testdev;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// One device, several tests: one at a time.
static DEVICE: Mutex<()> = Mutex::new(());

struct Uio {
    file: File,
    map: *mut u32,
    size: usize,
    address: u64,
}

impl Uio {
    fn open(name: &str) -> Self {
        let sysfs = fs::read_dir("/sys/class/uio")
            .expect("UIO in the kernel")
            .map(|entry| entry.unwrap().path())
            .find(|path| fs::read_to_string(path.join("name")).unwrap().trim() == name)
            .unwrap_or_else(|| panic!("no UIO device named {name}"));
        let hex = |file: &str| {
            let text = fs::read_to_string(sysfs.join("maps/map0").join(file)).unwrap();
            u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).unwrap()
        };
        let node = PathBuf::from("/dev").join(sysfs.file_name().unwrap());
        let file = File::options().read(true).write(true).open(node).unwrap();
        let size = hex("size") as usize;
        // SAFETY: a new mapping of a device file, at an address of the kernel's choice.
        let map = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(
            map,
            libc::MAP_FAILED,
            "mmap: {}",
            std::io::Error::last_os_error()
        );
        Self {
            file,
            map: map.cast(),
            size,
            address: hex("addr"),
        }
    }

    fn word(&self, offset: usize) -> *mut u32 {
        assert!(offset.is_multiple_of(4) && offset < self.size);
        // SAFETY: inside the mapping, as just asserted.
        unsafe { self.map.add(offset / 4) }
    }

    fn load(&self, offset: u32) -> u32 {
        // SAFETY: aligned, inside the mapping.
        unsafe { self.word(offset as usize).read_volatile() }
    }

    fn store(&self, offset: u32, value: u32) {
        // SAFETY: aligned, inside the mapping.
        unsafe { self.word(offset as usize).write_volatile(value) }
    }

    fn arm(&mut self) {
        self.file.write_all(&1u32.to_ne_bytes()).unwrap();
    }

    /// The interrupt count, if one comes within the time.
    fn wait(&mut self, patience: Duration) -> Option<u32> {
        let mut poll = libc::pollfd {
            fd: self.file.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid pollfd.
        let ready = unsafe { libc::poll(&mut poll, 1, patience.as_millis() as i32) };
        (ready == 1).then(|| {
            let mut count = [0; 4];
            self.file.read_exact(&mut count).unwrap();
            u32::from_ne_bytes(count)
        })
    }
}

/// The device, reset; `None` outside the virtual board with the test device.
fn device() -> Option<(MutexGuard<'static, ()>, Uio, Uio)> {
    if std::env::var("FQBERT_VIRTUAL_BOARD").as_deref() != Ok("test") {
        eprintln!("SKIPPED: only in `cargo xtask vm --model test --test fqbert-board-sim`");
        return None;
    }
    let guard = DEVICE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut registers = Uio::open("fqbert0");
    registers.store(testdev::RESET, 1);
    registers.arm();
    while registers.wait(Duration::from_millis(1)).is_some() {}
    Some((guard, registers, Uio::open("fqbert0-dma")))
}

#[test]
fn registers_behave_as_hardware() {
    let Some((_guard, registers, _)) = device() else {
        return;
    };
    assert_eq!(registers.load(testdev::ID), testdev::ID_VALUE);
    registers.store(testdev::ID, 1);
    assert_eq!(registers.load(testdev::ID), testdev::ID_VALUE, "read-only");
    for value in 0..1000u32 {
        registers.store(testdev::SCRATCH, value.wrapping_mul(0x9e37_79b9));
        assert_eq!(
            registers.load(testdev::SCRATCH),
            value.wrapping_mul(0x9e37_79b9)
        );
    }
    registers.store(0xffc, 3);
    assert_eq!(registers.load(0xffc), 0, "no register there");
}

#[test]
fn every_job_gives_one_interrupt_and_the_right_sum() {
    let Some((_guard, mut registers, memory)) = device() else {
        return;
    };
    let words = 2048u32;
    registers.store(testdev::IRQ_ENABLE, 1);
    registers.store(testdev::ADDRESS, u32::try_from(memory.address).unwrap());
    registers.store(testdev::WORDS, words);
    let (jobs, mut count, mut latency) = (registers.load(testdev::JOBS), None, Vec::new());
    for job in 0..100u32 {
        let mut expected = 0u32;
        for index in 0..words {
            let value = index.wrapping_mul(job + 1) ^ 0x5a5a_0000;
            memory.store(index * 4, value);
            expected = expected.wrapping_add(value);
        }
        registers.arm();
        let start = Instant::now();
        registers.store(testdev::DOORBELL, 1);
        let now = registers
            .wait(Duration::from_secs(10))
            .expect("an interrupt");
        latency.push(start.elapsed());
        assert_eq!(
            now,
            count.map_or(now, |before: u32| before + 1),
            "lost or spurious interrupt"
        );
        count = Some(now);
        assert_eq!(registers.load(testdev::RESULT), expected);
        assert_eq!(registers.load(testdev::IRQ_STATUS), 1);
        registers.store(testdev::IRQ_STATUS, 1);
        assert_eq!(
            registers.load(testdev::IRQ_STATUS),
            0,
            "the acknowledge is synchronous"
        );
    }
    registers.arm();
    assert_eq!(
        registers.wait(Duration::from_millis(20)),
        None,
        "spurious interrupt after the last acknowledge"
    );
    assert_eq!(registers.load(testdev::JOBS) - jobs, 100);
    latency.sort();
    eprintln!(
        "doorbell to wake, 100 jobs of {words} words: median {:?}, max {:?}",
        latency[50], latency[99]
    );
}

#[test]
fn a_long_job_does_not_stop_the_cpu_and_can_be_reset() {
    let Some((_guard, mut registers, memory)) = device() else {
        return;
    };
    registers.store(testdev::IRQ_ENABLE, 1);
    registers.store(testdev::ADDRESS, u32::try_from(memory.address).unwrap());
    registers.store(testdev::WORDS, u32::try_from(memory.size / 4).unwrap());
    let start = Instant::now();
    registers.store(testdev::DOORBELL, 1);
    let returned = start.elapsed();
    let busy = registers.load(testdev::STATUS);
    registers.arm();
    registers
        .wait(Duration::from_secs(30))
        .expect("an interrupt");
    let all = start.elapsed();
    eprintln!(
        "sum of {} MiB: store returned after {returned:?}, interrupt after {all:?}",
        memory.size >> 20
    );
    assert_eq!(busy & 1, 1, "busy is seen");
    assert!(returned < all / 2, "the doorbell store waited for the job");

    let jobs = registers.load(testdev::JOBS);
    registers.store(testdev::IRQ_STATUS, 1);
    registers.store(testdev::DOORBELL, 1);
    registers.store(testdev::RESET, 1);
    assert_eq!(registers.load(testdev::STATUS), 0);
    registers.arm();
    assert_eq!(
        registers.wait(Duration::from_millis(200)),
        None,
        "a reset job raises no interrupt"
    );
    assert_eq!(registers.load(testdev::JOBS), jobs);
}

#[test]
fn reserved_memory_is_large_enough() {
    let Some((_guard, _, memory)) = device() else {
        return;
    };
    assert!(memory.size >= 192 << 20, "{} bytes", memory.size);
    let last = u32::try_from(memory.size - 4).unwrap();
    memory.store(last, 0xfeed_f00d);
    assert_eq!(memory.load(last), 0xfeed_f00d);
}
