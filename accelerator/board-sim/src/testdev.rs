//! A small device of our own that proves the mechanism: the virtual board's self-test drives it.
//!
//! | offset | register | |
//! |---|---|---|
//! | 0x00 | ID | read-only, [`ID_VALUE`] |
//! | 0x04 | SCRATCH | read-write |
//! | 0x08 | STATUS | read-only: bit 0 busy, bit 1 address fault of the last job |
//! | 0x0c | IRQ_STATUS | bit 0 done; write one to clear |
//! | 0x10 | IRQ_ENABLE | bit 0 |
//! | 0x14 | ADDRESS | first word of the job, low 32 bits of a physical address |
//! | 0x18 | WORDS | length of the job |
//! | 0x1c | RESULT | read-only: sum of the words, modulo 2^32 |
//! | 0x20 | DOORBELL | any write starts the job; reads 0; ignored while busy |
//! | 0x24 | JOBS | read-only: jobs finished |
//! | 0x28 | RESET | any write stops the job and resets every register but JOBS |

use crate::{GuestDdr, RegisterModel};

/// Value of the ID register ("FQTD").
pub const ID_VALUE: u32 = 0x4651_5444;
/// Identity.
pub const ID: u32 = 0x00;
/// Free for software.
pub const SCRATCH: u32 = 0x04;
/// Busy and fault bits.
pub const STATUS: u32 = 0x08;
/// Pending interrupt causes.
pub const IRQ_STATUS: u32 = 0x0c;
/// Which causes reach the line.
pub const IRQ_ENABLE: u32 = 0x10;
/// Job address.
pub const ADDRESS: u32 = 0x14;
/// Job length in words.
pub const WORDS: u32 = 0x18;
/// Job result.
pub const RESULT: u32 = 0x1c;
/// Starts a job.
pub const DOORBELL: u32 = 0x20;
/// Jobs finished.
pub const JOBS: u32 = 0x24;
/// Stops and resets.
pub const RESET: u32 = 0x28;

/// Words summed in one step: about 10 us.
const STEP_WORDS: u32 = 8192;

/// The device.
#[derive(Debug, Default)]
pub struct TestDevice {
    scratch: u32,
    irq_status: u32,
    irq_enable: u32,
    address: u32,
    words: u32,
    result: u32,
    jobs: u32,
    fault: bool,
    job: Option<Job>,
}

#[derive(Debug)]
struct Job {
    next: u64,
    left: u32,
    sum: u32,
}

impl TestDevice {
    fn finish(&mut self, sum: u32, fault: bool) {
        self.job = None;
        self.result = sum;
        self.fault = fault;
        self.jobs = self.jobs.wrapping_add(1);
        self.irq_status |= 1;
    }
}

impl RegisterModel for TestDevice {
    fn read32(&mut self, offset: u32) -> u32 {
        match offset {
            ID => ID_VALUE,
            SCRATCH => self.scratch,
            STATUS => u32::from(self.job.is_some()) | u32::from(self.fault) << 1,
            IRQ_STATUS => self.irq_status,
            IRQ_ENABLE => self.irq_enable,
            ADDRESS => self.address,
            WORDS => self.words,
            RESULT => self.result,
            JOBS => self.jobs,
            _ => 0,
        }
    }

    fn write32(&mut self, offset: u32, value: u32, _ddr: &mut GuestDdr) {
        match offset {
            SCRATCH => self.scratch = value,
            IRQ_STATUS => self.irq_status &= !value,
            IRQ_ENABLE => self.irq_enable = value & 1,
            ADDRESS => self.address = value,
            WORDS => self.words = value,
            DOORBELL if self.job.is_none() => {
                self.fault = false;
                self.job = Some(Job {
                    next: u64::from(self.address),
                    left: self.words,
                    sum: 0,
                });
            }
            RESET => {
                *self = Self {
                    jobs: self.jobs,
                    ..Self::default()
                }
            }
            _ => {}
        }
    }

    fn irq_level(&self) -> bool {
        self.irq_status & self.irq_enable != 0
    }

    fn busy(&self) -> bool {
        self.job.is_some()
    }

    fn step(&mut self, ddr: &mut GuestDdr) {
        let Some(job) = &mut self.job else { return };
        for _ in 0..job.left.min(STEP_WORDS) {
            match ddr.read32(job.next) {
                Ok(word) => job.sum = job.sum.wrapping_add(word),
                Err(_) => {
                    let sum = job.sum;
                    return self.finish(sum, true);
                }
            }
            job.next += 4;
            job.left -= 1;
        }
        if job.left == 0 {
            let sum = job.sum;
            self.finish(sum, false);
        }
    }
}
