//! What every register answers when nothing runs.

use fqbert_contract::RegisterOffset;
use fqbert_contract::capability::Capabilities;
use fqbert_contract::device::DeviceError;
use fqbert_contract::registers::{self as regs, Access, control, status};

use crate::bench::Bench;
use crate::report::{Failure, ensure};

pub fn identity(b: &mut Bench<'_>) -> Result<(), Failure> {
    let read = Capabilities::read(|r| b.get(r))?.map_err(|e| Failure::Wrong(e.to_string()))?;
    let said = b.device.capabilities().clone();
    ensure!(
        read == said,
        "registers say {read:?}, capabilities() {said:?}"
    );
    for (register, value) in said.registers() {
        let found = b.get(register)?;
        ensure!(
            found == value,
            "register {register} reads {found:#x}, not {value:#x}"
        );
    }
    Ok(())
}

pub fn reset_values(b: &mut Bench<'_>) -> Result<(), Failure> {
    for info in regs::ALL {
        let found = b.get(info.offset)?;
        if let Some(value) = info.reset {
            ensure!(
                found == value,
                "{} reads {found:#x} after a reset, not {value:#x}",
                info.name
            );
        }
    }
    let now = b.get(regs::STATUS)?;
    ensure!(
        now == status::IDLE,
        "STATUS {now:#x} after a reset is not IDLE alone"
    );
    Ok(())
}

pub fn read_only_and_unmapped(b: &mut Bench<'_>) -> Result<(), Failure> {
    for info in regs::ALL.iter().filter(|i| i.access == Access::ReadOnly) {
        let before = b.get(info.offset)?;
        b.set(info.offset, !before)?;
        let after = b.get(info.offset)?;
        ensure!(
            after == before,
            "{} is read-only and took {after:#x}",
            info.name
        );
    }
    let mapped = |offset: u32| regs::ALL.iter().any(|i| i.offset.0 == offset);
    for offset in (0..regs::BLOCK_BYTES).step_by(4).filter(|o| !mapped(*o)) {
        b.set(RegisterOffset(offset), 0xffff_ffff)?;
        let found = b.get(RegisterOffset(offset))?;
        ensure!(
            found == 0,
            "offset {offset:#x} has no register and reads {found:#x}"
        );
    }
    let now = b.get(regs::STATUS)?;
    ensure!(
        now == status::IDLE,
        "STATUS {now:#x} after writes that have no effect"
    );
    let doorbell = b.get(regs::DOORBELL)?;
    ensure!(
        doorbell == 0,
        "DOORBELL is write-only and reads {doorbell:#x}"
    );
    Ok(())
}

pub fn offsets(b: &mut Bench<'_>) -> Result<(), Failure> {
    for offset in [
        1,
        2,
        3,
        0x42,
        regs::BLOCK_BYTES,
        regs::BLOCK_BYTES + 4,
        u32::MAX - 3,
    ] {
        let register = RegisterOffset(offset);
        let read = b.get(register);
        ensure!(
            matches!(read, Err(DeviceError::BadRegister(r)) if r == register),
            "reading offset {offset:#x} gave {read:?} instead of an error"
        );
        let written = b.set(register, 0);
        ensure!(
            matches!(written, Err(DeviceError::BadRegister(_))),
            "writing offset {offset:#x} gave {written:?} instead of an error"
        );
    }
    Ok(())
}

pub fn configuration(b: &mut Bench<'_>) -> Result<(), Failure> {
    let registers = [
        regs::PROGRAM_ADDRESS_LOW,
        regs::PROGRAM_ADDRESS_HIGH,
        regs::PROGRAM_LENGTH,
        regs::WINDOW_BASE_LOW,
        regs::WINDOW_BASE_HIGH,
        regs::WINDOW_LIMIT_LOW,
        regs::WINDOW_LIMIT_HIGH,
    ];
    let values: Vec<u32> = registers.iter().map(|_| b.rng.next() as u32).collect();
    for (register, value) in registers.iter().zip(&values) {
        b.set(*register, *value)?;
    }
    for (register, value) in registers.iter().zip(&values) {
        let found = b.get(*register)?;
        ensure!(
            found == *value,
            "register {register} took {value:#x} and reads {found:#x}"
        );
    }
    b.set(regs::IRQ_ENABLE, 0xffff_ffff)?;
    let found = b.get(regs::IRQ_ENABLE)?;
    ensure!(found == 3, "IRQ_ENABLE has two bits and reads {found:#x}");
    b.set(regs::CONTROL, control::RESET)?;
    wait_for_reset(b)?;
    for register in registers.iter().chain([&regs::IRQ_ENABLE]) {
        let found = b.get(*register)?;
        ensure!(
            found == 0,
            "register {register} reads {found:#x} after a soft reset"
        );
    }
    Ok(())
}

/// CONTROL.RESET clears itself; a device that takes more than this many reads is broken.
fn wait_for_reset(b: &mut Bench<'_>) -> Result<(), Failure> {
    for _ in 0..100_000 {
        if b.get(regs::CONTROL)? & control::RESET == 0 {
            return Ok(());
        }
    }
    Err(Failure::Wrong("CONTROL.RESET stays set".into()))
}
