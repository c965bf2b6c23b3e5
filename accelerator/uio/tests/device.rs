//! The accelerator's calls, on a board made of files with a thread as its accelerator.

mod common;

use std::time::{Duration, Instant};

use common::{Board, MEMORY, MEMORY_BYTES, act};
use fqbert_contract::device::{BufferId, Device, DeviceError};
use fqbert_contract::registers::{self as regs, irq_enable, status};
use fqbert_contract::{Bytes, Geometry, RegisterOffset};
use fqbert_uio::BoardDevice;

const LIMIT: Duration = Duration::from_secs(10);

fn board() -> Board {
    Board::new(Geometry::by_name("tiny").unwrap())
}

/// A doorbell of that value, and what the wait for it gives.
fn submit(device: &mut BoardDevice, value: u32, patience: Duration) -> Result<u32, DeviceError> {
    device.write32(regs::IRQ_ENABLE, irq_enable::DONE).unwrap();
    device.write32(regs::DOORBELL, value).unwrap();
    let count = device.wait_interrupt(Instant::now() + patience);
    // The accelerator of files has no write-one-to-clear.
    device.write32(regs::IRQ_STATUS, 0).unwrap();
    count
}

#[test]
fn every_submission_is_one_interrupt() {
    let board = board();
    let (device, _accelerator) = board.device(LIMIT);
    let mut device = device.unwrap();
    for run in 1..=50 {
        assert_eq!(submit(&mut device, act::END, LIMIT).unwrap(), run);
    }
    let found = device.statistics();
    assert_eq!((found.submissions, found.interrupts.taken), (50, 50));
    let irq = found.interrupts;
    assert_eq!(
        (irq.missed, irq.spurious, irq.late, irq.lost, irq.timeouts),
        (0, 0, 0, 0, 0)
    );
}

#[test]
fn an_interrupt_that_comes_twice_never_or_for_nothing_is_told() {
    let board = board();
    let (device, _accelerator) = board.device(LIMIT);
    let mut device = device.unwrap();
    assert_eq!(submit(&mut device, act::END, LIMIT).unwrap(), 1);

    let error = submit(&mut device, act::TWICE, LIMIT).unwrap_err();
    let DeviceError::InterruptCount {
        before,
        after,
        missed,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((before, after, missed), (1, 3, 1));

    let error = submit(&mut device, act::SPURIOUS, LIMIT).unwrap_err();
    let DeviceError::InterruptCount { before, after, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((before, after), (3, 5), "one for nothing, one for the run");

    let error = submit(&mut device, act::LOSE, Duration::from_millis(100)).unwrap_err();
    let DeviceError::InterruptCount {
        before,
        after,
        missed,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((before, after, missed), (5, 5, 1), "done without a word");
    assert_eq!(
        device.read32(regs::STATUS).unwrap(),
        status::IDLE | status::DONE
    );

    assert_eq!(submit(&mut device, act::END, LIMIT).unwrap(), 6);
    let irq = device.statistics().interrupts;
    assert_eq!((irq.missed, irq.spurious, irq.lost), (1, 1, 1));
}

#[test]
fn a_hang_times_out_and_a_reset_makes_it_good() {
    let board = board();
    let (device, _accelerator) = board.device(LIMIT);
    let mut device = device.unwrap();
    let error = submit(&mut device, act::HANG, Duration::from_millis(60)).unwrap_err();
    let DeviceError::Timeout { waited_ms } = error else {
        panic!("{error}")
    };
    assert!((60..5000).contains(&waited_ms), "{waited_ms}");
    assert_eq!(device.read32(regs::STATUS).unwrap(), status::BUSY);
    device.reset().unwrap();
    assert_eq!(device.read32(regs::STATUS).unwrap(), status::IDLE);
    assert_eq!(submit(&mut device, act::END, LIMIT).unwrap(), 1);
}

#[test]
fn a_late_interrupt_ends_no_later_wait() {
    let board = board();
    let (device, _accelerator) = board.device(LIMIT);
    let mut device = device.unwrap();
    // The spurious one is there at once, the real one after 20 ms.
    let error = submit(&mut device, act::SPURIOUS, Duration::from_millis(2)).unwrap_err();
    assert!(matches!(error, DeviceError::Timeout { .. }), "{error}");
    std::thread::sleep(Duration::from_millis(100));
    device.reset().unwrap();
    let counted = submit(&mut device, act::END, LIMIT).unwrap();
    assert_eq!(counted, 3, "the kernel's count, and no error for this run");
    assert_eq!(device.statistics().interrupts.late, 1);
}

#[test]
fn dropped_it_is_stopped_and_free() {
    let board = board();
    let (device, accelerator) = board.device(LIMIT);
    let mut device = device.unwrap();
    device.write32(regs::DOORBELL, act::HANG).unwrap();
    while device.read32(regs::STATUS).unwrap() != status::BUSY {}
    drop(device);
    assert_eq!(board.register_file().get(regs::STATUS), status::IDLE);
    drop(accelerator);
    let (again, _accelerator) = board.device(LIMIT);
    again.unwrap();
}

#[test]
fn memory_is_that_of_the_region() {
    let board = board();
    let (device, _accelerator) = board.device(LIMIT);
    let mut device = device.unwrap();
    let info = device.memory();
    assert_eq!((info.base.0, info.total.0), (MEMORY, MEMORY_BYTES));
    let a = device.allocate(Bytes(100)).unwrap();
    let b = device.allocate(Bytes(5000)).unwrap();
    assert_eq!((a.address.0, b.address.0), (MEMORY, MEMORY + 4096));
    let data: Vec<u8> = (0..4999u32).map(|i| (i * 7) as u8).collect();
    device.write(b.id, Bytes(1), &data).unwrap();
    device.sync_to_device(b.id, Bytes(0), b.size).unwrap();
    let mut seen = vec![0; 4999];
    let node = std::fs::File::open(board.path("dev/uio1")).unwrap();
    std::os::unix::fs::FileExt::read_exact_at(&node, &mut seen, 4097).unwrap();
    assert_eq!(seen, data, "what the device would read");
    device.sync_to_cpu(b.id, Bytes(0), b.size).unwrap();
    seen.fill(0);
    device.read(b.id, Bytes(1), &mut seen).unwrap();
    assert_eq!(seen, data);

    let outside = [
        device.write(a.id, Bytes(1), &[0; 100]),
        device.read(a.id, Bytes(u64::MAX), &mut [0; 2]),
        device.sync_to_cpu(a.id, Bytes(100), Bytes(1)),
        device.sync_to_device(a.id, Bytes(0), Bytes(u64::MAX)),
    ];
    for result in outside {
        assert!(
            matches!(result, Err(DeviceError::OutOfBounds { .. })),
            "{result:?}"
        );
    }
    let error = device
        .allocate(Bytes(MEMORY_BYTES))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("dma_size") && error.contains("cma="),
        "{error}"
    );
    device.free(a.id).unwrap();
    for result in [device.free(a.id), device.free(BufferId(999))] {
        assert!(matches!(result, Err(DeviceError::UnknownBuffer(_))));
    }
}

#[test]
fn registers_outside_the_block_are_refused() {
    let board = board();
    let (device, _accelerator) = board.device(LIMIT);
    let mut device = device.unwrap();
    for offset in [1, 2, regs::BLOCK_BYTES, u32::MAX - 3] {
        let register = RegisterOffset(offset);
        let results = [
            device.read32(register).map(drop),
            device.write32(register, 1),
        ];
        for result in results {
            assert!(
                matches!(result, Err(DeviceError::BadRegister(r)) if r == register),
                "{result:?}"
            );
        }
    }
}
