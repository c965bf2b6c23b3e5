//! What a run costs beside its instructions.

use fqbert_contract::Geometry;
use fqbert_contract::isa::{End, Engine, Header, Instruction, Nop, Operation};
use fqbert_contract::registers as regs;

use super::*;

/// Runs so many instructions that do nothing; how often the thread that ran them looked at the
/// clock, and their cycles.
fn clock_reads(count: usize) -> (u64, u64) {
    let mut device = EmulatedDevice::new(EmulatorOptions {
        threads: Some(1),
        ..EmulatorOptions::new(Geometry::by_name("tiny").unwrap())
    })
    .unwrap();
    let engine = Engine::Vector.code();
    let nop = Operation::Nop(Nop { engine, port: 0 });
    let program = std::iter::repeat_n(nop, count).chain([Operation::End(End {})]);
    let code: Vec<u8> = program
        .flat_map(|operation| {
            let header = Header::default();
            Instruction { header, operation }.to_bytes().unwrap()
        })
        .collect();
    let size = Bytes(code.len() as u64);
    let buffer = device.allocate(size).unwrap();
    device.write(buffer.id, Bytes(0), &code).unwrap();
    device.sync_to_device(buffer.id, Bytes(0), size).unwrap();
    for (register, value) in [
        (regs::WINDOW_LIMIT_HIGH, u32::MAX),
        (regs::IRQ_ENABLE, regs::irq::DONE),
        (regs::PROGRAM_ADDRESS_LOW, buffer.address.low()),
        (regs::PROGRAM_ADDRESS_HIGH, buffer.address.high()),
        (regs::PROGRAM_LENGTH, count as u32 + 1),
        (regs::DOORBELL, 1),
    ] {
        device.write32(register, value).unwrap();
    }
    let before = device.pool.install(|| clock::READS.get());
    let deadline = Instant::now() + Duration::from_secs(60);
    assert_eq!(device.wait_interrupt(deadline).unwrap(), 1);
    let reads = device.pool.install(|| clock::READS.get()) - before;
    let cycles = device.read32(regs::CYCLES_LOW).unwrap();
    (reads, u64::from(cycles))
}

/// The clock is read by the cycles that pass, and never for each instruction.
#[test]
fn the_clock_is_not_read_for_each_instruction() {
    for count in [1, 100, 8000] {
        let (reads, cycles) = clock_reads(count);
        let most = 1 + cycles / CLOCK_CYCLES + count as u64 / 256;
        assert!(
            (1..=most).contains(&reads),
            "{count} instructions, {cycles} cycles: {reads} reads, at most {most} expected"
        );
    }
}
