//! Bits that flip in device memory, found by what the program at the doorbell touches.

use std::collections::BTreeMap;

use fqbert_contract::Bytes;
use fqbert_contract::device::{Allocation, BufferId, Device, DeviceError};
use fqbert_contract::isa::{INSTRUCTION_BYTES, Instruction, Operation};
use fqbert_contract::program::Program;
use fqbert_random::Random;

use crate::fault::Fault;

/// Bytes that a sync around one byte covers.
const LINE: u64 = 64;

/// The buffers of a device, by what the program uses them for.
#[derive(Debug, Default)]
pub struct Buffers(pub BTreeMap<BufferId, Allocation>);

/// What a program does with buffers.
#[derive(Debug, Default)]
pub struct Roles {
    code: Option<Allocation>,
    constants: Option<Allocation>,
    input: Option<Allocation>,
    /// Where it stores.
    pub output: Option<Allocation>,
}

impl Buffers {
    /// The buffer at a device address.
    fn at(&self, address: u64) -> Option<Allocation> {
        let holds = |a: &&Allocation| (a.address.0..a.address.0 + a.size.0).contains(&address);
        self.0.values().find(holds).copied()
    }

    /// What the program at an address uses; nothing where there is none.
    pub fn roles(&self, device: &mut dyn Device, program: u64) -> Result<Roles, DeviceError> {
        let mut roles = Roles {
            code: self.at(program),
            ..Roles::default()
        };
        let Some(code) = roles.code else {
            return Ok(roles);
        };
        let mut bytes = vec![0; code.size.0 as usize];
        device.sync_to_cpu(code.id, Bytes(0), code.size)?;
        device.read(code.id, Bytes(0), &mut bytes)?;
        let mut loads: Vec<Allocation> = Vec::new();
        for word in bytes.as_chunks::<INSTRUCTION_BYTES>().0 {
            let Ok(instruction) = Instruction::from_bytes(word) else {
                break;
            };
            let access = Program::memory_access(&instruction.operation);
            let Some(buffer) = access.and_then(|(address, _)| self.at(address)) else {
                continue;
            };
            match instruction.operation {
                Operation::Store(_) => roles.output = Some(buffer),
                _ => loads.push(buffer),
            }
        }
        // Weights come to a device before anything that is loaded for one run.
        roles.constants = loads.iter().min_by_key(|a| a.id).copied();
        roles.input = loads.into_iter().find(|a| Some(*a) != roles.constants);
        Ok(roles)
    }
}

impl Roles {
    /// Flips one bit of the buffer that the fault is about, in the device's view.
    pub fn flip(
        &self,
        device: &mut dyn Device,
        fault: Fault,
        random: &mut Random,
    ) -> Result<(), DeviceError> {
        let buffer = match fault {
            Fault::FlippedCode => self.code,
            Fault::FlippedConstants => self.constants,
            _ => self.input,
        };
        let Some(Allocation { id, size, .. }) = buffer else {
            return Ok(());
        };
        let at = random.below(size.0);
        let start = at / LINE * LINE;
        let length = LINE.min(size.0 - start);
        let mut byte = [0];
        device.sync_to_cpu(id, Bytes(start), Bytes(length))?;
        device.read(id, Bytes(at), &mut byte)?;
        flip_in(&mut byte, random);
        device.write(id, Bytes(at), &byte)?;
        device.sync_to_device(id, Bytes(start), Bytes(length))
    }
}

/// Flips one bit.
pub fn flip_in(bytes: &mut [u8], random: &mut Random) {
    let bit = random.below(bytes.len() as u64 * 8);
    if let Some(byte) = bytes.get_mut(bit as usize / 8) {
        *byte ^= 1 << (bit % 8);
    }
}
