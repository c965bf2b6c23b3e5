//! Against the real kernel, where it has UIO devices (the virtual board, a board). Registers are
//! mapped and not touched, since this crate does not know what they do; memory of a device named
//! `*-dma` is written, under its lock.

use std::time::Duration;

use uio_driver::dma::{Direction, DmaMemory};
use uio_driver::{Error, LockWait, Node, Roots, UioDevice, list};

/// The tests of this file run side by side and share the devices: each waits for its turn.
fn open(name: &str) -> UioDevice {
    let wait = LockWait::For(Duration::from_secs(30));
    UioDevice::open_with(&Roots::system(), name, wait).unwrap()
}

fn devices() -> Vec<Node> {
    let nodes = match list(&Roots::system()) {
        Err(Error::ClassAbsent { .. }) => Vec::new(),
        other => other.unwrap(),
    };
    if nodes.is_empty() {
        eprintln!("SKIPPED: this kernel has no UIO device");
    }
    nodes
}

#[test]
fn every_device_opens_locks_and_maps_exactly() {
    let roots = Roots::system();
    for node in devices() {
        let device = open(&node.name);
        assert!(matches!(
            UioDevice::open(&roots, &node.name),
            Err(Error::Busy { .. })
        ));
        for map in &node.maps {
            let regs = device.registers(map.index, map.usable()).unwrap();
            assert_eq!(regs.size() as u64, map.usable());
            let size = u32::try_from(map.usable()).unwrap_or(u32::MAX - 3);
            assert!(matches!(regs.read32(size), Err(Error::OutOfRange { .. })));
            let error = device.registers(map.index, map.usable() + 1).unwrap_err();
            assert!(matches!(error, Error::MapTooSmall { .. }), "{error}");
        }
        drop(device);
        open(&node.name);
    }
}

#[test]
fn uncached_memory_takes_copies_at_any_place() {
    for node in devices().iter().filter(|node| node.name.ends_with("-dma")) {
        let device = open(&node.name);
        let mut memory = device.memory(0, 1 << 16).unwrap();
        let data: Vec<u8> = (0..4096u32).map(|i| (i * 7 + i / 256) as u8).collect();
        let last = memory.size() - 4096;
        for (offset, len) in [
            (0, 4096),
            (1, 4095),
            (3, 5),
            (7, 4000),
            (4093, 9),
            (last, 4096),
        ] {
            memory.write(offset, &data[..len]).unwrap();
            memory
                .sync_for_device(offset, len as u64, Direction::ToDevice)
                .unwrap();
            let mut back = vec![0; len];
            memory
                .sync_for_cpu(offset, len as u64, Direction::FromDevice)
                .unwrap();
            memory.read(offset, &mut back).unwrap();
            assert_eq!(back, data[..len], "{} at {offset}", node.name);
        }
        let error = device.memory(0, memory.size() + 1).unwrap_err();
        assert!(matches!(error, Error::MemoryTooSmall { .. }), "{error}");
        // The memory node has no `interrupts`.
        let error = device.interrupt().unwrap().arm().unwrap_err();
        assert!(matches!(error, Error::NoInterrupt { .. }), "{error}");
    }
}
