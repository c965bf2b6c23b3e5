//! Device memory: allocation, bounds, copies, and what a missing sync does.

use fqbert_contract::Bytes;
use fqbert_contract::device::{BufferId, DeviceError};
use fqbert_contract::isa::{Load, MemoryId, Operation, Store};

use crate::bench::Bench;
use crate::code::{code, tokens};
use crate::report::{Failure, ensure};

pub fn allocation(b: &mut Bench<'_>) -> Result<(), Failure> {
    let before = b.device.memory();
    let sizes = [1, 16, 4096, 4097, 100_000];
    let mut spans = Vec::new();
    for size in sizes {
        let a = b.allocate(size)?;
        ensure!(
            a.address.0 % 4096 == 0,
            "{} is not aligned to 4096 bytes",
            a.address
        );
        ensure!(
            a.size == Bytes(size as u64),
            "{size} bytes asked for, {} given",
            a.size
        );
        let end = a.address.0 + a.size.0;
        let inside = a.address >= before.base && end <= before.base.0 + before.total.0;
        ensure!(inside, "buffer at {} lies outside the memory", a.address);
        spans.push((a.address.0, end, a.id));
    }
    spans.sort_unstable_by_key(|s| s.0);
    let disjoint = spans.windows(2).all(|w| w[0].1 <= w[1].0);
    ensure!(disjoint, "buffers overlap: {spans:x?}");
    // Freed out of order, everything is there again.
    for i in [1, 4, 0, 3, 2] {
        b.free(spans[i].2)?;
    }
    let after = b.device.memory();
    ensure!(
        after == before,
        "memory was {before:?} and is {after:?} after freeing everything"
    );
    let again = b.device.free(spans[0].2);
    ensure!(
        matches!(again, Err(DeviceError::UnknownBuffer(_))),
        "freeing twice gave {again:?}"
    );
    let unknown = b.device.free(BufferId(u32::MAX));
    ensure!(
        matches!(unknown, Err(DeviceError::UnknownBuffer(_))),
        "freeing a buffer that never was gave {unknown:?}"
    );
    Ok(())
}

pub fn exhaustion(b: &mut Bench<'_>) -> Result<(), Failure> {
    let info = b.device.memory();
    for size in [info.largest_free.0.saturating_add(1), u64::MAX] {
        let refused = b.device.allocate(Bytes(size));
        ensure!(
            matches!(refused, Err(DeviceError::OutOfMemory { .. })),
            "{size} bytes of {} free gave {refused:?}",
            info.largest_free
        );
    }
    ensure!(
        b.device.memory() == info,
        "a refused allocation changed the free memory"
    );
    Ok(())
}

pub fn bounds(b: &mut Bench<'_>) -> Result<(), Failure> {
    let a = b.allocate(100)?;
    let mut sixteen = [0u8; 16];
    for offset in [85, 100, 101, u64::MAX, u64::MAX - 8] {
        let at = Bytes(offset);
        let calls = [
            b.device.write(a.id, at, &sixteen),
            b.device.read(a.id, at, &mut sixteen),
            b.device.sync_to_device(a.id, at, Bytes(16)),
            b.device.sync_to_cpu(a.id, at, Bytes(16)),
        ];
        for (call, result) in ["write", "read", "sync_to_device", "sync_to_cpu"]
            .iter()
            .zip(calls)
        {
            ensure!(
                matches!(result, Err(DeviceError::OutOfBounds { .. })),
                "{call} of 16 bytes at {offset} of 100 gave {result:?}"
            );
        }
    }
    b.device.write(a.id, Bytes(84), &sixteen)?;
    b.device.write(a.id, Bytes(100), &[])?;
    b.free(a.id)?;
    let stale = b.device.write(a.id, Bytes(0), &sixteen);
    ensure!(
        matches!(stale, Err(DeviceError::UnknownBuffer(_))),
        "writing to a freed buffer gave {stale:?}"
    );
    Ok(())
}

pub fn contents(b: &mut Bench<'_>) -> Result<(), Failure> {
    let data = b.rng.bytes(20_000);
    let a = b.allocate(data.len())?;
    let other = b.allocate(5000)?;
    let marks = b.rng.bytes(5000);
    b.device.write(other.id, Bytes(0), &marks)?;
    for (start, piece) in [
        (0, &data[..4100]),
        (4100, &data[4100..4101]),
        (4101, &data[4101..]),
    ] {
        b.device.write(a.id, Bytes(start), piece)?;
    }
    let mut seen = vec![0; data.len()];
    b.device.read(a.id, Bytes(0), &mut seen)?;
    ensure!(seen == data, "bytes written by the CPU do not read back");
    // Handing over and back changes nothing that the device did not write.
    b.device.sync_to_device(a.id, Bytes(0), a.size)?;
    ensure!(
        b.download(&a)? == data,
        "bytes changed while the device held the buffer"
    );
    b.device.read(other.id, Bytes(0), &mut seen[..5000])?;
    ensure!(seen[..5000] == marks, "writing one buffer changed another");
    Ok(())
}

/// A program that copies a word of ACT from one buffer to another.
fn copy(b: &Bench<'_>, from: u64, to: u64) -> Result<Vec<u8>, Failure> {
    let beats = b.geometry.word_bytes(MemoryId::Act) / 16;
    let memory = MemoryId::Act.code();
    let load = Load {
        memory,
        port: 0,
        address: from,
        word_offset: 0,
        beats,
    };
    let store = Store {
        memory,
        address: to,
        word_offset: 0,
        beats,
    };
    code(&[
        tokens(Operation::Load(load), [0; 3], [1, 0, 0]),
        tokens(Operation::Store(store), [1, 0, 0], [0; 3]),
    ])
}

pub fn missing_sync_to_device(b: &mut Bench<'_>) -> Result<(), Failure> {
    let size = b.geometry.word_bytes(MemoryId::Act) as usize;
    let (old, new) = (vec![0x11; size], vec![0x22; size]);
    let from = b.upload(&old)?;
    let to = b.upload(&vec![0; size])?;
    let program = copy(b, from.address.0, to.address.0)?;
    b.device.write(from.id, Bytes(0), &new)?;
    b.complete(&program)?;
    ensure!(
        b.download(&to)? == old,
        "the device saw bytes that were never synced to it"
    );
    b.device.sync_to_device(from.id, Bytes(0), from.size)?;
    b.complete(&program)?;
    ensure!(
        b.download(&to)? == new,
        "the device does not see bytes synced to it"
    );
    Ok(())
}

pub fn missing_sync_to_cpu(b: &mut Bench<'_>) -> Result<(), Failure> {
    let size = b.geometry.word_bytes(MemoryId::Act) as usize;
    let (old, new) = (vec![0x11; size], vec![0x22; size]);
    let from = b.upload(&new)?;
    let to = b.upload(&old)?;
    let program = copy(b, from.address.0, to.address.0)?;
    b.complete(&program)?;
    let mut seen = vec![0; size];
    b.device.read(to.id, Bytes(0), &mut seen)?;
    ensure!(
        seen == old,
        "the CPU saw bytes that were never synced to it"
    );
    ensure!(
        b.download(&to)? == new,
        "the CPU does not see bytes synced to it"
    );
    Ok(())
}
