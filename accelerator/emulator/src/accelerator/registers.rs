//! The register file: what reads back and what a write does.

use fqbert_contract::RegisterOffset;
use fqbert_contract::isa::SEMAPHORES;
use fqbert_contract::registers::{self as regs, control, irq_enable, irq_status, status};
use fqbert_contract::timing::Counters;

/// What a write asks of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing more.
    None,
    /// Start the program.
    Start,
    /// Soft reset.
    Reset,
}

/// Every register that is not a constant of the geometry. The default is the state after a reset.
#[derive(Clone, Debug, Default)]
pub struct Registers {
    /// STATUS.DONE or STATUS.FAULT.
    pub ended: u32,
    /// STATUS.DOORBELL_IGNORED and STATUS.CONFIG_IGNORED.
    sticky: u32,
    pub irq_enable: u32,
    pub irq_status: u32,
    pub program_address: u64,
    pub program_length: u32,
    window_base: u64,
    window_limit: u64,
    pub fault_cause: u32,
    pub fault_index: u32,
    pub fault_address: u64,
    pub runs_completed: u32,
    pub runs_faulted: u32,
    pub cycles: u64,
    pub counters: Counters,
    pub semaphores: [u8; SEMAPHORES],
}

impl Registers {
    /// Whether DMA may touch `bytes` bytes from `address` on: aligned to a beat and inside the
    /// window.
    pub fn window_holds(&self, address: u64, bytes: u64) -> bool {
        let end = address.checked_add(bytes);
        address.is_multiple_of(16)
            && address >= self.window_base
            && end.is_some_and(|end| end <= self.window_limit)
    }

    pub fn read(&self, offset: u32, busy: bool) -> u32 {
        match RegisterOffset(offset) {
            regs::STATUS => {
                let running = if busy { status::BUSY } else { status::IDLE };
                running | self.ended | self.sticky
            }
            regs::IRQ_ENABLE => self.irq_enable,
            regs::IRQ_STATUS => self.irq_status,
            regs::PROGRAM_ADDRESS_LOW => self.program_address as u32,
            regs::PROGRAM_ADDRESS_HIGH => high(self.program_address),
            regs::PROGRAM_LENGTH => self.program_length,
            regs::WINDOW_BASE_LOW => self.window_base as u32,
            regs::WINDOW_BASE_HIGH => high(self.window_base),
            regs::WINDOW_LIMIT_LOW => self.window_limit as u32,
            regs::WINDOW_LIMIT_HIGH => high(self.window_limit),
            regs::FAULT_CAUSE => self.fault_cause,
            regs::FAULT_INDEX => self.fault_index,
            regs::FAULT_ADDRESS_LOW => self.fault_address as u32,
            regs::FAULT_ADDRESS_HIGH => high(self.fault_address),
            regs::RUNS_COMPLETED => self.runs_completed,
            regs::RUNS_FAULTED => self.runs_faulted,
            regs::CYCLES_LOW => self.cycles as u32,
            regs::CYCLES_HIGH => high(self.cycles),
            _ => self.read_array(offset),
        }
    }

    fn read_array(&self, offset: u32) -> u32 {
        let element = |first: RegisterOffset, count: u32| {
            let index = offset.checked_sub(first.0)? / 4;
            (offset.is_multiple_of(4) && index < count).then_some(index as usize)
        };
        // 32-bit registers: a count wraps, as the hardware's does.
        if let Some(u) = element(regs::BUSY, regs::BUSY_COUNT) {
            self.counters.busy.get(u).map_or(0, |c| *c as u32)
        } else if let Some(u) = element(regs::STALL, regs::STALL_COUNT) {
            self.counters.stall.get(u).map_or(0, |c| *c as u32)
        } else if let Some(u) = element(regs::RETIRED, regs::RETIRED_COUNT) {
            self.counters.retired.get(u).map_or(0, |c| *c as u32)
        } else if let Some(i) = element(regs::SEMAPHORES, regs::SEMAPHORES_COUNT) {
            let four = self.semaphores.as_chunks::<4>().0.get(i);
            four.map_or(0, |counts| u32::from_le_bytes(*counts))
        } else {
            0
        }
    }

    pub fn write(&mut self, offset: u32, value: u32, busy: bool) -> Effect {
        let configured = match RegisterOffset(offset) {
            regs::CONTROL if value & control::RESET != 0 => return Effect::Reset,
            regs::IRQ_ENABLE => {
                self.irq_enable = value & (irq_enable::DONE | irq_enable::FAULT);
                return Effect::None;
            }
            regs::IRQ_STATUS => {
                self.irq_status &= !(value & (irq_status::DONE | irq_status::FAULT));
                return Effect::None;
            }
            regs::DOORBELL => return self.doorbell(busy),
            regs::PROGRAM_ADDRESS_LOW => Word::Low(&mut self.program_address),
            regs::PROGRAM_ADDRESS_HIGH => Word::High(&mut self.program_address),
            regs::PROGRAM_LENGTH => Word::Whole(&mut self.program_length),
            regs::WINDOW_BASE_LOW => Word::Low(&mut self.window_base),
            regs::WINDOW_BASE_HIGH => Word::High(&mut self.window_base),
            regs::WINDOW_LIMIT_LOW => Word::Low(&mut self.window_limit),
            regs::WINDOW_LIMIT_HIGH => Word::High(&mut self.window_limit),
            _ => return Effect::None,
        };
        if busy {
            self.sticky |= status::CONFIG_IGNORED;
            return Effect::None;
        }
        match configured {
            Word::Low(v) => *v = *v & !0xffff_ffff | u64::from(value),
            Word::High(v) => *v = *v & 0xffff_ffff | u64::from(value) << 32,
            Word::Whole(v) => *v = value,
        }
        Effect::None
    }

    fn doorbell(&mut self, busy: bool) -> Effect {
        if busy || self.ended & status::FAULT != 0 {
            self.sticky |= status::DOORBELL_IGNORED;
            return Effect::None;
        }
        self.ended = 0;
        self.sticky = 0;
        self.fault_cause = 0;
        self.fault_index = 0;
        self.fault_address = 0;
        self.cycles = 0;
        self.counters = Counters::default();
        self.semaphores = [0; SEMAPHORES];
        Effect::Start
    }
}

/// A configuration register as part of its value.
enum Word<'a> {
    Low(&'a mut u64),
    High(&'a mut u64),
    Whole(&'a mut u32),
}

fn high(value: u64) -> u32 {
    (value >> 32) as u32
}
