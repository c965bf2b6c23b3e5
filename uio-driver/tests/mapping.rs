//! Maps, registers and the lock, on files that stand in for device nodes.

mod common;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, Instant};

use common::{Board, PAGE};
use uio_driver::{Error, LockWait, PhysAddr, UioDevice};

/// Mappings of a file in this process, by `/proc/self/maps`.
fn mappings(path: &std::path::Path) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .filter(|line| line.ends_with(path.to_str().unwrap()))
        .count()
}

#[test]
fn registers_are_at_their_exact_place_and_unmapped_on_drop() {
    let board = Board::new();
    // The second map of the kernel's description lies at file offset one page; its registers
    // begin 0x40 into the page.
    board.uio(
        0,
        "accel0",
        &[(0xA000_0000, PAGE, 0), (0xA001_0000, 2 * PAGE, 0x40)],
    );
    let node = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(board.path("dev/uio0"))
        .unwrap();
    node.write_all_at(&0xCAFE_F00Du32.to_ne_bytes(), PAGE + 0x40 + 0x10)
        .unwrap();
    let device = UioDevice::open(&board.roots, "accel0").unwrap();
    let regs = device.registers(1, 0x100).unwrap();
    assert_eq!(
        (regs.addr(), regs.size() as u64),
        (PhysAddr(0xA001_0040), 2 * PAGE - 0x40)
    );
    assert_eq!(regs.read32(0x10).unwrap(), 0xCAFE_F00D);
    regs.write32_ordered(0x14, 0x1234_5678).unwrap();
    let mut word = [0; 4];
    node.read_exact_at(&mut word, PAGE + 0x40 + 0x14).unwrap();
    assert_eq!(u32::from_ne_bytes(word), 0x1234_5678);
    assert_eq!(mappings(&board.path("dev/uio0")), 1);
    drop(regs);
    assert_eq!(mappings(&board.path("dev/uio0")), 0);
}

#[test]
fn offsets_are_checked() {
    let board = Board::new();
    board.uio(0, "accel0", &[(0xA000_0000, PAGE, 0)]);
    let device = UioDevice::open(&board.roots, "accel0").unwrap();
    let regs = device.registers(0, PAGE).unwrap();
    regs.read32(PAGE as u32 - 4).unwrap();
    for offset in [PAGE as u32, PAGE as u32 - 3, u32::MAX, u32::MAX - 3] {
        let error = regs.read32(offset).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
        assert!(matches!(
            regs.write32(offset, 0),
            Err(Error::OutOfRange { .. })
        ));
    }
    for offset in [1, 2, 3, 0x102] {
        assert!(matches!(
            regs.read32(offset),
            Err(Error::Misaligned { align: 4, .. })
        ));
        assert!(matches!(
            regs.write32(offset, 0),
            Err(Error::Misaligned { align: 4, .. })
        ));
    }
}

#[test]
fn wrong_maps_are_refused_with_numbers() {
    let board = Board::new();
    board.uio(0, "small", &[(0xA000_0000, PAGE, 0)]);
    board.uio(1, "none", &[]);
    board.uio(2, "unaligned", &[(0xA000_0010, PAGE, 0)]);
    board.uio(3, "odd", &[(0xA000_0000, 100, 0)]);
    board.uio(4, "lead", &[(0xA000_0000, 2 * PAGE, PAGE)]);
    board.uio(5, "lead3", &[(0xA000_0000, PAGE, 3)]);
    board.uio(6, "wrap", &[(u64::MAX - PAGE + 1, 2 * PAGE, 0)]);
    board.uio(7, "empty", &[(0xA000_0000, 0, 0)]);
    board.uio(8, "behind", &[(0xA000_0000, PAGE, 2 * PAGE)]);
    board.uio(9, "huge", &[(0, u64::MAX - PAGE + 1, 0)]);
    let registers = |name: &str, index, need| {
        UioDevice::open(&board.roots, name)
            .unwrap()
            .registers(index, need)
            .unwrap_err()
    };
    let error = registers("small", 0, 0x10000);
    assert!(matches!(
        error,
        Error::MapTooSmall {
            have: 0x1000,
            need: 0x10000,
            ..
        }
    ));
    assert!(
        error
            .to_string()
            .contains("0x1000 usable bytes, 0x10000 are needed"),
        "{error}"
    );
    assert!(matches!(
        registers("small", 1, 4),
        Error::NoSuchMap {
            index: 1,
            have: 1,
            ..
        }
    ));
    assert!(matches!(
        registers("none", 0, 4),
        Error::NoSuchMap { have: 0, .. }
    ));
    for name in ["unaligned", "odd", "lead", "lead3", "wrap"] {
        let error = registers(name, 0, 4);
        assert!(matches!(error, Error::BadMap { .. }), "{name}: {error}");
    }
    for name in ["empty", "behind"] {
        assert!(
            matches!(registers(name, 0, 0), Error::MapTooSmall { have: 0, .. }),
            "{name}"
        );
    }
    assert!(
        matches!(registers("huge", 0, 4), Error::BadRequest { .. }),
        "longer than its file"
    );
}

#[test]
fn sparse_map_numbers_keep_their_offset() {
    let board = Board::new();
    board.uio(
        0,
        "accel0",
        &[(0x1000, PAGE, 0), (0x2000, PAGE, 0), (0x3000, PAGE, 0)],
    );
    fs::remove_dir_all(board.path("sys/class/uio/uio0/maps/map1")).unwrap();
    let device = UioDevice::open(&board.roots, "accel0").unwrap();
    assert_eq!(device.registers(2, 4).unwrap().addr(), PhysAddr(0x3000));
    assert!(matches!(
        device.registers(1, 4),
        Err(Error::NoSuchMap { index: 1, .. })
    ));
}

#[test]
fn one_user_at_a_time() {
    let board = Board::new();
    board.uio(0, "accel0", &[(0xA000_0000, PAGE, 0)]);
    let first = UioDevice::open(&board.roots, "accel0").unwrap();
    let meta = fs::metadata(board.path("dev/uio0")).unwrap();
    let (major, minor) = (libc::major(meta.dev()), libc::minor(meta.dev()));
    board.put(
        "proc/locks",
        format!(
            "1: POSIX  ADVISORY  READ 7 08:01:99 0 EOF\n\
             2: FLOCK  ADVISORY  WRITE 4321 {major:02x}:{minor:02x}:{} 0 EOF\n",
            meta.ino()
        ),
    );
    let error = UioDevice::open(&board.roots, "accel0").unwrap_err();
    assert!(
        matches!(
            error,
            Error::Busy {
                holder: Some(4321),
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("process 4321"));

    // What the device gave out keeps it locked after the device itself is gone.
    let regs = first.registers(0, 4).unwrap();
    let interrupt = first.interrupt().unwrap();
    drop(first);
    assert!(matches!(
        UioDevice::open(&board.roots, "accel0"),
        Err(Error::Busy { .. })
    ));
    drop(interrupt);
    assert!(matches!(
        UioDevice::open(&board.roots, "accel0"),
        Err(Error::Busy { .. })
    ));
    drop(regs);
    UioDevice::open(&board.roots, "accel0").unwrap();
}

#[test]
fn waiting_for_the_lock_ends_either_way() {
    let board = Board::new();
    board.uio(0, "accel0", &[(0xA000_0000, PAGE, 0)]);
    let first = UioDevice::open(&board.roots, "accel0").unwrap();
    let start = Instant::now();
    let wait = LockWait::For(Duration::from_millis(50));
    let error = UioDevice::open_with(&board.roots, "accel0", wait).unwrap_err();
    assert!(matches!(error, Error::Busy { holder: None, .. }));
    assert!(start.elapsed() >= Duration::from_millis(50));
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        drop(first);
    });
    let wait = LockWait::For(Duration::from_secs(20));
    UioDevice::open_with(&board.roots, "accel0", wait).unwrap();
    release.join().unwrap();
}

#[test]
fn the_interrupt_is_given_once_and_only_if_it_can_be_counted() {
    let board = Board::new();
    board.uio(0, "accel0", &[(0xA000_0000, PAGE, 0)]);
    let device = UioDevice::open(&board.roots, "accel0").unwrap();
    board.put("sys/class/uio/uio0/event", "many\n");
    assert!(matches!(
        device.interrupt(),
        Err(Error::BadAttribute { .. })
    ));
    // The kernel prints the counter as a signed int.
    board.put("sys/class/uio/uio0/event", "-2\n");
    assert_eq!(device.interrupt().unwrap().count(), u32::MAX - 1);
    assert!(matches!(
        device.interrupt(),
        Err(Error::InterruptTaken { .. })
    ));
    fs::remove_dir_all(board.path("sys/class/uio/uio0")).unwrap();
    assert!(matches!(
        device.event_count(),
        Err(Error::DeviceGone { .. })
    ));
}
