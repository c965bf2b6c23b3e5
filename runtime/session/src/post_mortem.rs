//! What the registers say of a device that stopped or hangs.

use std::fmt;

use fqbert_contract::RegisterOffset;
use fqbert_contract::device::{Device, DeviceError};
use fqbert_contract::isa::{FaultCause, Instruction, SEMAPHORES};
use fqbert_contract::registers as regs;
use fqbert_contract::timing::{UNITS, unit_name};

/// The state of a device, read from its registers, with the instruction it points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostMortem {
    /// STATUS register.
    pub status: u32,
    /// Cause of the fault, if there was one.
    pub cause: Option<FaultCause>,
    /// FAULT_INDEX register.
    pub fault_index: u32,
    /// FAULT_ADDRESS registers.
    pub fault_address: u64,
    /// Encoder layer of that instruction.
    pub layer: Option<u8>,
    /// That instruction's mnemonic.
    pub mnemonic: Option<&'static str>,
    /// Interrupts seen since the device was opened.
    pub interrupts: u32,
    /// Cycles since the doorbell.
    pub cycles: u64,
    /// Instructions completed, by unit.
    pub retired: [u32; UNITS],
    /// Cycles waiting for semaphores, by unit.
    pub stall: [u32; UNITS],
    /// Counts of the semaphores.
    pub semaphores: [u8; SEMAPHORES],
}

impl PostMortem {
    /// Reads the registers. `instructions` is the program that ran.
    pub fn read(
        device: &mut dyn Device,
        instructions: &[Instruction],
        interrupts: u32,
    ) -> Result<Self, DeviceError> {
        let mut read = |offset: RegisterOffset| device.read32(offset);
        let mut retired = [0; UNITS];
        let mut stall = [0; UNITS];
        for unit in 0..UNITS {
            retired[unit] = read(regs::retired(unit as u32))?;
            stall[unit] = read(regs::stall(unit as u32))?;
        }
        let mut semaphores = [0; SEMAPHORES];
        for (i, four) in semaphores.chunks_exact_mut(4).enumerate() {
            four.copy_from_slice(&read(regs::semaphores(i as u32))?.to_le_bytes());
        }
        let fault_index = read(regs::FAULT_INDEX)?;
        let at = instructions.get(fault_index as usize);
        Ok(Self {
            status: read(regs::STATUS)?,
            cause: FaultCause::from_code(read(regs::FAULT_CAUSE)? as u8)
                .filter(|c| *c != FaultCause::None),
            fault_index,
            fault_address: u64::from(read(regs::FAULT_ADDRESS_LOW)?)
                | u64::from(read(regs::FAULT_ADDRESS_HIGH)?) << 32,
            layer: at.map(|i| i.header.layer),
            mnemonic: at.map(|i| i.operation.mnemonic()),
            interrupts,
            cycles: u64::from(read(regs::CYCLES_LOW)?) | u64::from(read(regs::CYCLES_HIGH)?) << 32,
            retired,
            stall,
            semaphores,
        })
    }
}

impl fmt::Display for PostMortem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "status {:#x}, {} interrupts, {} cycles",
            self.status, self.interrupts, self.cycles
        )?;
        if let (Some(mnemonic), Some(layer)) = (self.mnemonic, self.layer) {
            write!(
                f,
                ", at {mnemonic} of layer {layer}, address {:#x}",
                self.fault_address
            )?;
        }
        write!(f, "; retired")?;
        for unit in 0..UNITS {
            write!(f, " {} {}", unit_name(unit), self.retired[unit])?;
        }
        write!(f, "; stalled")?;
        for unit in 0..UNITS {
            write!(f, " {} {}", unit_name(unit), self.stall[unit])?;
        }
        let up = self
            .semaphores
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        write!(f, "; semaphores")?;
        for (id, count) in up {
            write!(f, " s{id}={count}")?;
        }
        Ok(())
    }
}
