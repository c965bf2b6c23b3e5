//! DMA memory of both providers, on files.

mod common;

use std::fs;
use std::os::unix::fs::FileExt;

use common::{Board, PAGE};
use proptest::prelude::*;
use uio_driver::dma::{CacheMode, Direction, DmaMemory, UDmaBuf};
use uio_driver::{Error, PhysAddr, UioDevice};

/// What every provider owes: copies at any place, checked ranges, addresses.
fn conformance(memory: &mut dyn DmaMemory, base: u64) {
    let size = memory.size();
    assert_eq!(memory.base(), PhysAddr(base));
    let data: Vec<u8> = (0..=255).collect();
    for offset in [0, 1, 7, 8, 63, 4093, size - 256] {
        memory.write(offset, &data).unwrap();
        memory
            .sync_for_device(offset, 256, Direction::ToDevice)
            .unwrap();
        memory
            .sync_for_cpu(offset, 256, Direction::FromDevice)
            .unwrap();
        let mut back = [0; 256];
        memory.read(offset, &mut back).unwrap();
        assert_eq!(back[..], data[..], "at {offset}");
        assert_eq!(memory.phys(offset, 256).unwrap(), PhysAddr(base + offset));
    }
    memory.fill(3, 0x5A, 1000).unwrap();
    let mut edge = [0; 1002];
    memory.read(2, &mut edge).unwrap();
    assert!(edge[1..1001].iter().all(|&b| b == 0x5A) && edge[0] != 0x5A && edge[1001] != 0x5A);
    memory.write(size, &[]).unwrap();
    for (offset, len) in [
        (size, 1),
        (size - 1, 2),
        (u64::MAX, 1),
        (u64::MAX, u64::MAX),
        (0, size + 1),
    ] {
        let outside = |result: Result<(), Error>| {
            assert!(
                matches!(result, Err(Error::OutOfRange { .. })),
                "{offset:#x}+{len:#x}: {result:?}"
            );
        };
        outside(memory.fill(offset, 0, len));
        outside(memory.sync_for_device(offset, len, Direction::Bidirectional));
        outside(memory.sync_for_cpu(offset, len, Direction::Bidirectional));
        outside(memory.phys(offset, len).map(drop));
        if len < 4096 {
            outside(memory.write(offset, &vec![0; len as usize]));
            outside(memory.read(offset, &mut vec![0; len as usize]));
        }
    }
}

#[test]
fn reserved_memory() {
    let board = Board::new();
    board.uio(1, "accel0-dma", &[(0x7000_0000, 16 * PAGE, 0)]);
    let device = UioDevice::open(&board.roots, "accel0-dma").unwrap();
    let mut memory = device.memory(0, 16 * PAGE).unwrap();
    assert_eq!(memory.cache_mode(), CacheMode::Device);
    conformance(&mut memory, 0x7000_0000);
    memory.write(100, b"seen by the device").unwrap();
    let mut seen = [0; 18];
    let node = fs::File::open(board.path("dev/uio1")).unwrap();
    node.read_exact_at(&mut seen, 100).unwrap();
    assert_eq!(&seen, b"seen by the device");
}

#[test]
fn reserved_memory_too_small_says_what_to_change() {
    let board = Board::new();
    board.uio(1, "accel0-dma", &[(0x7000_0000, 16 * PAGE, 0)]);
    let device = UioDevice::open(&board.roots, "accel0-dma").unwrap();
    let error = device.memory(0, 100 << 20).unwrap_err();
    assert!(matches!(
        error,
        Error::MemoryTooSmall {
            have: 65536,
            need: 0x640_0000,
            ..
        }
    ));
    let text = error.to_string();
    assert!(
        text.contains("0x6400000") && text.contains("reserved-memory"),
        "{text}"
    );
    assert!(matches!(device.memory(3, 1), Err(Error::NoSuchMap { .. })));
}

#[test]
fn u_dma_buf_cached_syncs_whole_lines() {
    let board = Board::new();
    board.udmabuf("accel0-dma", 0x7000_0000, 16 * PAGE, 1, 0);
    let mut memory = UDmaBuf::open(&board.roots, "accel0-dma", PAGE, true).unwrap();
    assert_eq!(memory.cache_mode(), CacheMode::Cached);
    conformance(&mut memory, 0x7000_0000);
    memory
        .sync_for_device(100, 30, Direction::ToDevice)
        .unwrap();
    // Bytes 64..192, direction 1, go: 0x80 | 1 << 2 | 1.
    assert_eq!(
        board.text("sys/class/u-dma-buf/accel0-dma/sync_for_device"),
        "0x0000004000000085"
    );
    memory
        .sync_for_cpu(4096, 64, Direction::FromDevice)
        .unwrap();
    assert_eq!(
        board.text("sys/class/u-dma-buf/accel0-dma/sync_for_cpu"),
        "0x0000100000000049"
    );
    fs::remove_file(board.path("sys/class/u-dma-buf/accel0-dma/sync_for_cpu")).unwrap();
    let error = memory
        .sync_for_cpu(0, 64, Direction::FromDevice)
        .unwrap_err();
    assert!(
        matches!(error, Error::Io { op: "write", .. }),
        "a sync that can't be done is no success"
    );
}

#[test]
fn u_dma_buf_uncached_needs_no_cache_operation() {
    for (mode, coherent, cached, expected) in [
        (0, 0, false, CacheMode::Cached),
        (1, 0, false, CacheMode::Device),
        (1, 1, true, CacheMode::Coherent),
        (2, 0, false, CacheMode::WriteCombining),
        (5, 0, true, CacheMode::Device),
        (6, 0, true, CacheMode::WriteCombining),
    ] {
        let board = Board::new();
        board.udmabuf("accel0-dma", 0x7000_0000, 16 * PAGE, mode, coherent);
        let mut memory = UDmaBuf::open(&board.roots, "accel0-dma", PAGE, cached).unwrap();
        assert_eq!(memory.cache_mode(), expected, "mode {mode}");
        memory.sync_for_device(0, 64, Direction::ToDevice).unwrap();
        let written = board.text("sys/class/u-dma-buf/accel0-dma/sync_for_device") != "0";
        assert_eq!(written, expected == CacheMode::Cached, "mode {mode}");
    }
}

#[test]
fn u_dma_buf_refusals() {
    let board = Board::new();
    let open = |need| UDmaBuf::open(&board.roots, "accel0-dma", need, true);
    assert!(matches!(open(1), Err(Error::ClassAbsent { .. })));
    board.put(
        "proc/meminfo",
        "MemTotal: 4 kB\nCmaTotal:       65536 kB\nCmaFree:        61440 kB\n",
    );
    board.udmabuf("other", 0x7000_0000, PAGE, 1, 0);
    let error = open(64 << 20).unwrap_err();
    assert!(matches!(error, Error::NoSuchBuffer { .. }));
    let text = error.to_string();
    assert!(
        text.contains("CmaTotal 64 MiB, CmaFree 60 MiB") && text.contains("`cma=96M`"),
        "{text}"
    );

    board.udmabuf("accel0-dma", 0x7000_0000, PAGE, 1, 0);
    let text = open(64 << 20).unwrap_err().to_string();
    assert!(
        text.contains("has 4096 bytes, 67108864 are needed") && text.contains("cma=96M"),
        "{text}"
    );
    let held = open(PAGE).unwrap();
    assert!(matches!(open(PAGE), Err(Error::Busy { .. })));
    drop(held);

    let attribute = |name: &str, value: &str| {
        board.put(&format!("sys/class/u-dma-buf/accel0-dma/{name}"), value);
    };
    for (name, wrong, right) in [
        ("sync_mode", "8", "1"),
        ("phys_addr", "0x70000001", "0x70000000"),
        ("phys_addr", "0xfffffffffffff000", "0x70000000"),
        ("size", "0", "4096"),
        ("size", "lots", "4096"),
    ] {
        attribute(name, wrong);
        let error = UDmaBuf::open(&board.roots, "accel0-dma", 0, true).unwrap_err();
        assert!(
            matches!(error, Error::BadAttribute { .. }),
            "{name} {wrong}: {error}"
        );
        attribute(name, right);
    }
    attribute("size", "8192");
    assert!(
        matches!(open(PAGE), Err(Error::BadRequest { .. })),
        "longer than its node"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))] // each makes files
    /// Whatever is written at whatever place is read back, and nothing beside it changes.
    #[test]
    fn copies(
        ops in prop::collection::vec(
            (0u64..8192, prop::collection::vec(any::<u8>(), 0..600)),
            1..40,
        ),
    ) {
        let board = Board::new();
        board.uio(0, "dma", &[(0x7000_0000, 2 * PAGE, 0)]);
        let mut memory = UioDevice::open(&board.roots, "dma").unwrap().memory(0, 1).unwrap();
        let mut model = vec![0u8; 8192];
        for (offset, data) in ops {
            let end = offset as usize + data.len();
            let written = memory.write(offset, &data);
            prop_assert_eq!(written.is_ok(), end <= 8192);
            if written.is_ok() {
                model[offset as usize..end].copy_from_slice(&data);
            }
        }
        let mut all = vec![0; 8192];
        memory.read(0, &mut all).unwrap();
        prop_assert_eq!(all, model);
    }
}
