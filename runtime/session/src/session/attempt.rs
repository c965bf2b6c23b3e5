//! One attempt at a run, as a state machine, and the only place that believes an output.
//!
//! | state | what holds | leaves by |
//! |---|---|---|
//! | settled | nothing runs; the next attempt may begin | marking the output |
//! | marked | the ends of the output hold a value that no run writes | ringing the doorbell |
//! | rung | the accelerator may be running, or may not have heard | proof, fault, or no proof |
//! | proven | this doorbell's program ended and wrote its output | reading the output: settled |
//! | unsettled | an attempt went on beyond *settled* and was not proven | reset: settled |
//!
//! An attempt is unsettled from its first write until its output is believed, whatever error ends
//! it, and an unsettled session is reset before anything else is done with it. So an old program
//! cannot write into a new request, and an old interrupt cannot end a new wait.
//!
//! An output is believed when all of this holds, and not otherwise ([`judge`]):
//! - before the doorbell the input was in device memory, taken back after it was handed over;
//! - and the accelerator was idle, without a fault;
//! - after it STATUS says that it is idle and DONE, and neither FAULT, DOORBELL_IGNORED nor
//!   CONFIG_IGNORED;
//! - RUNS_COMPLETED is exactly one higher than before (STATUS.DONE alone may be the last run's: it
//!   stays until the next accepted doorbell);
//! - no marker is left in the output.
//!
//! Interrupts only say when to look. A lost one costs the deadline, a stray one a look.

use std::time::{Duration, Instant};

use fqbert_contract::Bytes;
use fqbert_contract::device::{Device, DeviceError};
use fqbert_contract::isa::FaultCause;
use fqbert_contract::registers as regs;
use tracing::{info_span, warn};

use super::Session;
use crate::batch::Extent;
use crate::error::{Doing, SessionError};
use crate::post_mortem::PostMortem;
use crate::programs::Loaded;
use crate::unproven::Unproven;

/// When STATUS is first looked at without an interrupt: a doorbell that was never heard is found
/// then, long before the deadline of a run that hangs. Few runs take so long; a look into one that
/// does interrupts the emulator's work (2 % of a run of 250 ms).
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// A halfword that no run writes: y16 saturates symmetrically (docs/numerics.md, section 1).
const MARK: i16 = i16::MIN;

/// Bytes marked at either end of an output; the last STORE of a program writes the last of them.
const MARKED: u64 = 64;

/// What the registers say of a doorbell that was rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// This doorbell's program has ended; its output is still to be looked at.
    Ended,
    /// It runs, or it has just started.
    Running,
    /// It stopped with a fault.
    Fault,
    /// There is no proof that it ran.
    Unproven(Unproven),
}

/// The verdict on STATUS and on how much RUNS_COMPLETED went on by since before the doorbell.
fn judge(status: u32, runs: u32) -> Verdict {
    use regs::status as bit;
    let is = |bit: u32| status & bit != 0;
    if is(bit::DOORBELL_IGNORED) || is(bit::CONFIG_IGNORED) {
        return Verdict::Unproven(Unproven::Ignored { status });
    }
    match (is(bit::BUSY), is(bit::FAULT), is(bit::IDLE), runs) {
        // The run may end between the two reads, STATUS first.
        (true, _, _, 0 | 1) => Verdict::Running,
        (false, true, true, 0) => Verdict::Fault,
        (false, false, true, 0) => Verdict::Unproven(Unproven::NotStarted),
        (false, false, true, 1) if is(bit::DONE) => Verdict::Ended,
        (_, _, _, 0 | 1) => Verdict::Unproven(Unproven::Undecided { status }),
        (_, _, _, runs) => Verdict::Unproven(Unproven::Counted { runs }),
    }
}

/// How an attempt failed.
pub(super) enum Failed {
    /// No proof that it ran: worth a reset and another attempt.
    Again {
        why: Unproven,
        waited: Duration,
        post_mortem: Box<PostMortem>,
    },
    /// Another attempt would not help, or is not known to.
    Final(SessionError),
}

impl<E: Into<SessionError>> From<E> for Failed {
    fn from(e: E) -> Self {
        Failed::Final(e.into())
    }
}

impl Session {
    /// Writes the input, marks the output, rings once, waits, and reads the output if the run is
    /// proven to have happened.
    pub(super) fn attempt(
        &mut self,
        extent: Extent,
        images: &[Vec<u8>; 3],
    ) -> Result<Vec<u8>, Failed> {
        if self.unsettled {
            self.recover()?;
        }
        // Before the program is there: a device that fails while it is copied may have lost its
        // registers with it.
        self.unsettled = true;
        let device = self.device.as_mut();
        let loaded = self
            .programs
            .get(device, &self.model, &self.geometry, extent)?;
        let delivered = write_input(device, loaded, images)?;
        mark(device, loaded)?;
        let before = device
            .read32(regs::RUNS_COMPLETED)
            .doing("reading RUNS_COMPLETED")?;
        let status = device.read32(regs::STATUS).doing("reading STATUS")?;
        let idle = status & regs::status::IDLE != 0
            && status & (regs::status::BUSY | regs::status::FAULT) == 0;
        let began = device.now();
        let verdict = if !delivered {
            Verdict::Unproven(Unproven::NotDelivered)
        } else if idle {
            ring(device, loaded)?;
            self.statistics.runs += 1;
            let deadline = began + self.options.deadline;
            wait(device, before, deadline, &mut self.interrupts)?
        } else {
            Verdict::Unproven(Unproven::NotIdle { status })
        };
        let waited = device.now().saturating_duration_since(began);
        let why = match verdict {
            Verdict::Ended => {
                let cycles = cycles(device)?;
                let bytes = read_output(device, loaded)?;
                if is_written(&bytes) {
                    self.statistics.last_cycles = cycles;
                    self.statistics.cycles += cycles;
                    self.unsettled = false;
                    return Ok(bytes);
                }
                Unproven::NotWritten
            }
            Verdict::Fault => {
                let post_mortem = Box::new(autopsy(device, loaded, self.interrupts)?);
                let cause = post_mortem.cause.unwrap_or(FaultCause::None);
                return Err(Failed::Final(SessionError::Fault { cause, post_mortem }));
            }
            Verdict::Running => Unproven::Running,
            Verdict::Unproven(why) => why,
        };
        Err(Failed::Again {
            why,
            waited,
            post_mortem: Box::new(autopsy(device, loaded, self.interrupts)?),
        })
    }
}

/// Writes the input and takes it back to look at it: a hand-over that did not happen would let the
/// program run over the input of the request before. Whether it is there.
fn write_input(
    device: &mut dyn Device,
    loaded: &mut Loaded,
    images: &[Vec<u8>; 3],
) -> Result<bool, SessionError> {
    let program = &loaded.program;
    let spans = [program.input_x8, program.input_x16, program.input_ranges];
    let parts: Vec<(Bytes, &[u8])> = spans
        .iter()
        .zip(images)
        .map(|(s, image)| (Bytes(s.offset), image.as_slice()))
        .collect();
    loaded
        .input
        .refill(device, &parts)
        .doing("writing the input")?;
    let mut there = Vec::new();
    for (offset, image) in parts {
        there.resize(image.len(), 0);
        loaded
            .input
            .fetch(device, offset, &mut there)
            .doing("looking at the input")?;
        if there != image {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Marks both ends of the output, so that an output that nobody wrote is not taken for one.
fn mark(device: &mut dyn Device, loaded: &mut Loaded) -> Result<(), SessionError> {
    let span = loaded.program.output_y16;
    let length = MARKED.min(span.length);
    let marks = MARK.to_le_bytes().repeat(length as usize / 2);
    for offset in [span.offset, span.offset + span.length - length] {
        loaded
            .output
            .put(device, Bytes(offset), &marks)
            .doing("marking the output")?;
    }
    Ok(())
}

/// Whether no marker is left.
fn is_written(output: &[u8]) -> bool {
    let (values, _) = output.as_chunks::<2>();
    values.iter().all(|v| i16::from_le_bytes(*v) != MARK)
}

/// Drops what is left of earlier interrupts, names the program and rings.
fn ring(device: &mut dyn Device, loaded: &Loaded) -> Result<(), SessionError> {
    let address = loaded.code.allocation().address;
    let length = loaded.program.instructions.len() as u32;
    for (register, value) in [
        (regs::IRQ_STATUS, regs::irq::DONE | regs::irq::FAULT),
        (regs::PROGRAM_ADDRESS_LOW, address.low()),
        (regs::PROGRAM_ADDRESS_HIGH, address.high()),
        (regs::PROGRAM_LENGTH, length),
        (regs::DOORBELL, 1),
    ] {
        device
            .write32(register, value)
            .doing("ringing the doorbell")?;
    }
    Ok(())
}

/// Waits until the accelerator says something else than that it runs, or until the deadline.
fn wait(
    device: &mut dyn Device,
    before: u32,
    deadline: Instant,
    interrupts: &mut u32,
) -> Result<Verdict, SessionError> {
    let _span = info_span!("wait").entered();
    let mut look = deadline.min(device.now() + FIRST_LOOK);
    let mut over = false;
    loop {
        match device.wait_interrupt(look) {
            Ok(count) => *interrupts = count,
            // A lost or a spurious interrupt does not decide anything: the registers do.
            Err(DeviceError::InterruptCount { after, .. }) => {
                warn!(
                    before = *interrupts,
                    after, "interrupts were lost or spurious"
                );
                *interrupts = after;
            }
            Err(DeviceError::Timeout { .. }) => {
                // What the device says counts beside the clock: a replay waits for nothing.
                over = look == deadline;
                look = deadline;
            }
            Err(source) => {
                return Err(SessionError::Device {
                    doing: "waiting for the accelerator",
                    source,
                });
            }
        }
        let status = device.read32(regs::STATUS).doing("reading STATUS")?;
        let runs = device
            .read32(regs::RUNS_COMPLETED)
            .doing("reading RUNS_COMPLETED")?
            .wrapping_sub(before);
        let verdict = judge(status, runs);
        if verdict != Verdict::Running || over || device.now() >= deadline {
            device
                .write32(regs::IRQ_STATUS, regs::irq::DONE | regs::irq::FAULT)
                .doing("clearing the interrupt")?;
            return Ok(verdict);
        }
    }
}

fn cycles(device: &mut dyn Device) -> Result<u64, SessionError> {
    let low = device.read32(regs::CYCLES_LOW).doing("reading CYCLES")?;
    let high = device.read32(regs::CYCLES_HIGH).doing("reading CYCLES")?;
    Ok(u64::from(low) | u64::from(high) << 32)
}

/// The registers of a device that failed.
fn autopsy(
    device: &mut dyn Device,
    loaded: &Loaded,
    interrupts: u32,
) -> Result<PostMortem, SessionError> {
    PostMortem::read(device, &loaded.program.instructions, interrupts)
        .doing("reading registers after a failure")
}

fn read_output(device: &mut dyn Device, loaded: &Loaded) -> Result<Vec<u8>, SessionError> {
    let span = loaded.program.output_y16;
    let mut bytes = vec![0; span.length as usize];
    loaded
        .output
        .fetch(device, Bytes(span.offset), &mut bytes)
        .doing("reading the output")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every STATUS that a register can hold with every step of the counter: one combination alone
    /// is an answer, and nothing but a busy accelerator is waited for.
    #[test]
    fn one_status_and_one_count_are_an_answer() {
        use regs::status as bit;
        let bits = [
            bit::IDLE,
            bit::BUSY,
            bit::DONE,
            bit::FAULT,
            bit::DOORBELL_IGNORED,
            bit::CONFIG_IGNORED,
        ];
        for set in 0..1u32 << bits.len() {
            let status = (0..bits.len())
                .filter(|i| set >> i & 1 == 1)
                .fold(0, |s, i| s | bits[i]);
            for runs in [0, 1, 2, u32::MAX] {
                let verdict = judge(status, runs);
                let answer = status == bit::IDLE | bit::DONE && runs == 1;
                assert_eq!(verdict == Verdict::Ended, answer, "{status:#x}, {runs}");
                if verdict == Verdict::Running {
                    assert!(status & bit::BUSY != 0 && runs <= 1);
                }
                if verdict == Verdict::Fault {
                    assert!(status & bit::FAULT != 0 && status & bit::BUSY == 0 && runs == 0);
                }
            }
        }
    }

    #[test]
    fn a_marker_anywhere_is_an_output_that_was_not_written() {
        let mut output = vec![0u8; 64];
        assert!(is_written(&output));
        output[62..].copy_from_slice(&MARK.to_le_bytes());
        assert!(!is_written(&output));
        output[62..].copy_from_slice(&(-32767i16).to_le_bytes());
        assert!(is_written(&output));
    }
}
