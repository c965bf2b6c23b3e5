//! A device in whose memories one bit is flipped at one moment.

use std::time::{Duration, Instant};

use fqbert_contract::device::{Allocation, BufferId, Device, DeviceError, Wrapper};
use fqbert_contract::isa::{
    BEAT_BYTES, End, INSTRUCTION_BYTES, Instruction, Load, MemoryId, Operation, Store,
};
use fqbert_contract::registers as regs;
use fqbert_contract::{Bytes, RegisterOffset};

/// Buffers by number, as a session reserves them.
pub const CONSTANTS: BufferId = BufferId(1);
pub const OUTPUT: BufferId = BufferId(3);
pub const CODE: BufferId = BufferId(4);

/// Where a bit flips.
#[derive(Clone, Copy, Debug)]
pub enum Flip {
    /// Nowhere.
    Nowhere,
    /// In what the device sees of a buffer, once that has been handed over whole.
    Handed {
        buffer: BufferId,
        offset: u64,
        mask: u8,
    },
    /// In what the CPU sees of a buffer, each time it is taken over.
    TakenOver {
        buffer: BufferId,
        offset: u64,
        mask: u8,
    },
    /// In a result on the chip: once the first instruction like this one has been executed.
    OnChip {
        after: fn(&Instruction) -> bool,
        memory: MemoryId,
        /// Word of the memory, from the instruction's first on, and byte in it.
        word: u64,
        byte: u64,
        mask: u8,
    },
}

pub struct Planted {
    inner: Box<dyn Device>,
    flip: Flip,
    buffers: Vec<Allocation>,
    address: [u32; 2],
    length: u32,
    /// Runs that the owner knows nothing of.
    hidden_runs: u32,
}

impl Planted {
    pub fn new(inner: Box<dyn Device>, flip: Flip) -> Self {
        Self {
            inner,
            flip,
            buffers: Vec::new(),
            address: [0; 2],
            length: 0,
            hidden_runs: 0,
        }
    }

    fn flip_byte(&mut self, id: BufferId, offset: u64, mask: u8) -> Result<(), DeviceError> {
        let mut byte = [0];
        self.inner.read(id, Bytes(offset), &mut byte)?;
        self.inner.write(id, Bytes(offset), &[byte[0] ^ mask])
    }

    fn program(&mut self) -> Result<Vec<Instruction>, DeviceError> {
        let address = u64::from(self.address[1]) << 32 | u64::from(self.address[0]);
        let buffer = self.buffers.iter().find(|b| b.address.0 == address);
        let id = buffer.expect("a program at the beginning of a buffer").id;
        let mut code = vec![0; self.length as usize * INSTRUCTION_BYTES];
        self.inner
            .sync_to_cpu(id, Bytes(0), Bytes(code.len() as u64))?;
        self.inner.read(id, Bytes(0), &mut code)?;
        let instructions = code.as_chunks().0.iter().map(Instruction::from_bytes);
        Ok(instructions.collect::<Result<_, _>>().unwrap())
    }

    /// Names a program in the registers and starts it.
    fn start(&mut self, program: &[Instruction]) -> Result<(), DeviceError> {
        let code: Vec<u8> = program.iter().flat_map(|i| i.to_bytes().unwrap()).collect();
        let buffer = self.upload(&code)?;
        for (register, value) in [
            (regs::PROGRAM_ADDRESS_LOW, buffer.address.low()),
            (regs::PROGRAM_ADDRESS_HIGH, buffer.address.high()),
            (regs::PROGRAM_LENGTH, program.len() as u32),
            (regs::DOORBELL, 1),
        ] {
            self.inner.write32(register, value)?;
        }
        Ok(())
    }

    fn upload(&mut self, data: &[u8]) -> Result<Allocation, DeviceError> {
        let buffer = self.inner.allocate(Bytes(data.len() as u64))?;
        self.inner.write(buffer.id, Bytes(0), data)?;
        self.inner
            .sync_to_device(buffer.id, Bytes(0), buffer.size)?;
        Ok(buffer)
    }

    /// Runs a program of its own to the end.
    fn run(&mut self, program: &[Instruction]) -> Result<(), DeviceError> {
        self.start(program)?;
        self.inner
            .wait_interrupt(Instant::now() + Duration::from_secs(600))?;
        let done = regs::status::IDLE | regs::status::DONE;
        assert_eq!(self.inner.read32(regs::STATUS)?, done);
        self.inner.write32(regs::IRQ_STATUS, regs::irq::DONE)?;
        self.hidden_runs += 1;
        Ok(())
    }

    /// Runs the program in two halves; between them a bit of a word is flipped. Each instruction
    /// of the program waits for the one before it, and for nothing else.
    fn in_halves(
        &mut self,
        program: &[Instruction],
        split: usize,
        memory: MemoryId,
        word: u64,
        place: (u64, u8),
    ) -> Result<(), DeviceError> {
        let plain = |operation| Instruction {
            header: Default::default(),
            operation,
        };
        let end = plain(Operation::End(End {}));
        let mut first = program[..split].to_vec();
        first[split - 1].header.signal = [0; 3];
        first.push(end);
        self.run(&first)?;
        let bytes = memory.word_bytes(&self.capabilities().geometry);
        let copy = self.upload(&vec![0; bytes as usize])?;
        let beats = bytes / BEAT_BYTES as u32;
        let store = Store {
            memory: memory.code(),
            address: copy.address.0,
            word_offset: word as u16,
            beats,
        };
        self.run(&[plain(Operation::Store(store)), end])?;
        self.inner.sync_to_cpu(copy.id, Bytes(0), copy.size)?;
        self.flip_byte(copy.id, place.0, place.1)?;
        self.inner.sync_to_device(copy.id, Bytes(0), copy.size)?;
        let load = Load {
            memory: memory.code(),
            port: 0,
            address: copy.address.0,
            word_offset: word as u16,
            beats,
        };
        self.run(&[plain(Operation::Load(load)), end])?;
        let mut second = program[split..].to_vec();
        second[0].header.wait = [0; 3];
        self.start(&second)
    }
}

impl Wrapper for Planted {
    fn inner(&self) -> &dyn Device {
        self.inner.as_ref()
    }

    fn inner_mut(&mut self) -> &mut dyn Device {
        self.inner.as_mut()
    }

    fn allocate(&mut self, size: Bytes) -> Result<Allocation, DeviceError> {
        let allocation = self.inner.allocate(size)?;
        self.buffers.push(allocation);
        Ok(allocation)
    }

    fn sync_to_device(
        &mut self,
        id: BufferId,
        start: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        match self.flip {
            Flip::Handed {
                buffer,
                offset,
                mask,
            } if buffer == id => {
                // The device sees another bit than the CPU wrote, and keeps it.
                let mut written = vec![0; length.0 as usize];
                self.inner.read(id, start, &mut written)?;
                if written.iter().any(|b| *b != 0) {
                    self.flip_byte(id, offset, mask)?;
                }
                self.inner.sync_to_device(id, start, length)
            }
            _ => self.inner.sync_to_device(id, start, length),
        }
    }

    fn sync_to_cpu(
        &mut self,
        id: BufferId,
        start: Bytes,
        length: Bytes,
    ) -> Result<(), DeviceError> {
        self.inner.sync_to_cpu(id, start, length)?;
        match self.flip {
            Flip::TakenOver {
                buffer,
                offset,
                mask,
            } if buffer == id => self.flip_byte(id, offset, mask),
            _ => Ok(()),
        }
    }

    fn read32(&mut self, register: RegisterOffset) -> Result<u32, DeviceError> {
        let value = self.inner.read32(register)?;
        Ok(match register {
            regs::RUNS_COMPLETED => value - self.hidden_runs,
            _ => value,
        })
    }

    fn write32(&mut self, register: RegisterOffset, value: u32) -> Result<(), DeviceError> {
        match register {
            regs::PROGRAM_ADDRESS_LOW => self.address[0] = value,
            regs::PROGRAM_ADDRESS_HIGH => self.address[1] = value,
            regs::PROGRAM_LENGTH => self.length = value,
            _ => {}
        }
        if register == regs::DOORBELL
            && let Flip::OnChip {
                after,
                memory,
                word,
                byte,
                mask,
            } = self.flip
        {
            let program = self.program()?;
            let index = program.iter().position(after).expect("such an instruction");
            let base = match program[index].operation {
                Operation::Matmul(m) => m.dst_base,
                Operation::Layernorm(l) if memory == MemoryId::Resx => l.y16_base,
                Operation::Layernorm(l) => l.y8_base,
                _ => panic!("no result on the chip"),
            };
            let word = u64::from(base) + word;
            return self.in_halves(&program, index + 1, memory, word, (byte, mask));
        }
        self.inner.write32(register, value)
    }
}
