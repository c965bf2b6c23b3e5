//! The register table against the map that the contract promises.

use fqbert_contract::RegisterOffset;
use fqbert_contract::isa::{CONTRACT_MAJOR, CONTRACT_MINOR, MAGIC};
use fqbert_contract::registers::{self as regs, Access, RegisterInfo};

#[test]
fn registers_are_aligned_inside_the_block_and_in_order() {
    for pair in regs::ALL.windows(2) {
        assert!(
            pair[0].offset < pair[1].offset,
            "{} and {}",
            pair[0].name,
            pair[1].name
        );
    }
    for register in regs::ALL {
        assert_eq!(register.offset.0 % 4, 0, "{}", register.name);
        assert!(register.offset.0 < regs::BLOCK_BYTES, "{}", register.name);
        assert_eq!(RegisterInfo::at(register.offset), Some(register));
    }
    assert_eq!(RegisterInfo::at(RegisterOffset(0x090)), None);
    assert_eq!(RegisterInfo::at(RegisterOffset(0x002)), None);
}

#[test]
fn offsets_are_the_published_ones() {
    for (register, offset) in [
        (regs::ID, 0x000),
        (regs::GEOMETRY_ARRAY, 0x010),
        (regs::LNP_WORDS, 0x03c),
        (regs::CONTROL, 0x040),
        (regs::STATUS, 0x044),
        (regs::IRQ_STATUS, 0x04c),
        (regs::DOORBELL, 0x05c),
        (regs::WINDOW_LIMIT_HIGH, 0x06c),
        (regs::FAULT_CAUSE, 0x070),
        (regs::CYCLES_HIGH, 0x08c),
        (regs::busy(regs::unit::MATRIX), 0x0b4),
        (regs::stall(regs::unit::FETCH), 0x0c0),
        (regs::retired(regs::unit::STORE), 0x0fc),
        (regs::semaphores(7), 0x11c),
    ] {
        assert_eq!(register, RegisterOffset(offset));
    }
    assert_eq!(regs::unit::NAMES.len(), regs::BUSY_COUNT as usize);
    assert_eq!(regs::status::CONFIG_IGNORED, 0x20);
    assert_eq!(regs::irq::FAULT, 0x02);
    assert_eq!(regs::geometry_array::LN_CHANNELS_MASK, 0xf000_0000);
}

#[test]
fn access_and_reset_follow_the_contract() {
    let info = |offset| RegisterInfo::at(offset).expect("in the table");
    assert_eq!(info(regs::ID).reset, Some(MAGIC));
    let version = u32::from(CONTRACT_MAJOR) << 16 | u32::from(CONTRACT_MINOR);
    assert_eq!(info(regs::VERSION).reset, Some(version));
    assert_eq!(info(regs::STATUS).reset, None);
    assert_eq!(info(regs::WINDOW_LIMIT_LOW).reset, Some(0));
    assert_eq!(info(regs::STATUS).access, Access::ReadOnly);
    assert_eq!(info(regs::IRQ_ENABLE).access, Access::ReadWrite);
    assert_eq!(info(regs::IRQ_STATUS).access, Access::WriteOneToClear);
    assert_eq!(info(regs::DOORBELL).access, Access::WriteOnly);
}
